//! PodDisruptionBudget of the nodes.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::Cluster;
use crate::objects::{metadata, pods};

/// Limits evictions to one node at a time. With a single node there is nothing to limit. A pod that is not ready can always
/// be evicted: it would keep its Kubernetes node from being drained until it is.
pub(crate) fn disruption_budget(cluster: &Cluster) -> Option<PodDisruptionBudget> {
    let wanted = cluster.spec.pod_disruption_budget.enabled && cluster.spec.replicas > 1;
    wanted.then(|| PodDisruptionBudget {
        metadata: metadata(cluster, &cluster.name.name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(pods(cluster)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn one_node_at_a_time_is_evicted() {
        insta::assert_yaml_snapshot!(disruption_budget(&cluster()));
    }

    #[rstest]
    #[case(json!({"replicas": 3}), true)]
    #[case(json!({"replicas": 1}), false)]
    #[case(json!({"podDisruptionBudget": {"enabled": false}}), false)]
    fn a_budget_exists_for_several_nodes_unless_disabled(#[case] fields: Value, #[case] expected: bool) {
        assert_eq!(disruption_budget(&cluster_with(fields)).is_some(), expected);
    }
}
