//! Stop of all nodes, for hibernation, and for the restore of a backup into the cluster's own database.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use steamer_core::error::Error;
use steamer_openbao::Health;

use crate::cluster::{Cluster, Mode, RESTORE, RESTORING};
use crate::effects::Effects;

/// Text about a cluster that hibernates.
pub(crate) const HIBERNATED: &str =
    "no node runs: the cluster hibernates until spec.managed.hibernation is false";

/// Stops every node for as long as the mode of the cluster requires. Returns the error that describes the wait.
pub(crate) async fn stop(effects: &Effects<'_>, cluster: &Cluster) -> Result<Error, Error> {
    let live = effects.child_api.get::<StatefulSet>(cluster.name());
    let replicas = live.and_then(|live| live.spec.as_ref()?.replicas);
    if replicas.is_some_and(|replicas| replicas > 0) {
        let patch = json!({"spec": {"replicas": 0}});
        let sets = effects.child_api.api::<StatefulSet>();
        sets.patch(cluster.name(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    }
    let pods = effects.child_api.all::<Pod>().len();
    Ok(Error::Waiting(text(cluster, pods)))
}

fn text(cluster: &Cluster, pods: usize) -> String {
    match (cluster.mode, pods) {
        (Mode::Hibernating, 0) => HIBERNATED.to_owned(),
        (Mode::Hibernating, pods) => format!("{pods} pods terminate for the hibernation"),
        (_, 0) => format!(
            "no node runs: restore database `{}`, then remove the annotation {RESTORING}",
            cluster.owner.database
        ),
        (_, pods) => format!("{pods} pods terminate before the database is restored"),
    }
}

/// Error if the database contains another OpenBao than the one that this cluster ran last.
pub(crate) fn foreign_data(cluster: &Cluster, last_id: Option<&str>, health: &Health) -> Option<Error> {
    let known = last_id.filter(|_| !cluster.takes_over)?;
    (!health.cluster_id.is_empty() && known != health.cluster_id).then(|| {
        Error::Conflict(format!(
            "the database contains OpenBao {}, but this cluster ran {known}: restore its own backup, or accept the present \
             data with the annotation {RESTORE}=<today>",
            health.cluster_id
        ))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;

    #[rstest]
    #[case::first_start(None, "a", false, false)]
    #[case::same(Some("a"), "a", false, false)]
    #[case::another(Some("a"), "b", false, true)]
    #[case::another_with_consent(Some("a"), "b", true, false)]
    #[case::not_reported(Some("a"), "", false, false)]
    fn data_of_another_openbao_needs_consent(
        #[case] last: Option<&str>,
        #[case] found: &str,
        #[case] takes_over: bool,
        #[case] expected: bool,
    ) {
        let cluster = Cluster { takes_over, ..cluster() };
        let health = Health { cluster_id: found.to_owned(), ..Health::default() };
        assert_eq!(foreign_data(&cluster, last, &health).is_some(), expected);
    }
}
