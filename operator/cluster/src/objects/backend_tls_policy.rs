//! BackendTLSPolicy of the Gateway API: a Gateway verifies the nodes' certificates.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::objects::metadata;

/// The fields of a BackendTLSPolicy that Steamer sets.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "gateway.networking.k8s.io", version = "v1", kind = "BackendTLSPolicy")]
#[kube(plural = "backendtlspolicies", namespaced, schema = "disabled", derive = "PartialEq")]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BackendTLSPolicySpec {
    target_refs: Vec<ObjectReference>,
    validation: Validation,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ObjectReference {
    group: String,
    kind: String,
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Validation {
    ca_certificate_refs: Vec<ObjectReference>,
    hostname: String,
}

/// The BackendTLSPolicy, if the spec has a Gateway and the nodes serve TLS. A Gateway verifies the nodes' certificates
/// with the cluster's CA and the host name of its Service.
pub(crate) fn backend_tls_policy(cluster: &Cluster) -> Option<BackendTLSPolicy> {
    let wanted = cluster.spec.gateway.is_some() && !cluster.is_plain();
    wanted.then(|| BackendTLSPolicy {
        metadata: metadata(cluster, &cluster.name.name),
        spec: BackendTLSPolicySpec {
            target_refs: vec![core("Service", cluster.name.name.clone())],
            validation: Validation {
                ca_certificate_refs: vec![core("ConfigMap", cluster.ca_config_map())],
                hostname: format!("{}.{}.svc", cluster.name.name, cluster.name.namespace),
            },
        },
    })
}

/// Reference to an object of the core API group.
fn core(kind: &str, name: String) -> ObjectReference {
    ObjectReference { group: String::new(), kind: kind.to_owned(), name }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::cluster_with;

    fn gateway() -> Value {
        json!({"host": "bao.example.com", "parentRef": {"name": "edge"}})
    }

    #[test]
    fn a_gateway_trusts_the_ca_of_the_cluster() {
        insta::assert_yaml_snapshot!(backend_tls_policy(&cluster_with(json!({"gateway": gateway()}))));
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({"gateway": gateway(), "tls": {"mode": "Disabled"}}))]
    fn without_a_gateway_or_tls_there_is_no_policy(#[case] fields: Value) {
        assert_eq!(backend_tls_policy(&cluster_with(fields)), None);
    }
}
