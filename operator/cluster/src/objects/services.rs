//! Services of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::{ACTIVE, Cluster};
use crate::objects::{API_PORT, CLUSTER_PORT, METRICS_PORT, metadata, selector};

/// Suffix of the Service of the standbys.
pub(crate) const STANDBY: &str = "-standby";

/// Services for all ready nodes, for the leader, for the stable host names of the pods, and for the metrics.
pub(crate) fn services(cluster: &Cluster) -> Vec<Service> {
    let (nodes, api) = (selector(cluster), port("api", API_PORT));
    let internal = vec![api.clone(), port("cluster", CLUSTER_PORT)];
    let mut all = vec![
        service(cluster, "", load_balanced(nodes.clone(), api.clone())),
        service(cluster, "-active", load_balanced(in_role(cluster, "true"), api.clone())),
        service(cluster, "-internal", headless(nodes.clone(), internal)),
        service(cluster, "-metrics", headless(nodes, vec![port("metrics", METRICS_PORT)])),
    ];
    if cluster.spec.standby_reads {
        all.push(service(cluster, STANDBY, load_balanced(in_role(cluster, "false"), api)));
    }
    all
}

/// Name of the Service of the standbys, if it must not exist: without standby reads each of them forwards to the leader.
pub(crate) fn unwanted(cluster: &Cluster) -> Option<String> {
    (!cluster.spec.standby_reads).then(|| cluster.child(STANDBY))
}

/// Labels that select the leader, or the standbys.
fn in_role(cluster: &Cluster, active: &str) -> BTreeMap<String, String> {
    let mut labels = selector(cluster);
    labels.insert(ACTIVE.to_owned(), active.to_owned());
    labels
}

fn service(cluster: &Cluster, suffix: &str, spec: ServiceSpec) -> Service {
    Service { metadata: metadata(cluster, &cluster.child(suffix)), spec: Some(spec), status: None }
}

/// One address for the ready pods.
fn load_balanced(selector: BTreeMap<String, String>, port: ServicePort) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        selector: Some(selector),
        ports: Some(vec![port]),
        publish_not_ready_addresses: Some(false),
        ..ServiceSpec::default()
    }
}

/// One address per pod, ready or not.
fn headless(selector: BTreeMap<String, String>, ports: Vec<ServicePort>) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        cluster_ip: Some("None".to_owned()),
        selector: Some(selector),
        ports: Some(ports),
        publish_not_ready_addresses: Some(true),
        ..ServiceSpec::default()
    }
}

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number.into(),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn clients_the_leader_the_nodes_and_the_metrics_each_have_a_service() {
        insta::assert_yaml_snapshot!(services(&cluster()));
    }

    #[test]
    fn standbys_have_a_service_only_if_they_answer_reads() {
        let reading = cluster_with(json!({"standbyReads": true}));
        let standbys = services(&reading).pop().unwrap();
        assert_eq!(standbys.metadata.name.as_deref(), Some("main-standby"));
        assert_eq!(standbys.spec.unwrap().selector.unwrap()[ACTIVE], "false");
        assert_eq!(unwanted(&reading), None);
        assert_eq!(unwanted(&cluster()).as_deref(), Some("main-standby"));
    }
}
