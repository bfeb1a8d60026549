//! OpenBao's server configuration, as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use steamer_api::{AuditDevice, FileAudit};
use steamer_core::digest::digest;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::objects::audit_volume;
use crate::objects::relay;
use crate::objects::seal::{SealSettings, stanza_of};
use crate::objects::{API_PORT, CLUSTER_PORT, METRICS_PORT};

/// Folder of the certificates in a pod.
pub(crate) const TLS: &str = "/openbao/tls";

/// Folder of the plugins in a pod.
pub(crate) const PLUGINS: &str = "/openbao/plugins";

/// Folder of the headers of audit devices in a pod.
pub(crate) const HEADERS: &str = "/openbao/headers";

/// Connections of a node that transactions do not use: one for the renewal of the lock, one for other statements.
const RESERVED_CONNECTIONS: i32 = 2;

/// Headers that an audit device sends: their names, and a digest of their values.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    pub(crate) names: Vec<String>,
    pub(crate) digest: String,
}

/// Configuration of the nodes. `headers` are those of audit devices, by the devices' names.
pub(crate) fn configuration(
    cluster: &Cluster,
    seal: &SealSettings,
    headers: &BTreeMap<String, Headers>,
) -> Value {
    let mut config = json!({
        "ui": false, "log_format": "json", "disable_standby_reads": !cluster.spec.standby_reads,
        "listener": [{"tcp": listener(cluster)}, {"tcp": metrics_listener()}],
        "telemetry": {"prometheus_retention_time": "60s", "disable_hostname": true},
        // All connection parameters are in the pod's own service file.
        "storage": {"postgresql": storage(cluster.spec.storage.postgresql.max_connections_per_pod)},
        "seal": seals(seal),
    });
    let devices = audit_devices(cluster, headers);
    if !devices.is_empty() {
        config["audit"] = devices.into();
    }
    if let Some(level) = cluster.spec.log_level {
        config["log_level"] = json!(level);
    }
    let plugins = plugins(cluster, seal);
    if !plugins.is_empty() {
        config["plugin_directory"] = json!(PLUGINS);
        config["plugin_auto_download"] = json!(have(&plugins, "image"));
        config["plugin"] = json!(plugins);
    }
    config
}

/// The storage of a node that opens at most `connections` connections.
///
/// OpenBao keeps 2 idle connections by default: with more concurrent requests, most queries open a new connection, which
/// costs a process of PostgreSQL and a SCRAM authentication. It permits 64 transactions by default: with as many
/// transactions as connections, the renewal of the leader's lock waits for a connection until the leader steps down.
fn storage(connections: i32) -> Value {
    json!({
        "connection_url": "", "ha_enabled": "true", "max_connect_retries": "0", "skip_create_table": "true",
        "max_parallel": connections.to_string(),
        "max_idle_connections": connections.to_string(),
        "transaction_max_parallel": (connections - RESERVED_CONNECTIONS).to_string(),
    })
}

/// The plugins, by type and name: those of the seal and those of the spec.
fn plugins(cluster: &Cluster, seal: &SealSettings) -> Map<String, Value> {
    let mut all = Map::new();
    if !seal.plugins.is_empty() {
        all.insert("kms".to_owned(), json!(seal.plugins));
    }
    for plugin in &cluster.spec.plugins {
        let kind = json!(plugin.r#type);
        let of_type = all.entry(kind.as_str().unwrap_or_default()).or_insert_with(|| json!({}));
        of_type[plugin.name.as_str()] = stanza_of(&plugin.source);
    }
    all
}

/// Returns true if any plugin has the field.
fn have(plugins: &Map<String, Value>, field: &str) -> bool {
    plugins
        .values()
        .filter_map(Value::as_object)
        .flat_map(Map::values)
        .any(|plugin| plugin.get(field).is_some())
}

/// Rejects plugins that a node could not find.
pub(crate) fn check_plugins(cluster: &Cluster, seal: &SealSettings) -> Result<(), Error> {
    let all = plugins(cluster, seal);
    if have(&all, "image") && have(&all, "command") {
        return Err(Error::Invalid(format!(
            "plugins must be set all by image or all by command: images are downloaded to a volume at {PLUGINS}, which \
             hides the plugins of OpenBao's own image"
        )));
    }
    let nameless = |plugin: &Value| plugin.get("image").is_some() && plugin.get("binary_name").is_none();
    let found = all.values().filter_map(Value::as_object).flatten().find(|(_, plugin)| nameless(plugin));
    match found.filter(|_| !cluster.version.knows_plugin_files()) {
        Some((name, _)) => Err(Error::Invalid(format!(
            "plugin `{name}` needs binaryName: OpenBao {} cannot detect the plugin's file in an image",
            cluster.version
        ))),
        None => Ok(()),
    }
}

/// Returns true if a node downloads plugins when it starts.
pub(crate) fn fetches_plugins(cluster: &Cluster, seal: &SealSettings) -> bool {
    have(&plugins(cluster, seal), "image")
}

fn seals(seal: &SealSettings) -> Value {
    let own = json!({seal.kind: seal.stanza});
    match &seal.before {
        Some((kind, stanza)) => json!([own, {*kind: stanza}]),
        None => own,
    }
}

/// Listener for the metrics only, without TLS and authentication. Probes use it too.
fn metrics_listener() -> Value {
    json!({
        "address": format!("[::]:{METRICS_PORT}"), "tls_disable": true,
        "telemetry": {"metrics_only": true, "unauthenticated_metrics_access": true, "metrics_path": "/metrics"},
    })
}

fn listener(cluster: &Cluster) -> Map<String, Value> {
    let mut listener = Map::new();
    let mut set = |name: &str, value: Value| drop(listener.insert(name.to_owned(), value));
    set("address", json!(format!("[::]:{API_PORT}")));
    set("cluster_address", json!(format!("[::]:{CLUSTER_PORT}")));
    if cluster.is_plain() {
        set("tls_disable", json!(true));
    } else {
        set("tls_cert_file", json!(format!("{TLS}/tls.crt")));
        set("tls_key_file", json!(format!("{TLS}/tls.key")));
        if cluster.version.reloads_certificates() {
            set("tls_auto_reload", json!(true));
        }
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

/// The devices of the spec, and those for the relay.
fn audit_devices(cluster: &Cluster, headers: &BTreeMap<String, Headers>) -> Vec<Value> {
    let own = cluster.spec.audit.iter().map(|device| audit(device, headers.get(&device.name)));
    let relay = relay::audit_devices(cluster).into_iter();
    own.chain(relay.map(|(kind, name, settings)| stanza((kind, name), &settings, ""))).collect()
}

/// Path and settings of an audit device. No node can become the leader if a device was edited in place, so the path
/// contains a digest of all settings and of the headers' values.
fn audit(device: &AuditDevice, headers: Option<&Headers>) -> Value {
    let AuditDevice { name, description, probe: _, file, http, socket } = device;
    let (kind, options) = if let Some(file) = file {
        ("file", json!({"file_path": file_path(name, file)}))
    } else if let Some(http) = http {
        let mut options = json!({"uri": http.uri});
        if let (Some(secret), Some(headers)) = (&http.headers_secret_ref, headers) {
            options["headers"] = json!(header_files(&secret.name, headers));
        }
        ("http", options)
    } else if let Some(socket) = socket {
        ("socket", json!({"address": socket.address, "socket_type": socket.protocol}))
    } else {
        ("file", json!({"file_path": "discard"}))
    };
    let settings = json!({"description": description, "options": options});
    stanza((kind, name), &settings, headers.map(|headers| headers.digest.as_str()).unwrap_or_default())
}

fn file_path(device: &str, file: &FileAudit) -> String {
    file.path.clone().unwrap_or_else(|| format!("{}/{}", audit_volume::folder(device), audit_volume::FILE))
}

fn stanza((kind, name): (&str, &str), settings: &Value, headers: &str) -> Value {
    let path = format!("{name}-{}", &digest(format!("{kind}{settings}{headers}").as_bytes())[..8]);
    json!({kind: {path: settings}})
}

/// Headers as OpenBao reads them: JSON in a string, with the values in files.
fn header_files(secret: &str, headers: &Headers) -> String {
    let file = |name: &String| json!([format!("file://{HEADERS}/{secret}/{name}")]);
    let all: Map<String, Value> = headers.names.iter().map(|name| (name.clone(), file(name))).collect();
    json!(all).to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cluster::Version;
    use crate::objects::seal::seal;
    use crate::tests::{cluster, cluster_with};

    fn plugin(name: &str, from: &str) -> Value {
        json!({"type": "secret", "name": name, from: "x", "version": "v1", "sha256": "ab".repeat(32)})
    }

    #[rstest]
    #[case::defaults("defaults", json!({}))]
    #[case::plain_http("plain_http", json!({"tls": {"mode": "Disabled"}}))]
    #[case::standby_reads("standby_reads", json!({"standbyReads": true}))]
    #[case::plugins("plugins", json!({"plugins": [plugin("a", "image")]}))]
    #[case::limits("limits", json!({"listener": {
        "maxRequestSize": 2048, "maxRequestDuration": "30s", "xForwardedForAuthorizedAddresses": ["10.0.0.0/8"],
    }}))]
    #[case::relay("relay", json!({"instantDelivery": {"enabled": true}}))]
    #[case::audit("audit", json!({"audit": [
        {"name": "file", "description": "d", "file": {"path": "stdout"}},
        {"name": "http", "description": "d", "http": {"uri": "https://siem"}},
        {"name": "tcp", "description": "d", "socket": {"address": "log:9000"}},
        {"name": "durable", "description": "d", "file": {"volume": {"size": "1Gi"}}},
    ]}))]
    fn the_configuration_follows_from_the_spec(#[case] name: &str, #[case] fields: Value) {
        let cluster = cluster_with(fields);
        let seal = seal(&cluster, &cluster.spec.seal, None).unwrap();
        insta::assert_yaml_snapshot!(name, configuration(&cluster, &seal, &BTreeMap::new()));
    }

    #[rstest]
    #[case(json!({}), Value::Null)]
    #[case(json!({"logLevel": "debug"}), json!("debug"))]
    fn the_log_level_is_that_of_openbao_unless_the_spec_sets_it(
        #[case] fields: Value,
        #[case] expected: Value,
    ) {
        let cluster = cluster_with(fields);
        let seal = seal(&cluster, &cluster.spec.seal, None).unwrap();
        assert_eq!(configuration(&cluster, &seal, &BTreeMap::new())["log_level"], expected);
    }

    #[rstest]
    #[case::smallest(4, "2")]
    #[case::default(16, "14")]
    fn the_renewal_of_the_lock_has_a_connection_besides_all_transactions(
        #[case] connections: i32,
        #[case] transactions: &str,
    ) {
        let storage = storage(connections);
        assert_eq!(storage["transaction_max_parallel"], transactions);
        assert_eq!(storage["max_idle_connections"], storage["max_parallel"]);
    }

    #[rstest]
    #[case(json!([plugin("a", "image"), plugin("b", "image")]), Version(2, 7, 2), "")]
    #[case(json!([plugin("a", "command")]), Version(2, 6, 2), "")]
    #[case(json!([plugin("a", "image"), plugin("b", "command")]), Version(2, 7, 2), "all by image or all by command")]
    #[case(json!([plugin("a", "image")]), Version(2, 6, 2), "plugin `a` needs binaryName")]
    fn plugins_that_a_node_could_not_find_are_rejected(
        #[case] plugins: Value,
        #[case] version: Version,
        #[case] expected: &str,
    ) {
        let mut cluster = cluster();
        cluster.version = version;
        cluster.spec.plugins = serde_json::from_value(plugins).unwrap();
        let seal = seal(&cluster, &cluster.spec.seal, None).unwrap();
        let said = check_plugins(&cluster, &seal).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }

    #[test]
    fn a_header_is_a_file_and_a_changed_value_is_a_new_device() {
        let mut cluster = cluster();
        let http = json!({"uri": "https://siem.example.com", "headersSecretRef": {"name": "siem"}});
        cluster.spec.audit =
            serde_json::from_value(json!([{"name": "siem", "description": "d", "http": http}])).unwrap();
        let seal = seal(&cluster, &cluster.spec.seal, None).unwrap();
        let device = |digest: &str| {
            let headers = Headers { names: vec!["Authorization".to_owned()], digest: digest.to_owned() };
            let config = configuration(&cluster, &seal, &[("siem".to_owned(), headers)].into());
            let (path, device) = config["audit"][0]["http"].as_object().unwrap().iter().next().unwrap();
            (path.clone(), device["options"]["headers"].as_str().unwrap().to_owned())
        };
        assert_eq!(device("one").1, r#"{"Authorization":["file:///openbao/headers/siem/Authorization"]}"#);
        assert_ne!(device("one").0, device("two").0);
    }
}
