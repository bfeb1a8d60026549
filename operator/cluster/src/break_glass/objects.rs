//! Kubernetes objects of break-glass: a StatefulSet with one pod, and a Secret with its configuration.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;
use steamer_runtime::ObjectName;

use super::Live;
use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::objects::private_server::{configuration, pod, pod_metadata, read_only};
use crate::objects::{metadata, private_server};

/// Suffix of the name of the StatefulSet and of the Secret.
const SUFFIX: &str = "-break-glass";

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

fn labels(cluster: &Cluster) -> BTreeMap<String, String> {
    private_server::labels(cluster, "openbao-break-glass")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::break_glass::{notes, opened};
    use crate::objects::private_server::{CONFIGURATION, CONNECTION};
    use crate::objects::services::services;
    use crate::tests::{cluster_with, nodes_of};

    fn built() -> (Cluster, StatefulSet, Value) {
        let audit = json!([
            {"name": "siem", "description": "d", "http": {"uri": "https://siem.example.com"}},
            {"name": "durable", "description": "d", "file": {"volume": {"size": "1Gi"}}},
        ]);
        let cluster = cluster_with(json!({"audit": audit, "instantDelivery": {"enabled": true}}));
        let (nodes, configuration) = nodes_of(&cluster);
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
