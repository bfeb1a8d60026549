//! Data of a template.

use std::collections::BTreeMap;

/// A JSON value that keeps the text of its numbers, as Vault's client does.
///
/// It has no `Debug`, because it contains secrets.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A number as it is written in the JSON document: `1.50` stays `1.50`.
    Number(String),
    /// A string.
    String(String),
    /// An array.
    List(Vec<Self>),
    /// An object, in the order of its keys.
    Map(BTreeMap<String, Self>),
}

impl Value {
    /// An object with these entries.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

/// Numbers are written as `serde_json` writes them. [`crate::decode`] keeps their original text.
impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(bool),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                Self::map(entries.into_iter().map(|(key, value)| (key, Self::from(value))))
            }
        }
    }
}
