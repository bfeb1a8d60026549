//! A Secret as it should be, and how it differs from what is there.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use steamer_openbao::Values;
use steamer_runtime::Name;

use super::mac::Mac;
use super::observed::Observed;
use crate::error::Error;
use crate::ownership::Mark;

/// Marks a Secret as one of Steamer's; what is watched.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "steamer");
/// Says which object a Secret belongs to.
pub(crate) const OWNER: &str = "steamer.dev/owner";
/// Lists the labels and annotations that Steamer has set: what is not wanted any more is taken away by it.
pub(crate) const APPLIED: &str = "steamer.dev/applied";

/// A Secret as it should be.
pub(crate) struct Wanted {
    pub(crate) name: Name,
    pub(crate) data: BTreeMap<String, SecretString>,
    pub(crate) type_: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) owner: Option<OwnerReference>,
    pub(crate) mark: Mark,
}

/// What a [`Wanted`] comes to without its values: kept in memory to notice drift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) mac: String,
    pub(crate) type_: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owner_uid: Option<String>,
}

/// The values of a KV secret as the data of a Secret.
pub(crate) fn data(values: &Values) -> Result<BTreeMap<String, SecretString>, Error> {
    if let Some(key) = values.0.keys().find(|key| !is_key(key)) {
        return Err(Error::Invalid(format!(
            "key `{key}` cannot be a key of a Secret, which takes letters, digits, -, _ and . only, at most 253, and no \
             .. at the start: rename it in OpenBao"
        )));
    }
    // As the API server counts: values without their keys.
    let size: usize = values.0.values().map(|value| value.expose_secret().len()).sum();
    if size > 1024 * 1024 {
        return Err(Error::Invalid(format!("the value has {size} bytes; a Secret takes 1048576 at most")));
    }
    Ok(values.0.clone())
}

/// Whether the API server takes it as a key of a Secret.
fn is_key(key: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    (1..=253).contains(&key.len()) && key.chars().all(allowed) && key != "." && !key.starts_with("..")
}

impl Wanted {
    pub(crate) fn shape(&self, mac: &Mac) -> Shape {
        Shape {
            mac: mac
                .of(self.data.iter().map(|(key, value)| (key.as_str(), value.expose_secret().as_bytes()))),
            type_: self.type_.clone(),
            labels: self.all_labels(),
            annotations: self.all_annotations(),
            owner_uid: self.owner.as_ref().map(|owner| owner.uid.clone()),
        }
    }

    fn all_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        labels
    }

    fn all_annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.annotations.clone();
        annotations.insert(OWNER.to_owned(), self.mark.to_string());
        let applied = json!({
            "labels": self.labels.keys().collect::<Vec<_>>(),
            "annotations": self.annotations.keys().collect::<Vec<_>>(),
        });
        annotations.insert(APPLIED.to_owned(), applied.to_string());
        annotations
    }

    fn encoded(&self) -> Map<String, Value> {
        let encode = |value: &SecretString| Value::String(STANDARD.encode(value.expose_secret()));
        self.data.iter().map(|(key, value)| (key.clone(), encode(value))).collect()
    }

    /// The body of the first write.
    pub(crate) fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": self.name.namespace,
                "name": self.name.name,
                "labels": self.all_labels(),
                "annotations": self.all_annotations(),
                "ownerReferences": self.owner.iter().collect::<Vec<_>>(),
            },
            "type": self.type_,
            "data": self.encoded(),
        })
    }

    /// The one write that makes what was observed right: our labels and annotations set and stale ones of ours taken
    /// away, the data replaced whole. Guarded: if someone writes in between it is refused.
    pub(crate) fn patch(&self, observed: &Observed) -> Value {
        let mut data = self.encoded();
        for key in observed.keys.iter().filter(|key| !self.data.contains_key(*key)) {
            data.insert(key.clone(), Value::Null);
        }
        let applied = observed.applied();
        json!({
            "metadata": {
                "uid": observed.uid,
                "resourceVersion": observed.resource_version.to_string(),
                "labels": with_removals(&self.all_labels(), &applied.labels),
                "annotations": with_removals(&self.all_annotations(), &applied.annotations),
                "ownerReferences": self.owner_references(observed),
            },
            "data": data,
        })
    }

    fn owner_references(&self, observed: &Observed) -> Vec<OwnerReference> {
        let ours = |reference: &&OwnerReference| !reference.api_version.starts_with("steamer.dev/");
        observed.owners.iter().filter(ours).cloned().chain(self.owner.clone()).collect()
    }
}

fn with_removals(wanted: &BTreeMap<String, String>, applied: &[String]) -> Map<String, Value> {
    let gone = applied.iter().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    wanted.iter().map(|(key, value)| (key.clone(), json!(value))).chain(gone).collect()
}

impl Shape {
    /// Whether what was observed is right. Labels and annotations of others do not matter; data does, all of it.
    pub(crate) fn fits(&self, observed: &Observed) -> bool {
        let within = |ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
            ours.iter().all(|(key, value)| theirs.get(key) == Some(value))
        };
        let applied = observed.applied();
        let stale =
            |applied: &[String], ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
                applied.iter().any(|key| !ours.contains_key(key) && theirs.contains_key(key))
            };
        let ours = |reference: &&OwnerReference| reference.api_version.starts_with("steamer.dev/");
        self.mac == observed.mac
            && self.type_ == observed.type_
            && within(&self.labels, &observed.labels)
            && within(&self.annotations, &observed.annotations)
            && !stale(&applied.labels, &self.labels, &observed.labels)
            && !stale(&applied.annotations, &self.annotations, &observed.annotations)
            && self.owner_uid.as_ref() == observed.owners.iter().find(ours).map(|reference| &reference.uid)
    }
}
