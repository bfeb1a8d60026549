//! Labels and annotations of templates in a Secret. They depend on the value, which a pass without a read does not know: an
//! annotation of the Secret states their keys and a keyed digest, so that an edit of another client is found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steamer_core::mac::Mac;
use steamer_runtime::ObjectName;

use super::transformation::Metadata;

/// Labels and annotations of templates, as far as they are known.
#[derive(Clone, PartialEq)]
pub(crate) enum Templated {
    /// The spec has none.
    None,
    /// The value was not rendered.
    Unknown,
    Known(Sealed),
}

/// Labels and annotations of templates with their digest.
#[derive(Clone, PartialEq)]
pub(crate) struct Sealed {
    pub(crate) metadata: Metadata,
    mac: String,
}

/// Keys and digest in an annotation of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    labels: Vec<String>,
    annotations: Vec<String>,
    mac: String,
}

impl Sealed {
    pub(crate) fn new(metadata: Metadata, mac: &Mac, secret: &ObjectName) -> Self {
        let mac = digest(&metadata, mac, secret);
        Self { metadata, mac }
    }

    /// The labels and annotations that a Secret contains, if they are those of the record.
    pub(crate) fn found(
        record: &Record,
        (labels, annotations): (&BTreeMap<String, String>, &BTreeMap<String, String>),
        mac: &Mac,
        secret: &ObjectName,
    ) -> Option<Self> {
        let metadata = Metadata {
            labels: chosen(labels, &record.labels)?,
            annotations: chosen(annotations, &record.annotations)?,
        };
        Some(Self::new(metadata, mac, secret)).filter(|sealed| sealed.mac == record.mac)
    }

    pub(crate) fn record(&self) -> Record {
        let keys = |texts: &BTreeMap<String, String>| texts.keys().cloned().collect();
        let Metadata { labels, annotations } = &self.metadata;
        Record { labels: keys(labels), annotations: keys(annotations), mac: self.mac.clone() }
    }
}

fn chosen(texts: &BTreeMap<String, String>, keys: &[String]) -> Option<BTreeMap<String, String>> {
    keys.iter().map(|key| Some((key.clone(), texts.get(key)?.clone()))).collect()
}

fn digest(metadata: &Metadata, mac: &Mac, secret: &ObjectName) -> String {
    let of = |texts: &BTreeMap<String, String>| {
        mac.of(texts.iter().map(|(key, text)| (key.as_str(), text.as_bytes())))
    };
    let (labels, annotations, name) = (of(&metadata.labels), of(&metadata.annotations), secret.to_string());
    mac.of([
        ("secret", name.as_bytes()),
        ("labels", labels.as_bytes()),
        ("annotations", annotations.as_bytes()),
    ])
}
