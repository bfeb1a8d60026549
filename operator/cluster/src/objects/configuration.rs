//! OpenBao's configuration, as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use steamer_api::AuditDevice;
use steamer_core::digest::digest;
use steamer_core::error::Error;

use crate::cluster::Cluster;
use crate::objects::metadata;
use crate::objects::seal::{SealSettings, stanza_of};

/// Where certificates are in a pod.
pub(crate) const TLS: &str = "/openbao/tls";

/// Where plugins are in a pod.
pub(crate) const PLUGINS: &str = "/openbao/plugins";

/// Where the headers of audit devices are in a pod.
pub(crate) const HEADERS: &str = "/openbao/headers";

/// Headers that an audit device sends: their names, and what tells their values from others.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    pub(crate) names: Vec<String>,
    pub(crate) digest: String,
}

/// What a node is started with, with the headers of audit devices by the devices' names.
pub(crate) fn configuration(
    cluster: &Cluster,
    seal: &SealSettings,
    headers: &BTreeMap<String, Headers>,
) -> Value {
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
        config["audit"] =
            cluster.spec.audit.iter().map(|device| audit(device, headers.get(&device.name))).collect();
    }
    let plugins = plugins(cluster, seal);
    if !plugins.is_empty() {
        config["plugin_directory"] = json!(PLUGINS);
        config["plugin_auto_download"] = json!(have(&plugins, "image"));
        config["plugin"] = json!(plugins);
    }
    config
}

/// The plugins, by type and name: the seal's and those that the cluster is given.
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

/// Whether any of them has a field.
fn have(plugins: &Map<String, Value>, field: &str) -> bool {
    plugins
        .values()
        .filter_map(Value::as_object)
        .flat_map(Map::values)
        .any(|plugin| plugin.get(field).is_some())
}

/// Refuses plugins that a node would not find.
pub(crate) fn check_plugins(cluster: &Cluster, seal: &SealSettings) -> Result<(), Error> {
    let all = plugins(cluster, seal);
    if have(&all, "image") && have(&all, "command") {
        return Err(Error::Invalid(format!(
            "plugins come all by image or all by command: where OpenBao downloads to, {PLUGINS}, it would not find those of \
             its own image"
        )));
    }
    let nameless = |plugin: &Value| plugin.get("image").is_some() && plugin.get("binary_name").is_none();
    let found = all.values().filter_map(Value::as_object).flatten().find(|(_, plugin)| nameless(plugin));
    match found.filter(|_| !cluster.version.knows_plugin_files()) {
        Some((name, _)) => Err(Error::Invalid(format!(
            "plugin `{name}` needs binaryName: OpenBao {} does not know which file of an image it is",
            cluster.version
        ))),
        None => Ok(()),
    }
}

/// Whether a node fetches a plugin when it starts.
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

fn listener(cluster: &Cluster) -> Map<String, Value> {
    let mut listener = Map::new();
    let mut set = |name: &str, value: Value| drop(listener.insert(name.to_owned(), value));
    set("address", json!("[::]:8200"));
    set("cluster_address", json!("[::]:8201"));
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

/// Path and settings of an audit device. A device that is edited in place keeps every node from leading, so its path
/// carries a digest of all its settings, and of its headers' values.
fn audit(device: &AuditDevice, headers: Option<&Headers>) -> Value {
    let AuditDevice { name, description, probe: _, file, http, socket } = device;
    let (kind, options) = if let Some(file) = file {
        ("file", json!({"file_path": file.path}))
    } else if let Some(http) = http {
        let mut options = json!({"uri": http.uri});
        if let (Some(secret), Some(headers)) = (&http.headers_secret_ref, headers) {
            // OpenBao takes the values from files, and JSON in a string.
            let file = |name: &String| json!([format!("file://{HEADERS}/{}/{name}", secret.name)]);
            let all: Map<String, Value> =
                headers.names.iter().map(|name| (name.clone(), file(name))).collect();
            options["headers"] = json!(json!(all).to_string());
        }
        ("http", options)
    } else if let Some(socket) = socket {
        ("socket", json!({"address": socket.address, "socket_type": socket.protocol}))
    } else {
        ("file", json!({"file_path": "discard"}))
    };
    let settings = json!({"description": description, "options": options});
    let headers = headers.map(|headers| headers.digest.as_str()).unwrap_or_default();
    let path = format!("{name}-{}", &digest(format!("{kind}{settings}{headers}").as_bytes())[..8]);
    json!({kind: {path: settings}})
}

/// The configuration's name: another configuration has another.
pub(crate) fn config_map_name(cluster: &Cluster, configuration: &Value) -> String {
    format!("{}-config-{}", cluster.name.name, &digest(configuration.to_string().as_bytes())[..10])
}

/// The configuration as nodes find it. It is never changed: a node that restarts before its turn finds its own.
pub(crate) fn config_map(cluster: &Cluster, configuration: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": metadata(cluster, &config_map_name(cluster, configuration)),
        "immutable": true, "data": {"openbao.json": configuration.to_string()},
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cluster::Version;
    use crate::objects::seal::seal;
    use crate::tests::cluster;

    fn plugin(name: &str, from: &str) -> Value {
        json!({"type": "secret", "name": name, from: "x", "version": "v1", "sha256": "ab".repeat(32)})
    }

    #[rstest]
    #[case(json!([plugin("a", "image"), plugin("b", "image")]), Version(2, 7, 2), "")]
    #[case(json!([plugin("a", "command")]), Version(2, 6, 2), "")]
    #[case(json!([plugin("a", "image"), plugin("b", "command")]), Version(2, 7, 2), "all by image or all by command")]
    #[case(json!([plugin("a", "image")]), Version(2, 6, 2), "plugin `a` needs binaryName")]
    fn plugins_are_such_as_a_node_finds(
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
    fn a_header_is_a_file_and_another_value_another_device() {
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
