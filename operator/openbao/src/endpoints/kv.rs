//! KV secrets engines, versions 1 and 2.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::session::{Call, absent};
use crate::values::{Raw, values};
use crate::{Deleted, Error, Session, Values};

/// Content of a path of a KV engine.
#[derive(Clone, Debug)]
pub enum Kv {
    /// The path has a value.
    Value {
        /// Keys and values.
        values: Values,
        /// Version of the value, KV v2 only.
        version: Option<i64>,
        /// Metadata of the version, KV v2 only; else null.
        metadata: Value,
    },
    /// The version was deleted or destroyed, KV v2 only.
    Deleted {
        /// Version that was deleted or destroyed.
        version: Option<i64>,
    },
    /// The path has never had a value.
    Absent,
}

impl Kv {
    /// Returns the approximate number of bytes in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        const ENTRY: usize = 128;
        let Self::Value { values, metadata, .. } = self else { return ENTRY };
        let entries =
            values.0.iter().map(|(key, value)| ENTRY + key.len() + value.json().expose_secret().len());
        ENTRY + entries.sum::<usize>() + metadata.to_string().len() * 4
    }
}

/// Settings of a KV v2 engine (`<mount>/config`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KvConfig {
    /// Number of versions to keep per secret.
    pub max_versions: i64,
    /// `true` requires writes to specify the version that they replace.
    pub cas_required: bool,
    /// Time after which a version is deleted, as a Go duration. `0s`: never.
    #[serde(deserialize_with = "go_duration")]
    pub delete_version_after: String,
}

/// OpenBao returns `0s` or `3h0m0s`; some versions return seconds as a number.
fn go_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(seconds) => format!("{seconds}s"),
        _ => "0s".to_owned(),
    })
}

impl Session {
    /// Reads a value of a KV v1 engine. Returns [`Kv::Absent`] for a path without a value. Other engines can give the same
    /// answers: see [`Session::kv_engine`].
    ///
    /// # Errors
    /// [`Error::Mount`] if nothing is mounted there. Any other [`Error`] of a request.
    pub async fn read_kv1(&self, mount: &str, path: &str) -> Result<Kv, Error> {
        match self.data(Call::get(&format!("{mount}/{path}"))).await {
            Ok(data) => Ok(Kv::Value { values: values(data), version: None, metadata: Value::Null }),
            Err(Error::NotFound { mounted: true, deleted: None, .. }) => Ok(Kv::Absent),
            Err(error) => Err(self.of_mount(mount, error)),
        }
    }

    /// Reads a value of a KV v2 engine: the latest version, or `version`. Returns [`Kv::Absent`] for a path without a
    /// value, and [`Kv::Deleted`] for a deleted or destroyed version.
    ///
    /// # Errors
    /// [`Error::Mount`] if nothing is mounted there, or another engine. Any other [`Error`] of a request.
    pub async fn read_kv2(&self, mount: &str, path: &str, version: Option<i64>) -> Result<Kv, Error> {
        let path = format!("{mount}/data/{path}");
        let mut call = Call::get(&path);
        if let Some(version) = version {
            call = call.query("version", version.to_string());
        }
        match self.data::<Version>(call).await {
            Ok(found) => found.kv().ok_or_else(|| self.other_engine(mount)),
            Err(Error::NotFound { mounted: true, deleted: None, .. }) => Ok(Kv::Absent),
            Err(Error::NotFound { deleted: Some(Deleted { version: Some(version) }), .. }) => {
                Ok(Kv::Deleted { version: Some(version) })
            }
            Err(error) => Err(self.of_mount(mount, error)),
        }
    }

    /// An answer that no KV engine gives for a missing value is not an absent value.
    pub(super) fn of_mount(&self, mount: &str, error: Error) -> Error {
        match error {
            Error::NotFound { mounted: false, .. } => Error::Mount {
                mount: self.namespace().path(mount),
                found: "does not exist: correct mount and namespace, or restore the mount".to_owned(),
            },
            Error::NotFound { .. } => self.other_engine(mount),
            error => error,
        }
    }

    fn other_engine(&self, mount: &str) -> Error {
        let found = "does not answer as a KV engine of that version: correct mount or type".to_owned();
        Error::Mount { mount: self.namespace().path(mount), found }
    }

    /// Writes a value of a KV v2 engine. Returns its version.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn write_kv2(&self, mount: &str, path: &str, values: &Value) -> Result<i64, Error> {
        let data: Value =
            self.data(Call::post(&format!("{mount}/data/{path}"), json!({"data": values}))).await?;
        Ok(data.get("version").and_then(Value::as_i64).unwrap_or_default())
    }

    /// Writes a value of a KV v1 engine.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn write_kv1(&self, mount: &str, path: &str, values: &Value) -> Result<(), Error> {
        self.call(Call::post(&format!("{mount}/{path}"), values.clone())).await.map(drop)
    }

    /// Deletes a value of a KV v2 engine with all its versions and metadata. No-op if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn delete_kv2(&self, mount: &str, path: &str) -> Result<(), Error> {
        absent(self.call(Call::delete(&format!("{mount}/metadata/{path}"))).await).map(drop)
    }

    /// Returns the names below a path of a KV v2 engine.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn list_kv2(&self, mount: &str, path: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("{mount}/metadata/{path}")).await
    }

    /// Returns the names below a path of a KV v1 engine.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn list_kv1(&self, mount: &str, path: &str) -> Result<Vec<String>, Error> {
        self.names(&format!("{mount}/{path}")).await
    }

    /// Returns the names below a path of a KV v2 engine, each with its custom metadata. The names of folders end with `/`
    /// and have none.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn list_kv2_details(&self, mount: &str, path: &str) -> Result<CustomMetadata, Error> {
        let path = format!("{mount}/detailed-metadata/{path}");
        let details: Option<Details> = absent(self.data(Call::list(&path)).await)?;
        let Details { keys, mut key_info } = details.unwrap_or_default();
        let custom = |info: Option<Info>| info.and_then(|info| info.custom_metadata).unwrap_or_default();
        Ok(keys.into_iter().map(|key| (key.clone(), custom(key_info.remove(&key)))).collect())
    }

    /// Returns the settings of a KV v2 engine, or `None` if it does not exist.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn kv_config(&self, mount: &str) -> Result<Option<KvConfig>, Error> {
        absent(self.data(Call::get(&format!("{mount}/config"))).await)
    }

    /// Writes the settings of a KV v2 engine.
    ///
    /// # Errors
    /// [`Error::Server`] with status 400 shortly after mounting. Any other [`Error`] of a request.
    pub async fn put_kv_config(&self, mount: &str, config: &KvConfig) -> Result<(), Error> {
        self.call(Call::post(&format!("{mount}/config"), json!(config))).await.map(drop)
    }
}

/// Custom metadata by name.
pub type CustomMetadata = BTreeMap<String, BTreeMap<String, String>>;

/// Field `data` of a list with details.
#[derive(Default, Deserialize)]
struct Details {
    keys: Vec<String>,
    #[serde(default)]
    key_info: BTreeMap<String, Info>,
}

/// Details of a name.
#[derive(Deserialize)]
struct Info {
    custom_metadata: Option<BTreeMap<String, String>>,
}

/// Field `data` of a read of KV v2.
#[derive(Deserialize)]
struct Version {
    data: Option<Raw>,
    #[serde(default)]
    metadata: Value,
}

impl Version {
    /// The value. `None` without a number of the version: no answer of KV v2.
    fn kv(self) -> Option<Kv> {
        let Self { data, metadata } = self;
        let version = Some(metadata.get("version")?.as_i64()?);
        Some(match data {
            Some(keys) => Kv::Value { values: values(keys), version, metadata },
            None => Kv::Deleted { version },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_kept_and_other_values_become_json() {
        let text = r#"{"data": {"a": "x\n", "b": {"c": 1, "e": ["\u003c\\u003c"]}, "d": null,
            "n": [123456789012345678901234567890, 1.10, 1e400]}, "metadata": {"version": 3}}"#;
        let Kv::Value { values, version, .. } = serde_json::from_str::<Version>(text).unwrap().kv().unwrap()
        else {
            panic!("a value")
        };
        assert_eq!(version, Some(3));
        assert_eq!(values.0["a"].text().expose_secret(), "x\n");
        assert_eq!(values.0["b"].text().expose_secret(), r#"{"c":1,"e":["<\\u003c"]}"#);
        assert_eq!(values.0["n"].text().expose_secret(), "[123456789012345678901234567890,1.10,1e400]");
        assert_eq!(values.0["d"].text().expose_secret(), "null");
        assert_eq!(format!("{values:?}"), r#"{"a", "b", "d", "n"}"#);
        assert!(values.0["a"].is_string() && !values.0["d"].is_string());
        let whole = values.json();
        let expected = r#"{"a":"x\n","b":{"c":1,"e":["<\\u003c"]},"d":null,"n":[123456789012345678901234567890,1.10,1e400]}"#;
        assert_eq!(whole.json().expose_secret(), expected);
    }
}
