use serde_json::{Value, json};

use crate::cluster::{ACTIVE, Cluster};
use crate::objects::{metadata, selector};

fn port(name: &str, number: u16) -> Value {
    json!({"name": name, "port": number, "targetPort": name, "protocol": "TCP"})
}

fn service(cluster: &Cluster, suffix: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(cluster, &cluster.child(suffix)), "spec": spec})
}

/// All Services: all ready nodes, the leader alone, stable names of the pods, and metrics.
pub(crate) fn services(cluster: &Cluster) -> Vec<Value> {
    let mut active = selector(cluster);
    active[ACTIVE] = json!("true");
    let (api, internal) = (port("api", 8200), port("cluster", 8201));
    vec![
        service(
            cluster,
            "",
            &json!({"type": "ClusterIP", "selector": selector(cluster), "ports": [api], "publishNotReadyAddresses": false}),
        ),
        service(
            cluster,
            "-active",
            &json!({"type": "ClusterIP", "selector": active, "ports": [api], "publishNotReadyAddresses": false}),
        ),
        service(
            cluster,
            "-internal",
            &json!({
                "type": "ClusterIP", "clusterIP": "None", "selector": selector(cluster), "ports": [api, internal],
                "publishNotReadyAddresses": true,
            }),
        ),
        service(
            cluster,
            "-metrics",
            &json!({
                "type": "ClusterIP", "clusterIP": "None", "selector": selector(cluster), "ports": [port("metrics", 9101)],
                "publishNotReadyAddresses": true,
            }),
        ),
    ]
}
