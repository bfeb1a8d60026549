//! Services of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::{ACTIVE, Cluster};
use crate::objects::{API_PORT, CLUSTER_PORT, METRICS_PORT, metadata, selector};

/// Services for all ready nodes, for the leader, for the stable host names of the pods, and for the metrics.
pub(crate) fn services(cluster: &Cluster) -> Vec<Service> {
    let mut leader = selector(cluster);
    leader.insert(ACTIVE.to_owned(), "true".to_owned());
    let (nodes, api) = (selector(cluster), port("api", API_PORT));
    let internal = vec![api.clone(), port("cluster", CLUSTER_PORT)];
    vec![
        service(cluster, "", load_balanced(nodes.clone(), api.clone())),
        service(cluster, "-active", load_balanced(leader, api)),
        service(cluster, "-internal", headless(nodes.clone(), internal)),
        service(cluster, "-metrics", headless(nodes, vec![port("metrics", METRICS_PORT)])),
    ]
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
    use super::*;
    use crate::tests::cluster;

    #[test]
    fn clients_the_leader_the_nodes_and_the_metrics_each_have_a_service() {
        insta::assert_yaml_snapshot!(services(&cluster()));
    }
}
