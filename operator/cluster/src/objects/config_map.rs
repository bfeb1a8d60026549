//! ConfigMaps of a cluster: configuration, first start, CA.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use steamer_core::digest::digest;

use crate::cluster::Cluster;
use crate::objects::metadata;

/// Name of the ConfigMap of a configuration, with a digest of its text.
pub(crate) fn config_map_name(cluster: &Cluster, configuration: &Value) -> String {
    format!("{}-config-{}", cluster.name.name, &digest(configuration.to_string().as_bytes())[..10])
}

/// Configuration that nodes mount. It is immutable: a node that restarts before its turn in a rollout starts with its
/// own configuration.
pub(crate) fn config_map(cluster: &Cluster, configuration: &Value) -> ConfigMap {
    let name = config_map_name(cluster, configuration);
    ConfigMap {
        immutable: Some(true),
        ..with_entry(cluster, &name, "openbao.json", configuration.to_string())
    }
}

/// Self-initialization that nodes mount until the storage is initialized.
pub(crate) fn initialization(cluster: &Cluster, initialization: &Value) -> ConfigMap {
    with_entry(cluster, &cluster.initialization_config_map(), "initialize.json", initialization.to_string())
}

/// CA certificates that clients trust.
pub(crate) fn authority(cluster: &Cluster, bundle: &str) -> ConfigMap {
    with_entry(cluster, &cluster.ca_config_map(), "ca.crt", bundle.to_owned())
}

/// A ConfigMap with one entry.
pub(crate) fn with_entry(cluster: &Cluster, name: &str, key: &str, value: String) -> ConfigMap {
    ConfigMap {
        metadata: metadata(cluster, name),
        data: Some([(key.to_owned(), value)].into()),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::cluster;

    #[test]
    fn a_configuration_is_immutable_and_named_after_its_text() {
        insta::assert_yaml_snapshot!(config_map(&cluster(), &json!({"ui": false})));
        let name = |configuration| config_map_name(&cluster(), &configuration);
        assert_eq!(name(json!({"a": 1, "b": 2})), name(json!({"b": 2, "a": 1})));
        assert_ne!(name(json!({"a": 1})), name(json!({"a": 2})));
    }

    #[test]
    fn initialization_and_ca_can_change() {
        insta::assert_yaml_snapshot!([
            initialization(&cluster(), &json!({"initialize": []})),
            authority(&cluster(), "PEM")
        ]);
    }
}
