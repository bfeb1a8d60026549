//! Fields that all objects have.

use serde_json::{Map, Value, json};

use crate::resource::{Class, Place};
use crate::settings::Settings;

/// The fields of a spec that all kinds have. A role of a database has the placement of its connection.
pub(crate) fn spec(place: &Place, settings: &Settings) -> Map<String, Value> {
    let mut spec = Map::new();
    spec.insert("adopt".to_owned(), json!("IfUnowned"));
    if settings.observe {
        spec.insert("mode".to_owned(), json!("Observe"));
    }
    if matches!(place.class, Class::DynamicRole | Class::StaticRole) {
        return spec;
    }
    let mut cluster = json!({"name": settings.cluster});
    if let Some(namespace) = &settings.cluster_namespace {
        cluster["namespace"] = json!(namespace);
    }
    spec.insert("clusterRef".to_owned(), cluster);
    if !place.namespace.is_empty() {
        spec.insert("namespace".to_owned(), json!(place.namespace));
    }
    spec
}

/// An object.
pub(crate) fn object(kind: &str, name: &str, spec: Map<String, Value>, settings: &Settings) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = &settings.kubernetes_namespace {
        metadata["namespace"] = json!(namespace);
    }
    let version = format!("{}/{}", steamer_api::GROUP, steamer_api::VERSION);
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}
