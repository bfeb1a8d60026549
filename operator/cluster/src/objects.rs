//! Builders of the Kubernetes objects of a managed cluster, one kind per file, and of OpenBao's own configuration.

pub(crate) mod account;
pub(crate) mod audit_volume;
pub(crate) mod backend_tls_policy;
pub(crate) mod config_map;
pub(crate) mod configuration;
pub(crate) mod disruption_budget;
pub(crate) mod http_route;
pub(crate) mod ingress;
pub(crate) mod initialization;
pub(crate) mod network_policy;
pub(crate) mod private_server;
mod quantity;
pub(crate) mod relay;
pub(crate) mod seal;
pub(crate) mod secret;
pub(crate) mod service_monitor;
pub(crate) mod services;
pub(crate) mod stateful_set;
pub(crate) mod validation_job;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource;
use steamer_api::OpenBaoCluster;

use crate::cluster::{CLUSTER_LABEL, Cluster};

/// Port of OpenBao's API.
pub(crate) const API_PORT: u16 = 8200;
/// Port for requests that nodes forward to the leader.
pub(crate) const CLUSTER_PORT: u16 = 8201;
/// Port of the metrics, also used by probes.
pub(crate) const METRICS_PORT: u16 = 9101;
/// Port at which a relay reports writes. OpenBao also binds the port above each of its listeners: 8201 and 9102.
pub(crate) const RELAY_PORT: u16 = 9104;
/// Loopback port at which a relay receives audit entries.
pub(crate) const RELAY_AUDIT_PORT: u16 = 9103;

/// Labels that select the pods of a cluster.
pub(crate) fn selector(cluster: &Cluster) -> BTreeMap<String, String> {
    let name = cluster.name.name.as_str();
    let labels =
        [("app.kubernetes.io/name", "openbao"), ("app.kubernetes.io/instance", name), (CLUSTER_LABEL, name)];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

/// Selector of the pods of a cluster.
pub(crate) fn pods(cluster: &Cluster) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(cluster)), match_expressions: None }
}

/// Metadata of an object that is garbage-collected with its cluster.
pub(crate) fn metadata(cluster: &Cluster, name: &str) -> ObjectMeta {
    let owner = OwnerReference {
        api_version: OpenBaoCluster::api_version(&()).into_owned(),
        kind: OpenBaoCluster::kind(&()).into_owned(),
        name: cluster.name.name.clone(),
        uid: cluster.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    };
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(cluster.name.namespace.clone()),
        labels: Some(selector(cluster)),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}
