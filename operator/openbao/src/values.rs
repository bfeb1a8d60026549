//! Keys and values of secrets.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::json::compact;

/// Keys and values of a secret. `Debug` shows only the keys.
#[derive(Clone, Default)]
pub struct Values(pub BTreeMap<String, Json>);

/// The values of a JSON object. Empty for any other JSON.
impl From<&Value> for Values {
    fn from(object: &Value) -> Self {
        let entries = object.as_object().into_iter().flatten();
        Self(entries.map(|(key, value)| (key.clone(), Json::new(value.to_string().into()))).collect())
    }
}

impl Values {
    /// The values as one JSON object, with every number exactly as OpenBao returned it.
    #[must_use]
    pub fn json(&self) -> Json {
        let entry =
            |(key, value): (&String, &Json)| format!("{}:{}", json!(key), value.compact().expose_secret());
        let entries: Vec<String> = self.0.iter().map(entry).collect();
        Json::new(format!("{{{}}}", entries.join(",")).into())
    }

    /// The values as one parsed JSON object.
    pub(crate) fn object(&self) -> Value {
        let parsed = |value: &Json| serde_json::from_str(value.json().expose_secret()).unwrap_or_default();
        Value::Object(self.0.iter().map(|(key, value)| (key.clone(), parsed(value))).collect::<Map<_, _>>())
    }

    /// Returns the integer of a key, such as the remaining lifetime of a static role. `None` if the key contains no integer.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.0.get(key)?.text().expose_secret().parse().ok()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A secret value as JSON, with every number exactly as OpenBao returned it. It has no `Debug`.
#[derive(Clone)]
pub struct Json {
    json: SecretString,
    decoded: Option<SecretSlice<u8>>,
}

impl Json {
    /// A JSON string.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::new(Value::from(text).to_string().into())
    }

    fn new(json: SecretString) -> Self {
        Self { json, decoded: None }
    }

    /// The value with the bytes that its text encodes.
    #[must_use]
    pub fn with_bytes(&self, bytes: SecretSlice<u8>) -> Self {
        Self { decoded: Some(bytes), ..self.clone() }
    }

    /// The bytes that the text encodes, if they were decoded.
    #[must_use]
    pub fn decoded(&self) -> Option<&SecretSlice<u8>> {
        self.decoded.as_ref()
    }

    /// Returns true for a string.
    #[must_use]
    pub fn is_string(&self) -> bool {
        self.json.expose_secret().starts_with('"')
    }

    /// The value as text: a string without its quotes, any other value as compact JSON.
    #[must_use]
    pub fn text(&self) -> SecretString {
        let text = self.json.expose_secret();
        serde_json::from_str::<String>(text).unwrap_or_else(|_| compact(text)).into()
    }

    /// The value as compact JSON.
    #[must_use]
    pub fn compact(&self) -> SecretString {
        compact(self.json.expose_secret()).into()
    }

    /// The value as the JSON text that OpenBao returned.
    #[must_use]
    pub fn json(&self) -> &SecretString {
        &self.json
    }
}

/// Keys with their values as OpenBao returned them.
pub(crate) type Raw = BTreeMap<String, Box<RawValue>>;

pub(crate) fn values(keys: Raw) -> Values {
    let json = |raw: Box<RawValue>| Json::new(SecretString::from(Box::<str>::from(raw)));
    Values(keys.into_iter().map(|(key, raw)| (key, json(raw))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_of_a_value_is_read_from_numbers_and_strings() {
        let values = Values::from(&json!({"ttl": 17, "text": "18", "other": "x"}));
        assert_eq!(values.integer("ttl"), Some(17));
        assert_eq!(values.integer("text"), Some(18));
        assert_eq!((values.integer("other"), values.integer("none")), (None, None));
    }

    #[test]
    fn a_text_is_written_as_a_json_string() {
        let values = Values(BTreeMap::from([("a".to_owned(), Json::string("x\"\n"))]));
        assert_eq!(values.object(), json!({"a": "x\"\n"}));
    }
}
