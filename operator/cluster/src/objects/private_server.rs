//! An OpenBao process beside the nodes that only its own pod reaches, and that cannot write to its database: that of
//! break-glass, and that of a restore drill. It has the pod of a node without ports, probes, relay and placement.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, KeyToPath, PodSpec, PodTemplateSpec, Secret, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::cluster::{ACTIVE, CLUSTER_LABEL, Cluster};
use crate::database::login::Login;
use crate::objects::stateful_set::postgresql_ca;
use crate::objects::{API_PORT, CLUSTER_PORT, audit_volume, secret, selector};

/// Container of the server.
const CONTAINER: &str = "openbao";
/// File with the connection to PostgreSQL.
pub(crate) const CONNECTION: &str = "service.conf";
/// File with the configuration of the server.
pub(crate) const CONFIGURATION: &str = "openbao.json";
/// Start of the annotations of Steamer.
const OWN: &str = "steamer.dev/";
/// Volume with the connection.
const VOLUME: &str = "break-glass";

/// A Secret with a configuration, and a connection that cannot write.
pub(crate) fn read_only(
    cluster: &Cluster,
    name: &str,
    (login, configuration): (&Login, &Value),
    notes: &BTreeMap<String, String>,
) -> Secret {
    let connection = login.service_file(&postgresql_ca());
    let entries = [
        (CONFIGURATION.to_owned(), configuration.to_string()),
        (CONNECTION.to_owned(), format!("{connection}options=-c default_transaction_read_only=on\n")),
    ];
    let mut secret = secret::secret(cluster, name, &entries.into());
    secret.metadata.annotations = Some(notes.clone());
    secret
}

/// The configuration of the nodes, with only a loopback listener.
pub(crate) fn configuration(of_nodes: &Value) -> Value {
    let mut config = of_nodes.clone();
    let listener = json!({
        "address": format!("127.0.0.1:{API_PORT}"), "cluster_address": format!("127.0.0.1:{CLUSTER_PORT}"),
        "tls_disable": true, "disable_unauthed_generate_root_endpoints": false,
    });
    config["listener"] = json!([{"tcp": listener}]);
    config["disable_standby_reads"] = json!(true);
    // The leader audits the requests that are forwarded to it.
    if let Some(config) = config.as_object_mut() {
        config.remove("audit");
    }
    config
}

/// Labels that neither the Services nor the PodDisruptionBudget of the cluster select.
pub(crate) fn labels(cluster: &Cluster, app: &str) -> BTreeMap<String, String> {
    let labels = [("app.kubernetes.io/name", app), (CLUSTER_LABEL, cluster.name())];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

/// Labels and annotations of the pod, with these labels. Those of the user stay, because the identity of a cloud seal can
/// depend on them.
pub(crate) fn pod_metadata(
    labels: BTreeMap<String, String>,
    cluster: &Cluster,
    nodes: &PodTemplateSpec,
) -> ObjectMeta {
    let of_nodes = nodes.metadata.clone().unwrap_or_default();
    let mut pod_labels = of_nodes.labels.unwrap_or_default();
    pod_labels.retain(|label, _| label != ACTIVE && !selector(cluster).contains_key(label));
    pod_labels.extend(labels);
    let mut annotations = of_nodes.annotations.unwrap_or_default();
    annotations.retain(|annotation, _| !annotation.starts_with(OWN));
    let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    ObjectMeta { labels: Some(pod_labels), annotations, ..ObjectMeta::default() }
}

/// The pod of a node with the configuration and the connection of a Secret.
pub(crate) fn pod(secret: &str, nodes: &PodSpec) -> PodSpec {
    let server = nodes.containers.iter().find(|container| container.name == CONTAINER);
    let containers: Vec<Container> = server.map(container).into_iter().collect();
    let mounted: Vec<&str> = containers
        .iter()
        .flat_map(|container| container.volume_mounts.iter().flatten())
        .map(|mount| mount.name.as_str())
        .collect();
    let of_nodes = nodes.volumes.iter().flatten().filter(|volume| volume.name != "config").cloned();
    let own = [file(secret, ("config", CONFIGURATION)), file(secret, (VOLUME, CONNECTION))];
    let volumes = own.into_iter().chain(of_nodes).filter(|volume| mounted.contains(&volume.name.as_str()));
    PodSpec {
        volumes: Some(volumes.collect()),
        share_process_namespace: None,
        affinity: None,
        topology_spread_constraints: None,
        termination_grace_period_seconds: Some(5),
        containers,
        ..nodes.clone()
    }
}

/// The container of the server with its own connection.
fn container(of_node: &Container) -> Container {
    let mount = |mount: &VolumeMount| {
        if !mount.mount_path.ends_with(CONNECTION) {
            return mount.clone();
        }
        VolumeMount {
            name: VOLUME.to_owned(),
            sub_path: Some(CONNECTION.to_owned()),
            sub_path_expr: None,
            ..mount.clone()
        }
    };
    let mounts = of_node.volume_mounts.iter().flatten();
    Container {
        ports: None,
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        volume_mounts: Some(mounts.filter(|of_node| !audit_volume::is_mount(of_node)).map(mount).collect()),
        ..of_node.clone()
    }
}

/// A volume with one entry of a Secret.
fn file(secret: &str, (volume, entry): (&str, &str)) -> Volume {
    let item = KeyToPath { key: entry.to_owned(), path: entry.to_owned(), mode: None };
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items: Some(vec![item]),
        default_mode: Some(0o440),
        optional: None,
    };
    Volume { name: volume.to_owned(), secret: Some(source), ..Volume::default() }
}
