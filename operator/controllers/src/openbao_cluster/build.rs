//! The Kubernetes objects of a managed cluster, as values: one file a kind.

pub(super) mod account;
pub(super) mod configuration;
pub(super) mod exposure;
pub(super) mod initialization;
pub(super) mod network_policy;
pub(super) mod seal;
pub(super) mod services;
pub(super) mod stateful_set;

use serde_json::{Value, json};

use super::cluster::{CLUSTER_LABEL, Cluster};

/// Labels that choose a cluster's pods.
pub(super) fn selector(cluster: &Cluster) -> Value {
    json!({"app.kubernetes.io/name": "openbao", "app.kubernetes.io/instance": cluster.name.name, CLUSTER_LABEL: cluster.name.name})
}

/// Metadata of an object that goes with its cluster.
pub(super) fn metadata(cluster: &Cluster, name: &str) -> Value {
    json!({
        "name": name, "namespace": cluster.name.namespace,
        "labels": selector(cluster),
        "ownerReferences": [{
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "name": cluster.name.name,
            "uid": cluster.uid, "controller": true, "blockOwnerDeletion": false,
        }],
    })
}

/// How many nodes an eviction leaves.
pub(super) fn disruption_budget(cluster: &Cluster) -> Option<Value> {
    let wanted = cluster.spec.pod_disruption_budget.enabled && cluster.spec.replicas > 1;
    wanted.then(|| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(cluster, &cluster.name.name),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(cluster)}},
        })
    })
}
