use serde_json::{Value, json};
use steamer_api::SocketProtocol;

use crate::audit::targets;
use crate::cluster::Cluster;
use crate::objects::{metadata, selector};

/// Everyone may reach the API and the metrics, only nodes each other's cluster port. Nodes reach PostgreSQL, DNS, the
/// API server, each other, and what the seal and audit devices need, whose addresses are names: by port.
pub(crate) fn network_policy(cluster: &Cluster, outside: &[u16]) -> Option<Value> {
    if !cluster.spec.network_policy.enabled {
        return None;
    }
    let tcp = |port: u16| json!({"protocol": "TCP", "port": port});
    let own = json!([{"podSelector": {"matchLabels": selector(cluster)}}]);
    let mut ports = vec![cluster.owner.port, 443, 6443];
    ports.extend(outside);
    let (udp, tcp_targets): (Vec<_>, Vec<_>) =
        targets(cluster).into_iter().partition(|target| target.protocol == SocketProtocol::Udp);
    ports.extend(tcp_targets.iter().map(|target| target.port));
    ports.sort_unstable();
    ports.dedup();
    let ports = ports.into_iter().map(tcp);
    let udp = udp.iter().map(|target| json!({"protocol": "UDP", "port": target.port}));
    Some(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(cluster, &cluster.name.name),
        "spec": {
            "podSelector": {"matchLabels": selector(cluster)}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [tcp(8200), tcp(9101)]}, {"from": own, "ports": [tcp(8201)]}],
            "egress": [
                {"to": own, "ports": [tcp(8200), tcp(8201)]},
                {"ports": [{"protocol": "UDP", "port": 53}, tcp(53)]},
                {"ports": ports.chain(udp).collect::<Vec<_>>()},
            ],
        },
    }))
}
