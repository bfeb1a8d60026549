//! The Kubernetes objects of a managed cluster, as values: one file a kind.

pub(crate) mod account;
pub(crate) mod configuration;
pub(crate) mod exposure;
pub(crate) mod initialization;
pub(crate) mod network_policy;
pub(crate) mod seal;
pub(crate) mod services;
pub(crate) mod stateful_set;

use serde_json::{Value, json};

use crate::cluster::{CLUSTER_LABEL, Cluster};

/// Labels that choose a cluster's pods.
pub(crate) fn selector(cluster: &Cluster) -> Value {
    json!({"app.kubernetes.io/name": "openbao", "app.kubernetes.io/instance": cluster.name.name, CLUSTER_LABEL: cluster.name.name})
}

/// Metadata of an object that goes with its cluster.
pub(crate) fn metadata(cluster: &Cluster, name: &str) -> Value {
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
pub(crate) fn disruption_budget(cluster: &Cluster) -> Option<Value> {
    let wanted = cluster.spec.pod_disruption_budget.enabled && cluster.spec.replicas > 1;
    wanted.then(|| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(cluster, &cluster.name.name),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(cluster)}},
        })
    })
}
