use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::session::{Call, absent};
use crate::{Error, Session};

/// The keys of one secret. Strings as they are, everything else as JSON. Its `Debug` names keys only.
#[derive(Clone, Default)]
pub struct Values(pub BTreeMap<String, SecretString>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is at a path of a KV engine.
#[derive(Clone, Debug)]
pub enum Kv {
    /// A value; `version` is that of KV v2.
    Value {
        /// Its keys.
        values: Values,
        /// Its version, KV v2 only.
        version: Option<i64>,
    },
    /// KV v2: there was a value of that version; it was deleted or destroyed.
    Deleted {
        /// The version.
        version: Option<i64>,
    },
    /// There never was one.
    Absent,
}

/// `<mount>/config` of KV v2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvConfig {
    /// How many versions are kept.
    pub max_versions: i64,
    /// Whether writes must name the version they replace.
    pub cas_required: bool,
    /// Go duration; `0s` is never.
    #[serde(deserialize_with = "go_duration")]
    pub delete_version_after: String,
}

/// OpenBao answers `0s`, `3h0m0s`; some versions give seconds as a number.
fn go_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(seconds) => format!("{seconds}s"),
        _ => "0s".to_owned(),
    })
}

impl Session {
    /// Reads a value of a KV v1 engine.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to; a path without a value is [`Kv::Absent`].
    pub async fn read_kv1(&self, mount: &str, path: &str) -> Result<Kv, Error> {
        let found: Option<Raw> = absent(self.data(Call::get(&format!("{mount}/{path}"))).await)?;
        Ok(found.map_or(Kv::Absent, |data| Kv::Value { values: values(data), version: None }))
    }

    /// Reads a value of a KV v2 engine, the newest or that of `version`.
    ///
    /// # Errors
    /// As [`Self::read_kv1`]; a deleted or destroyed version is [`Kv::Deleted`].
    pub async fn read_kv2(&self, mount: &str, path: &str, version: Option<i64>) -> Result<Kv, Error> {
        let path = format!("{mount}/data/{path}");
        let mut call = Call::get(&path);
        if let Some(version) = version {
            call = call.query("version", version.to_string());
        }
        match self.data::<Version>(call).await {
            Ok(found) => Ok(found.into()),
            Err(Error::NotFound { data: Value::Null, .. }) => Ok(Kv::Absent),
            Err(Error::NotFound { data, .. }) => Ok(Kv::Deleted { version: version_of(&data) }),
            Err(error) => Err(error),
        }
    }

    /// Writes a value of a KV v2 engine; gives its version.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn write_kv2(&self, mount: &str, path: &str, values: &Value) -> Result<i64, Error> {
        let data: Value =
            self.data(Call::post(&format!("{mount}/data/{path}"), json!({"data": values}))).await?;
        Ok(data.get("version").and_then(Value::as_i64).unwrap_or_default())
    }

    /// Writes a value of a KV v1 engine.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn write_kv1(&self, mount: &str, path: &str, values: &Value) -> Result<(), Error> {
        self.call(Call::post(&format!("{mount}/{path}"), values.clone())).await.map(drop)
    }

    /// Deletes a KV v2 value with all its versions and metadata.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn delete_kv2(&self, mount: &str, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("{mount}/metadata/{path}"))).await).map(drop)
    }

    /// Names below a path of a KV v2 engine.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn list_kv2(&self, mount: &str, path: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("{mount}/metadata/{path}")).await
    }

    /// The settings of a KV v2 engine.
    ///
    /// # Errors
    /// [`Error::Denied`] and what any request can come to.
    pub async fn kv_config(&self, mount: &str) -> Result<Option<KvConfig>, Error> {
        absent(self.data(Call::get(&format!("{mount}/config"))).await)
    }

    /// Sets the settings of a KV v2 engine.
    ///
    /// # Errors
    /// [`Error::Server`] with 400 in the first moments after mounting.
    pub async fn put_kv_config(&self, mount: &str, config: &KvConfig) -> Result<(), Error> {
        self.call(Call::post(&format!("{mount}/config"), json!(config))).await.map(drop)
    }
}

/// Keys with their values as OpenBao wrote them.
type Raw = BTreeMap<String, Box<RawValue>>;

/// `data` of a read of KV v2.
#[derive(Deserialize)]
struct Version {
    data: Option<Raw>,
    #[serde(default)]
    metadata: Value,
}

impl From<Version> for Kv {
    fn from(Version { data, metadata }: Version) -> Self {
        let version = metadata.get("version").and_then(Value::as_i64);
        match data {
            Some(keys) => Self::Value { values: values(keys), version },
            None => Self::Deleted { version },
        }
    }
}

fn version_of(data: &Value) -> Option<i64> {
    data.pointer("/metadata/version").and_then(Value::as_i64)
}

fn values(keys: Raw) -> Values {
    let text = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_else(|_| json_text(raw));
    Values(keys.into_iter().map(|(key, raw)| (key, SecretString::from(text(&raw)))).collect())
}

/// As compact JSON, every number digit by digit as it was stored. OpenBao escapes `<`, `>` and `&` in strings; here
/// they stand as they are.
fn json_text(raw: &RawValue) -> String {
    let text = raw.get();
    let read = |text: &str| match text.as_bytes().first()? {
        b'{' => {
            let members: Raw = serde_json::from_str(text).ok()?;
            let texts: Vec<String> =
                members.iter().map(|(key, value)| format!("{}:{}", json!(key), json_text(value))).collect();
            Some(format!("{{{}}}", texts.join(",")))
        }
        b'[' => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
            Some(format!("[{}]", items.iter().map(|item| json_text(item)).collect::<Vec<_>>().join(",")))
        }
        b'"' => Some(json!(serde_json::from_str::<String>(text).ok()?).to_string()),
        _ => None,
    };
    read(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn strings_stay_raw_and_the_rest_becomes_json() {
        let text = r#"{"data": {"a": "x\n", "b": {"e": ["\u003c\\u003c"], "c": 1}, "d": null,
            "n": [123456789012345678901234567890, 1.10, 1e400]}, "metadata": {"version": 3}}"#;
        let Kv::Value { values, version } = serde_json::from_str::<Version>(text).unwrap().into() else {
            panic!("a value")
        };
        assert_eq!(version, Some(3));
        assert_eq!(values.0["a"].expose_secret(), "x\n");
        assert_eq!(values.0["b"].expose_secret(), r#"{"c":1,"e":["<\\u003c"]}"#);
        assert_eq!(values.0["n"].expose_secret(), "[123456789012345678901234567890,1.10,1e400]");
        assert_eq!(values.0["d"].expose_secret(), "null");
        assert_eq!(format!("{values:?}"), r#"{"a", "b", "d", "n"}"#);
    }
}
