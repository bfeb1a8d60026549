//! Input of the templates.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::Serialize;
use steamer_core::Error;
use steamer_openbao::Json;
use steamer_template::{Value, decode};

use super::super::document::Document;

/// Annotation of kubectl with a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Prefix of Steamer's annotations, which request an action and describe no object.
const OWN: &str = "steamer.dev/";

/// The object that a value is rendered for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Subject {
    /// UID of the object: templates with random results have the same result at each refresh.
    pub(crate) uid: String,
    /// Labels of the object.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations of the object.
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Subject {
    /// The object with this metadata. Annotations of kubectl and of Steamer do not belong to the input.
    pub(crate) fn new(
        uid: String,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Self {
        let is_input = |key: &str| key != LAST_APPLIED && !key.starts_with(OWN);
        let annotations = annotations.iter().filter(|(key, _)| is_input(key));
        let annotations = annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { uid, labels: labels.clone(), annotations }
    }

    /// The input of the templates: `.Secrets`, `.Metadata`, `.Annotations` and `.Labels`. Of two documents with the same
    /// key, the last one is used.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a value that templates cannot read.
    pub(super) fn input(&self, documents: &[Document]) -> Result<Value, Error> {
        let mut secrets = BTreeMap::new();
        for (key, json) in documents.iter().flat_map(|document| &document.values.0) {
            secrets.insert(key.clone(), value(json).ok_or_else(unreadable)?);
        }
        let metadata = documents.iter().map(|document| &document.metadata).find(|found| found.is_object());
        let metadata = metadata.cloned().unwrap_or_else(|| serde_json::json!({}));
        Ok(Value::map([
            ("Secrets", Value::Map(secrets)),
            ("Metadata", Value::from(metadata)),
            ("Annotations", texts(&self.annotations)),
            ("Labels", texts(&self.labels)),
        ]))
    }
}

/// A value as templates read it. Decoded bytes that are no text stay encoded: a template can contain text only.
fn value(json: &Json) -> Option<Value> {
    let bytes = json.decoded().map(|bytes| std::str::from_utf8(bytes.expose_secret()));
    match bytes {
        Some(Ok(text)) => Some(Value::from(text)),
        Some(Err(_)) | None => decode(json.json().expose_secret().as_bytes()),
    }
}

fn texts(texts: &BTreeMap<String, String>) -> Value {
    Value::map(texts.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))))
}

fn unreadable() -> Error {
    Error::Invalid(
        "the value is nested too deeply for a template: remove destination.transformation".to_owned(),
    )
}
