//! NetworkPolicy of the pods.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use steamer_api::SocketProtocol;

use crate::audit::targets;
use crate::cluster::{CLUSTER_LABEL, Cluster};
use crate::objects::initialization::AdministratorIssuer;
use crate::objects::seal::SealSettings;
use crate::objects::{API_PORT, CLUSTER_PORT, METRICS_PORT, RELAY_PORT, metadata};

/// Allows all clients to reach the API and the relay, which both require a token, the peers in the spec to read the metrics,
/// and only nodes to reach the cluster port. Nodes may connect to PostgreSQL, DNS, the API server, each other, and to whatever the seal and the audit devices
/// need. The latter have host names as addresses, so they are allowed by port: `ports` are those of the seal and of the
/// issuers of administrators.
pub(crate) fn network_policy(cluster: &Cluster, ports: &[u16]) -> Option<NetworkPolicy> {
    cluster.spec.network_policy.enabled.then(|| NetworkPolicy {
        metadata: metadata(cluster, &cluster.name.name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(processes(cluster)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress(cluster)),
            egress: Some(egress(cluster, ports)),
        }),
    })
}

/// Adds the egress rules of the live policy that the desired one does not contain.
pub(crate) fn keep_egress(policy: &mut NetworkPolicy, live: Option<&NetworkPolicy>) {
    let live = live.and_then(|live| live.spec.as_ref()?.egress.as_ref());
    if let Some(egress) = policy.spec.as_mut().and_then(|spec| spec.egress.as_mut()) {
        let added: Vec<_> =
            live.into_iter().flatten().filter(|rule| !egress.contains(rule)).cloned().collect();
        egress.extend(added);
    }
}

/// Ports of the seal and of the issuers of administrators.
pub(crate) fn outside_ports(seal: &SealSettings, issuers: &[AdministratorIssuer]) -> Vec<u16> {
    seal.ports.iter().copied().chain(issuers.iter().filter_map(AdministratorIssuer::port)).collect()
}

fn ingress(cluster: &Cluster) -> Vec<NetworkPolicyIngressRule> {
    let rule = |from, ports| NetworkPolicyIngressRule { from, ports: Some(ports) };
    let readers = &cluster.spec.network_policy.metrics_from;
    let relay = cluster.relay.as_ref().map(|_| tcp(RELAY_PORT));
    vec![
        rule(None, std::iter::once(tcp(API_PORT)).chain(relay).collect()),
        rule((!readers.is_empty()).then(|| readers.clone()), vec![tcp(METRICS_PORT)]),
        rule(Some(nodes(cluster)), vec![tcp(CLUSTER_PORT)]),
    ]
}

fn egress(cluster: &Cluster, ports: &[u16]) -> Vec<NetworkPolicyEgressRule> {
    let rule = |to, ports| NetworkPolicyEgressRule { to, ports: Some(ports) };
    let mut all = vec![
        rule(Some(nodes(cluster)), vec![tcp(API_PORT), tcp(CLUSTER_PORT)]),
        rule(None, vec![udp(53), tcp(53)]),
        rule(None, outside(cluster, ports)),
    ];
    all.extend(cluster.spec.network_policy.egress.iter().cloned());
    all
}

/// Ports of PostgreSQL, the API server, the audit devices, those in the spec, and the given ones.
fn outside(cluster: &Cluster, given: &[u16]) -> Vec<NetworkPolicyPort> {
    let (udp_targets, tcp_targets): (Vec<_>, Vec<_>) =
        targets(cluster).into_iter().partition(|target| target.protocol == SocketProtocol::Udp);
    let mut ports = vec![cluster.owner.port, 443, 6443];
    ports.extend(given);
    ports.extend(&cluster.spec.network_policy.egress_ports);
    ports.extend(tcp_targets.iter().map(|target| target.port));
    ports.sort_unstable();
    ports.dedup();
    ports.into_iter().map(tcp).chain(udp_targets.iter().map(|target| udp(target.port))).collect()
}

/// All processes of the cluster: nodes, and break-glass.
fn processes(cluster: &Cluster) -> LabelSelector {
    let label = (CLUSTER_LABEL.to_owned(), cluster.name().to_owned());
    LabelSelector { match_labels: Some([label].into()), match_expressions: None }
}

fn nodes(cluster: &Cluster) -> Vec<NetworkPolicyPeer> {
    vec![NetworkPolicyPeer { pod_selector: Some(processes(cluster)), ..NetworkPolicyPeer::default() }]
}

fn tcp(number: u16) -> NetworkPolicyPort {
    port("TCP", number)
}

fn udp(number: u16) -> NetworkPolicyPort {
    port("UDP", number)
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(number.into())),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn nodes_reach_what_they_need_and_only_nodes_reach_the_cluster_port() {
        insta::assert_yaml_snapshot!(network_policy(&cluster(), &[8443]));
    }

    #[test]
    fn a_disabled_policy_is_not_built() {
        let cluster = cluster_with(json!({"networkPolicy": {"enabled": false}}));
        assert_eq!(network_policy(&cluster, &[]), None);
    }

    #[test]
    fn the_relay_is_reachable_if_there_is_one() {
        let reachable = |fields| json!(ingress(&cluster_with(fields))).to_string().contains("9104");
        assert!(reachable(json!({"instantDelivery": {"enabled": true}})));
        assert!(!reachable(json!({"instantDelivery": {}})));
    }

    #[test]
    fn the_spec_limits_readers_of_metrics_and_adds_ports() {
        let prometheus =
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}});
        let fields = json!({"networkPolicy": {"metricsFrom": [prometheus], "egressPorts": [8080]}});
        let policy = network_policy(&cluster_with(fields), &[]).unwrap().spec.unwrap();
        let ingress = policy.ingress.unwrap();
        assert_eq!(ingress[0].from, None);
        assert_eq!(json!(ingress[1].from), json!([prometheus]));
        assert!(json!(policy.egress).to_string().contains("8080"));
    }

    #[test]
    fn rules_of_the_spec_are_added_unchanged() {
        let rule = json!({
            "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "UDP", "port": 5353}],
        });
        let policy = network_policy(&cluster_with(json!({"networkPolicy": {"egress": [rule]}})), &[]);
        let egress = policy.unwrap().spec.unwrap().egress.unwrap();
        assert_eq!(egress.len(), 4);
        assert_eq!(json!(egress[3]), rule);
    }

    #[test]
    fn rules_for_nodes_of_an_earlier_spec_are_kept_once() {
        let policy = |ports: &[u16]| network_policy(&cluster(), ports).unwrap();
        let live = policy(&[8080]);
        let mut desired = policy(&[8443]);
        keep_egress(&mut desired, Some(&live));
        let text = json!(desired).to_string();
        assert!(text.contains("8080") && text.contains("8443"));
        let mut again = policy(&[8443]);
        keep_egress(&mut again, Some(&desired));
        assert_eq!(again, desired);
        let mut settled = policy(&[8443]);
        keep_egress(&mut settled, None);
        assert_eq!(settled, policy(&[8443]));
    }

    #[rstest]
    #[case(json!([]), &[], "TCP/443 TCP/5432 TCP/6443")]
    #[case(json!([]), &[443, 5696], "TCP/443 TCP/5432 TCP/5696 TCP/6443")]
    #[case(json!([{"name": "f", "description": "d", "file": {"path": "stdout"}}]), &[], "TCP/443 TCP/5432 TCP/6443")]
    #[case(
        json!([{"name": "t", "description": "d", "socket": {"address": "log:9000"}}]),
        &[],
        "TCP/443 TCP/5432 TCP/6443 TCP/9000"
    )]
    #[case(
        json!([{"name": "u", "description": "d", "socket": {"address": "log:514", "protocol": "udp"}}]),
        &[],
        "TCP/443 TCP/5432 TCP/6443 UDP/514"
    )]
    fn the_ports_of_seal_and_audit_devices_are_allowed(
        #[case] audit: Value,
        #[case] seal_ports: &[u16],
        #[case] expected: &str,
    ) {
        let ports = outside(&cluster_with(json!({"audit": audit})), seal_ports);
        let text = |port: &NetworkPolicyPort| match &port.port {
            Some(IntOrString::Int(number)) => format!("{}/{number}", port.protocol.as_deref().unwrap()),
            other => panic!("{other:?}"),
        };
        assert_eq!(ports.iter().map(text).collect::<Vec<_>>().join(" "), expected);
    }
}
