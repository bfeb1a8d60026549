//! ServiceMonitor of the Prometheus Operator.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::objects::{metadata, pods, selector};

/// The fields of a ServiceMonitor that Steamer sets.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "monitoring.coreos.com", version = "v1", kind = "ServiceMonitor", plural = "servicemonitors")]
#[kube(namespaced, schema = "disabled", derive = "PartialEq")]
#[serde(default)]
pub(crate) struct ServiceMonitorSpec {
    selector: LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Endpoint {
    port: String,
    path: String,
    scheme: String,
}

/// The ServiceMonitor, if the spec asks for one. It selects the Service with the metrics port.
pub(crate) fn service_monitor(cluster: &Cluster) -> Option<ServiceMonitor> {
    cluster.spec.metrics.service_monitor.then(|| {
        let mut labels = selector(cluster);
        labels.extend(cluster.spec.metrics.service_monitor_labels.clone());
        let mut metadata = metadata(cluster, &cluster.name.name);
        metadata.labels = Some(labels);
        let endpoint =
            Endpoint { port: "metrics".to_owned(), path: "/metrics".to_owned(), scheme: "http".to_owned() };
        let spec = ServiceMonitorSpec { selector: pods(cluster), endpoints: vec![endpoint] };
        ServiceMonitor { metadata, spec }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn a_monitor_carries_the_labels_that_a_prometheus_selects() {
        let metrics = json!({"serviceMonitor": true, "serviceMonitorLabels": {"release": "prometheus"}});
        insta::assert_yaml_snapshot!(service_monitor(&cluster_with(json!({"metrics": metrics}))));
        assert_eq!(service_monitor(&cluster()), None);
    }
}
