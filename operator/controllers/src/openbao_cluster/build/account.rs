use serde_json::{Value, json};

use super::metadata;
use crate::openbao_cluster::cluster::Cluster;

/// The pods' ServiceAccount, and its right to label its own cluster's pods: OpenBao says there who leads.
pub(in crate::openbao_cluster) fn account(cluster: &Cluster) -> [Value; 3] {
    let name = &cluster.name.name;
    let mut account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(cluster, name)});
    if !cluster.spec.service_account.annotations.is_empty() {
        account["metadata"]["annotations"] = json!(cluster.spec.service_account.annotations);
    }
    let pods: Vec<String> = (0..cluster.spec.replicas.max(5)).map(|ordinal| cluster.pod(ordinal)).collect();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(cluster, name),
        "rules": [{"apiGroups": [""], "resources": ["pods"], "resourceNames": pods, "verbs": ["get", "patch", "update"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata(cluster, name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": cluster.name.namespace}],
    });
    [account, role, binding]
}
