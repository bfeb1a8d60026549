//! Labels and annotations of an object of the input.

use serde_json::{Map, Value, json};

use crate::cursor::Cursor;
use crate::leftovers::Advice;

/// Fields that the API server sets, and that a converted object does not have.
const SERVER: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "finalizers",
    "ownerReferences",
    "generateName",
];
/// Copies of the object, and marks of tools that deployed it: a tool that deploys the converted object sets its own.
const TOOLS: &[&str] = &[
    "helm.sh/",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "kubectl.kubernetes.io/",
    "config.kubernetes.io/",
    "vso.secrets.hashicorp.com/",
    "reconcile.external-secrets.io/",
    "force-sync",
    "steamer.dev/",
];

/// What to do about fields that remain.
pub(crate) const ADVICE: &[Advice] = &[(
    "*",
    "metadata",
    "set by a deployment tool or by the former operator, and not copied: deploy the converted object with the same tool",
)];

/// Labels and annotations that a converted object keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) labels: Map<String, Value>,
    pub(crate) annotations: Map<String, Value>,
}

impl Metadata {
    /// Takes labels and annotations. Those of tools stay.
    pub(crate) fn taken(root: &mut Cursor) -> Self {
        let taken = root.within("metadata", |metadata| {
            for field in SERVER {
                metadata.take(field);
            }
            metadata
                .within("annotations", |all| all.take("kubectl.kubernetes.io/last-applied-configuration"));
            Self { labels: kept(metadata, "labels"), annotations: kept(metadata, "annotations") }
        });
        taken.unwrap_or_default()
    }
}

fn kept(metadata: &mut Cursor, field: &str) -> Map<String, Value> {
    let keys: Vec<String> = match metadata.peek(field) {
        Some(Value::Object(all)) => all.keys().filter(|key| !is_of_a_tool(key)).cloned().collect(),
        _ => return Map::new(),
    };
    let taken = metadata.within(field, |all| {
        all.expect("app.kubernetes.io/managed-by", &json!("Helm"));
        let take = |key: String| all.take_if(&key, Value::is_string).map(|value| (key, value));
        keys.into_iter().filter_map(take).collect()
    });
    taken.unwrap_or_default()
}

fn is_of_a_tool(key: &str) -> bool {
    TOOLS.iter().any(|start| key.starts_with(start))
}
