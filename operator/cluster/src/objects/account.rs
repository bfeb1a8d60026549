use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::objects::metadata;

/// The pods' ServiceAccount. It may do nothing: who leads is labelled by Steamer, so that no node needs the Kubernetes API.
pub(crate) fn account(cluster: &Cluster) -> Value {
    let name = &cluster.name.name;
    let mut account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(cluster, name)});
    if !cluster.spec.service_account.annotations.is_empty() {
        account["metadata"]["annotations"] = json!(cluster.spec.service_account.annotations);
    }
    account
}
