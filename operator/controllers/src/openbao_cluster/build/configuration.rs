//! OpenBao's configuration, as JSON.

use serde_json::{Map, Value, json};
use steamer_api::AuditDevice;

use super::metadata;
use super::seal::SealSettings;
use crate::openbao_cluster::cluster::Cluster;
use crate::sessions::digest;

/// Where certificates are in a pod.
pub(in crate::openbao_cluster) const TLS: &str = "/openbao/tls";

/// What a node is started with.
pub(in crate::openbao_cluster) fn configuration(cluster: &Cluster, seal: &SealSettings) -> Value {
    let mut config = json!({
        "ui": false, "log_format": "json",
        "listener": [{"tcp": listener(cluster)}, {"tcp": {
            "address": "[::]:9101", "tls_disable": true,
            "telemetry": {"metrics_only": true, "unauthenticated_metrics_access": true, "metrics_path": "/metrics"},
        }}],
        "telemetry": {"prometheus_retention_time": "60s", "disable_hostname": true},
        // Everything about the connection is in the pod's own service file.
        "storage": {"postgresql": {
            "connection_url": "", "ha_enabled": "true", "max_connect_retries": "0", "skip_create_table": "true",
            "max_parallel": cluster.spec.storage.postgresql.max_connections_per_pod.to_string(),
        }},
        "seal": seals(seal),
    });
    if !cluster.spec.audit.is_empty() {
        config["audit"] = cluster.spec.audit.iter().map(audit).collect();
    }
    if !seal.plugins.is_empty() {
        config["plugin_directory"] = json!("/openbao/plugins");
        config["plugin_auto_download"] = json!(seal.downloads());
        config["plugin"] = json!({"kms": seal.plugins});
    }
    config
}

fn seals(seal: &SealSettings) -> Value {
    let own = json!({seal.kind: seal.stanza});
    match &seal.before {
        Some((kind, stanza)) => json!([own, {*kind: stanza}]),
        None => own,
    }
}

fn listener(cluster: &Cluster) -> Map<String, Value> {
    let mut listener = Map::new();
    let mut set = |name: &str, value: Value| drop(listener.insert(name.to_owned(), value));
    set("address", json!("[::]:8200"));
    set("cluster_address", json!("[::]:8201"));
    set("tls_cert_file", json!(format!("{TLS}/tls.crt")));
    set("tls_key_file", json!(format!("{TLS}/tls.key")));
    if cluster.version.reloads_certificates() {
        set("tls_auto_reload", json!(true));
    }
    let limits = &cluster.spec.listener;
    if let Some(size) = limits.max_request_size {
        set("max_request_size", json!(size));
    }
    if let Some(duration) = &limits.max_request_duration {
        set("max_request_duration", json!(format!("{}s", duration.get().as_secs().max(1))));
    }
    if !limits.x_forwarded_for_authorized_addresses.is_empty() {
        set("x_forwarded_for_authorized_addrs", json!(limits.x_forwarded_for_authorized_addresses));
    }
    listener
}

/// Path and settings of an audit device. A device that is edited in place keeps every node from leading, so its path
/// carries a digest of all its settings.
fn audit(device: &AuditDevice) -> Value {
    let AuditDevice { name, description, probe: _, file, http, socket } = device;
    let (kind, options) = if let Some(file) = file {
        ("file", json!({"file_path": file.path}))
    } else if let Some(http) = http {
        ("http", json!({"uri": http.uri}))
    } else if let Some(socket) = socket {
        ("socket", json!({"address": socket.address, "socket_type": socket.protocol}))
    } else {
        ("file", json!({"file_path": "discard"}))
    };
    let settings = json!({"description": description, "options": options});
    let path = format!("{name}-{}", &digest(format!("{kind}{settings}").as_bytes())[..8]);
    json!({kind: {path: settings}})
}

/// The configuration's name: another configuration has another.
pub(in crate::openbao_cluster) fn config_map_name(cluster: &Cluster, configuration: &Value) -> String {
    format!("{}-config-{}", cluster.name.name, &digest(configuration.to_string().as_bytes())[..10])
}

/// The configuration as nodes find it. It is never changed: a node that restarts before its turn finds its own.
pub(in crate::openbao_cluster) fn config_map(cluster: &Cluster, configuration: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": metadata(cluster, &config_map_name(cluster, configuration)),
        "immutable": true, "data": {"openbao.json": configuration.to_string()},
    })
}
