//! Metrics of OpenBaoClusters from their specs and statuses.

use steamer_api::OpenBaoCluster;
use steamer_core::Context;
use steamer_runtime::{ClusterState, NodeCounts, ObjectName};

/// Exports the state of every cluster in the cache.
pub(crate) fn register(context: &Context) {
    let store = context.stores.of::<OpenBaoCluster>();
    context.runtime.metrics.before_export(move |metrics| {
        metrics.clusters(store.filter(|_| true).iter().map(|cluster| state(cluster)).collect());
    });
}

fn state(cluster: &OpenBaoCluster) -> ClusterState {
    let status = cluster.status.clone().unwrap_or_default();
    let conditions = status.common.conditions.into_iter();
    ClusterState {
        name: ObjectName::of(cluster),
        version: status.version,
        conditions: conditions
            .map(|condition| [condition.type_, condition.status, condition.reason])
            .collect(),
        orphans: status.orphans.len(),
        nodes: cluster.spec.managed.as_ref().map(|spec| NodeCounts {
            desired: if spec.hibernation { 0 } else { spec.replicas.into() },
            serving: i64::try_from(status.members.iter().filter(|member| member.ready).count())
                .unwrap_or(i64::MAX),
            leader_changes: status
                .leadership_changes
                .and_then(|count| count.try_into().ok())
                .unwrap_or_default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::object;

    #[test]
    fn a_cluster_counts_the_nodes_that_serve() {
        let mut cluster = object();
        cluster.spec.managed.as_mut().unwrap().replicas = 3;
        let member = |ready| json!({"pod": "main-0", "role": "Standby", "ready": ready});
        let condition = json!({
            "type": "Unsealed", "status": "True", "reason": "Applied", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let status = json!({
            "observedGeneration": 1, "conditions": [condition], "version": "2.7.2", "leadershipChanges": 4,
            "members": [member(true), member(false), member(true)],
        });
        cluster.status = Some(serde_json::from_value(status).unwrap());
        let state = state(&cluster);
        assert_eq!(state.nodes, Some(NodeCounts { desired: 3, serving: 2, leader_changes: 4 }));
        assert_eq!(state.conditions, [["Unsealed", "True", "Applied"]]);
    }

    #[test]
    fn a_hibernated_cluster_desires_no_node() {
        let mut cluster = object();
        cluster.spec.managed.as_mut().unwrap().hibernation = true;
        assert_eq!(super::state(&cluster).nodes.unwrap().desired, 0);
    }
}
