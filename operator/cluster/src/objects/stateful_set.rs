use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use steamer_api::{AuditDevice, PodTemplate};
use steamer_core::digest::digest;

use crate::cluster::{ACTIVE, Cluster, REVISION};
use crate::objects::configuration::{HEADERS, PLUGINS, TLS, config_map_name, fetches_plugins};
use crate::objects::seal::{FOLDER, SealSettings};
use crate::objects::{metadata, selector};

/// User and group of the server: no image needs another.
const USER: i64 = 65532;
/// Where a pod finds the token with which it is somebody elsewhere.
const IDENTITY: &str = "/openbao/identity";
/// Where a pod finds how it reaches PostgreSQL.
const POSTGRESQL: &str = "/openbao/postgresql";

/// Path of PostgreSQL's CA in a pod.
pub(crate) fn postgresql_ca() -> String {
    format!("{POSTGRESQL}/ca.crt")
}

/// What the pods are made from, beyond the spec.
pub(crate) struct Inputs<'a> {
    pub(crate) configuration: &'a Value,
    pub(crate) seal: &'a SealSettings,
    /// A digest of what a node reads only at its start: connection, seal's Secrets, certificates without reload.
    pub(crate) started_with: &'a str,
    pub(crate) replicas: i32,
}

/// The StatefulSet. Pods are replaced by Steamer, one at a time, in an order that the set knows nothing of.
pub(crate) fn stateful_set(cluster: &Cluster, inputs: &Inputs<'_>) -> Value {
    let mut template = pod_template(cluster, inputs);
    let revision = digest(template.to_string().as_bytes())[..16].to_owned();
    template["metadata"]["annotations"][REVISION] = json!(revision);
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata(cluster, &cluster.name.name),
        "spec": {
            "replicas": inputs.replicas, "serviceName": cluster.child("-internal"), "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"}, "selector": {"matchLabels": selector(cluster)},
            "revisionHistoryLimit": 2, "template": template,
        },
    })
}

/// What the pods of a StatefulSet were made from.
pub(crate) fn revision(stateful_set: &Value) -> &str {
    stateful_set["spec"]["template"]["metadata"]["annotations"][REVISION].as_str().unwrap_or_default()
}

fn pod_template(cluster: &Cluster, inputs: &Inputs<'_>) -> Value {
    let PodTemplate {
        resources: _,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        priority_class_name,
        annotations,
        labels,
        env: _,
    } = &cluster.spec.pod_template;
    let mut all_labels = json!(labels);
    merge(&mut all_labels, selector(cluster));
    merge(&mut all_labels, json!({ACTIVE: "false"}));
    let mut all_annotations = json!(annotations);
    merge(&mut all_annotations, json!({"steamer.dev/started-with": inputs.started_with}));
    if let Some(restart) = &cluster.restart {
        merge(&mut all_annotations, json!({"steamer.dev/restart": restart}));
    }
    let mut spec = json!({
        "serviceAccountName": cluster.name.name, "terminationGracePeriodSeconds": 60, "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": affinity.as_ref().map_or_else(|| apart(cluster), |affinity| json!(affinity)),
        // A lost machine is left quickly: its pods hold no data.
        "tolerations": tolerations.iter().map(|toleration| json!(toleration))
            .chain(["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(
                |key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30})))
            .collect::<Vec<_>>(),
        "containers": [container(cluster, inputs)],
        "volumes": volumes(cluster, inputs),
    });
    let mut set = |name: &str, value: Value| spec[name] = value;
    if !node_selector.is_empty() {
        set("nodeSelector", json!(node_selector));
    }
    if !topology_spread_constraints.is_empty() {
        set("topologySpreadConstraints", json!(topology_spread_constraints));
    }
    if let Some(class) = priority_class_name {
        set("priorityClassName", json!(class));
    }
    if !cluster.spec.image_pull_secrets.is_empty() {
        set("imagePullSecrets", json!(cluster.spec.image_pull_secrets));
    }
    json!({"metadata": {"labels": all_labels, "annotations": all_annotations}, "spec": spec})
}

/// No two nodes of a cluster on one machine.
fn apart(cluster: &Cluster) -> Value {
    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": selector(cluster)},
    }]}})
}

fn container(cluster: &Cluster, inputs: &Inputs<'_>) -> Value {
    let scheme = if cluster.is_plain() { "HTTP" } else { "HTTPS" };
    let health = |path: &str| json!({"scheme": scheme, "path": path, "port": "api"});
    let resources = match &cluster.spec.pod_template.resources {
        Some(resources) => json!(resources),
        None => json!({"requests": {"cpu": "100m", "memory": "256Mi"}}),
    };
    let mut container = json!({
        "name": "openbao", "image": cluster.image(), "imagePullPolicy": cluster.spec.image_pull_policy,
        "command": ["bao"], "args": ["server", "-config=/openbao/config"],
        "env": environment(cluster, inputs.seal),
        "ports": [
            {"name": "api", "containerPort": 8200, "protocol": "TCP"}, {"name": "cluster", "containerPort": 8201, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9101, "protocol": "TCP"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        // Ready is who serves; a database or KMS that is away restarts nobody.
        "readinessProbe": {"httpGet": health("/v1/sys/health?standbyok=true"), "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2},
        "startupProbe": {"tcpSocket": {"port": "metrics"}, "periodSeconds": 2, "failureThreshold": 150},
        "livenessProbe": {"tcpSocket": {"port": "metrics"}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "resources": resources,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(cluster, inputs.seal),
    });
    let credentials = inputs.seal.credentials.iter().map(|secret| json!({"secretRef": {"name": secret}}));
    if !inputs.seal.credentials.is_empty() {
        container["envFrom"] = credentials.collect();
    }
    container
}

fn environment(cluster: &Cluster, seal: &SealSettings) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    let plain = |name: &str, value: &str| json!({"name": name, "value": value});
    let host = cluster.host("$(POD_NAME)");
    let mut all = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        plain("BAO_API_ADDR", &cluster.url("$(POD_NAME)")),
        plain("BAO_CLUSTER_ADDR", &format!("https://{host}:8201")),
        plain("HOME", "/tmp"),
        plain("PGSERVICE", "openbao"),
        plain("PGSERVICEFILE", &format!("{POSTGRESQL}/service.conf")),
    ];
    for (variable, secret, key) in &seal.variables {
        all.push(json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}));
    }
    all.extend(cluster.spec.pod_template.env.iter().map(|(name, value)| plain(name, value)));
    all
}

fn mounts(cluster: &Cluster, seal: &SealSettings) -> Vec<Value> {
    let mut all = vec![
        json!({"name": "config", "mountPath": "/openbao/config", "readOnly": true}),
        // By sub-path: a process that runs never sees it change, so a fenced one stays fenced.
        json!({"name": "postgresql", "mountPath": format!("{POSTGRESQL}/service.conf"), "subPathExpr": "$(POD_NAME)", "readOnly": true}),
        json!({"name": "tmp", "mountPath": "/tmp"}),
    ];
    if !cluster.is_plain() {
        all.push(json!({"name": "tls", "mountPath": TLS, "readOnly": true}));
    }
    if cluster.spec.service_account.token.is_some() {
        all.push(json!({"name": "identity", "mountPath": IDENTITY, "readOnly": true}));
    }
    if !cluster.owner.ca.is_empty() {
        all.push(json!({"name": "postgresql", "mountPath": postgresql_ca(), "subPath": "ca.crt", "readOnly": true}));
    }
    for (index, (secret, _)) in seal.files.iter().enumerate() {
        all.push(json!({"name": format!("seal-{index}"), "mountPath": format!("{FOLDER}/{secret}"), "readOnly": true}));
    }
    for (index, secret) in header_secrets(cluster).iter().enumerate() {
        all.push(json!({"name": format!("headers-{index}"), "mountPath": format!("{HEADERS}/{secret}"), "readOnly": true}));
    }
    if fetches_plugins(cluster, seal) {
        all.push(json!({"name": "plugins", "mountPath": PLUGINS}));
    }
    all
}

fn volumes(cluster: &Cluster, inputs: &Inputs<'_>) -> Vec<Value> {
    let config = config_map_name(cluster, inputs.configuration);
    let mut all = vec![
        json!({"name": "config", "projected": {"defaultMode": 0o440, "sources": [
            {"configMap": {"name": config}}, {"configMap": {"name": cluster.child("-init"), "optional": true}},
        ]}}),
        json!({"name": "postgresql", "secret": {"secretName": cluster.child("-postgresql"), "defaultMode": 0o440}}),
        json!({"name": "tmp", "emptyDir": {}}),
    ];
    if !cluster.is_plain() {
        all.push(
            json!({"name": "tls", "secret": {"secretName": cluster.tls_secret(), "defaultMode": 0o440}}),
        );
    }
    if let Some(token) = &cluster.spec.service_account.token {
        let source = json!({"serviceAccountToken": {
            "path": "token", "audience": token.audience, "expirationSeconds": token.lifetime.get().as_secs(),
        }});
        all.push(json!({"name": "identity", "projected": {"defaultMode": 0o440, "sources": [source]}}));
    }
    for (index, (secret, keys)) in inputs.seal.files.iter().enumerate() {
        let items: Vec<Value> = keys.iter().map(|key| json!({"key": key, "path": key})).collect();
        let volume = json!({"secretName": secret, "items": items, "defaultMode": 0o440});
        all.push(json!({"name": format!("seal-{index}"), "secret": volume}));
    }
    for (index, secret) in header_secrets(cluster).into_iter().enumerate() {
        all.push(json!({"name": format!("headers-{index}"), "secret": {"secretName": secret, "defaultMode": 0o440}}));
    }
    if fetches_plugins(cluster, inputs.seal) {
        all.push(json!({"name": "plugins", "emptyDir": {}}));
    }
    all
}

/// Secrets with headers of audit devices.
fn header_secrets(cluster: &Cluster) -> BTreeSet<&str> {
    cluster.spec.audit.iter().filter_map(AuditDevice::headers).map(|secret| secret.name.as_str()).collect()
}

fn merge(into: &mut Value, from: Value) {
    let mut all = match into.take() {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    if let Value::Object(from) = from {
        all.extend(from);
    }
    *into = Value::Object(all);
}
