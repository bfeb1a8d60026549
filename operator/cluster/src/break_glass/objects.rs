//! Kubernetes objects of break-glass: a StatefulSet with one pod, and a Secret with its configuration.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, KeyToPath, PodSpec, PodTemplateSpec, Secret, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::{Value, json};
use steamer_runtime::ObjectName;

use super::Live;
use crate::children::ChildApi;
use crate::cluster::{ACTIVE, CLUSTER_LABEL, Cluster};
use crate::database::login::Login;
use crate::objects::stateful_set::postgresql_ca;
use crate::objects::{API_PORT, CLUSTER_PORT, audit_volume, metadata, secret, selector};

/// Suffix of the name of the StatefulSet and of the Secret.
const SUFFIX: &str = "-break-glass";
/// Container of the server.
const CONTAINER: &str = "openbao";
/// File with the connection to PostgreSQL.
const CONNECTION: &str = "service.conf";
/// File with the configuration of the server.
const CONFIGURATION: &str = "openbao.json";
/// Start of the annotations of Steamer.
const OWN: &str = "steamer.dev/";
/// Volume with the connection.
const VOLUME: &str = "break-glass";

/// Name of the StatefulSet and of the Secret.
pub(crate) fn name(cluster: &ObjectName) -> String {
    format!("{}{SUFFIX}", cluster.name)
}

/// The objects that exist.
pub(crate) fn live(child_api: &ChildApi<'_>) -> Live {
    let name = name(&child_api.cluster);
    let (set, settings) = (child_api.get::<StatefulSet>(&name), child_api.get::<Secret>(&name));
    Live::of(set.as_deref(), settings.as_deref())
}

/// Name of the ConfigMap with the configuration of the nodes of a StatefulSet.
pub(crate) fn configuration_of(live: &StatefulSet) -> Option<&str> {
    let volumes = live.spec.as_ref()?.template.spec.as_ref()?.volumes.as_ref()?;
    let sources =
        volumes.iter().find(|volume| volume.name == "config")?.projected.as_ref()?.sources.as_ref()?;
    Some(sources.first()?.config_map.as_ref()?.name.as_str())
}

/// The Secret: the configuration of the nodes with only a loopback listener, and a connection that cannot write.
pub(crate) fn settings(cluster: &Cluster, of_nodes: &Value, notes: &BTreeMap<String, String>) -> Secret {
    // A node that cannot write cannot acquire the lock of the leader.
    read_only(cluster, &name(&cluster.name), (&cluster.owner, &configuration(of_nodes)), notes)
}

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

/// The StatefulSet: one pod as the nodes have it, without ports, probes, relay and placement.
pub(crate) fn stateful_set(
    cluster: &Cluster,
    nodes: &PodTemplateSpec,
    notes: &BTreeMap<String, String>,
) -> StatefulSet {
    let spec = StatefulSetSpec {
        replicas: Some(1),
        service_name: Some(cluster.child("-internal")),
        selector: LabelSelector { match_labels: Some(labels(cluster)), match_expressions: None },
        template: PodTemplateSpec {
            metadata: Some(pod_metadata(labels(cluster), cluster, nodes)),
            spec: nodes.spec.as_ref().map(|nodes| pod(&name(&cluster.name), nodes)),
        },
        ..StatefulSetSpec::default()
    };
    let metadata = ObjectMeta { annotations: Some(notes.clone()), ..metadata(cluster, &name(&cluster.name)) };
    StatefulSet { metadata, spec: Some(spec), status: None }
}

/// Labels that neither the Services nor the PodDisruptionBudget of the cluster select.
fn labels(cluster: &Cluster) -> BTreeMap<String, String> {
    let labels = [("app.kubernetes.io/name", "openbao-break-glass"), (CLUSTER_LABEL, cluster.name())];
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::break_glass::{notes, opened};
    use crate::objects::configuration::configuration as of_nodes;
    use crate::objects::seal::seal;
    use crate::objects::services::services;
    use crate::objects::stateful_set::{Inputs, stateful_set as nodes};
    use crate::tests::cluster_with;

    fn built() -> (Cluster, StatefulSet, Value) {
        let audit = json!([
            {"name": "siem", "description": "d", "http": {"uri": "https://siem.example.com"}},
            {"name": "durable", "description": "d", "file": {"volume": {"size": "1Gi"}}},
        ]);
        let cluster = cluster_with(json!({"audit": audit, "instantDelivery": {"enabled": true}}));
        let seal = seal(&cluster, &cluster.spec.seal, None).unwrap();
        let configuration = of_nodes(&cluster, &seal, &BTreeMap::new());
        let inputs = Inputs {
            configuration: &configuration,
            seal: &seal,
            started_with: "digest",
            replicas: 3,
            annotations: &BTreeMap::new(),
        };
        let nodes = nodes(&cluster, &inputs);
        (cluster, nodes, configuration)
    }

    #[test]
    fn the_pod_is_a_node_without_ports_that_reads_its_own_connection() {
        let (cluster, nodes, _) = built();
        let template = &nodes.spec.as_ref().unwrap().template;
        let notes = notes("n1", Timestamp::from_second(60).unwrap());
        let set = stateful_set(&cluster, template, &notes);
        assert_eq!(opened(&set).unwrap().until, Timestamp::from_second(60 + 900).unwrap());
        assert_eq!(opened(&set).unwrap().pod, "main-break-glass-0");
        insta::assert_yaml_snapshot!(set);
    }

    #[test]
    fn the_pod_keeps_the_labels_and_annotations_of_the_user() {
        let (cluster, mut nodes, _) = built();
        let template = &mut nodes.spec.as_mut().unwrap().template;
        let metadata = template.metadata.as_mut().unwrap();
        let set = |map: &mut Option<BTreeMap<String, String>>, key: &str| {
            map.get_or_insert_default().insert(key.to_owned(), "true".to_owned());
        };
        set(&mut metadata.labels, "azure.workload.identity/use");
        set(&mut metadata.annotations, "example.com/a");
        let set = stateful_set(&cluster, template, &BTreeMap::new());
        let pod = set.spec.unwrap().template.metadata.unwrap();
        let own = labels(&cluster);
        let mut expected = own.clone();
        expected.insert("azure.workload.identity/use".to_owned(), "true".to_owned());
        assert_eq!(pod.labels.unwrap(), expected);
        assert_eq!(pod.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["example.com/a"]);
    }

    #[test]
    fn no_service_selects_the_pod() {
        let (cluster, nodes, _) = built();
        let labels =
            pod_metadata(labels(&cluster), &cluster, &nodes.spec.as_ref().unwrap().template).labels.unwrap();
        for service in services(&cluster) {
            let selector = service.spec.unwrap().selector.unwrap();
            let selects = selector.iter().all(|(label, value)| labels.get(label) == Some(value));
            assert!(!selects, "{selector:?}");
        }
    }

    #[test]
    fn only_the_loopback_interface_listens_and_the_session_cannot_write() {
        let (cluster, nodes, configuration) = built();
        assert!(configuration_of(&nodes).unwrap().starts_with("main-config-"));
        let data = settings(&cluster, &configuration, &BTreeMap::new()).data.unwrap();
        let text = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
        assert!(text(CONNECTION).ends_with("options=-c default_transaction_read_only=on\n"));
        let config: Value = serde_json::from_str(&text(CONFIGURATION)).unwrap();
        let listeners = config["listener"].as_array().unwrap();
        assert_eq!(listeners.len(), 1);
        assert_eq!(listeners[0]["tcp"]["address"], "127.0.0.1:8200");
        assert_eq!(listeners[0]["tcp"]["disable_unauthed_generate_root_endpoints"], false);
        assert_eq!(config["seal"], configuration["seal"]);
        assert_eq!(config.get("audit"), None);
    }
}
