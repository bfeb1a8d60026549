//! Stop of all nodes, for hibernation, and for the restore of a backup into the cluster's own database.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use steamer_api::Fencing;
use steamer_core::error::Error;
use steamer_runtime::describe;

use crate::cluster::{Cluster, Mode, RESTORE, RESTORING};
use crate::database::roles::FenceNote;
use crate::database::schema::ID_TABLE;
use crate::database::writers::Writers;
use crate::effects::Effects;

/// Text about a cluster that hibernates.
pub(crate) const HIBERNATED: &str =
    "no node runs: the cluster hibernates until spec.managed.hibernation is false";

/// Annotation of the StatefulSet: the logins of the nodes are blocked for a restore.
const BLOCKED: &str = "steamer.dev/logins-blocked";

/// Returns true if the logins of the nodes are blocked for a restore.
pub(crate) fn is_blocked(live: &StatefulSet) -> bool {
    live.annotations().contains_key(BLOCKED)
}

/// Stops every node for as long as the mode of the cluster requires. Returns the error that describes the wait.
pub(crate) async fn stop(effects: &Effects<'_>, cluster: &Cluster) -> Result<Error, Error> {
    let live = effects.child_api.get::<StatefulSet>(cluster.name());
    let replicas = live.as_ref().and_then(|live| live.spec.as_ref()?.replicas);
    if replicas.is_some_and(|replicas| replicas > 0) {
        let patch = json!({"metadata": {"annotations": {BLOCKED: null}}, "spec": {"replicas": 0}});
        effects.patch_nodes(&patch).await?;
    }
    let now = Timestamp::now();
    let pods = effects.child_api.servers();
    let running = pods.iter().filter(|pod| !is_overdue(pod, now)).count();
    if cluster.mode == Mode::Restoring && running == 0 && replicas.is_none_or(|replicas| replicas == 0) {
        let needs_block = live.as_deref().is_some_and(|live| !is_blocked(live));
        if needs_block && let Err(error) = block(effects, cluster).await {
            return Ok(Error::Waiting(format!(
                "no node runs, but a process could still write to database `{}`: {}",
                cluster.owner.database,
                describe(&error)
            )));
        }
        return Ok(Error::Waiting(text(cluster, 0)));
    }
    Ok(Error::Waiting(text(cluster, pods.len())))
}

/// Returns true if a pod has not ended within its grace period: its Kubernetes node is lost, or cut off and its process
/// still runs.
pub(crate) fn is_overdue(pod: &Pod, now: Timestamp) -> bool {
    pod.metadata.deletion_timestamp.as_ref().is_some_and(|due| due.0 < now)
}

/// Blocks the logins of all nodes, once: a process on a machine that is cut off from Kubernetes may still run. The nodes get
/// new logins after the restore. Leaves no session in the database, which the restore may recreate.
async fn block(effects: &Effects<'_>, cluster: &Cluster) -> Result<(), Error> {
    let target = effects.guard_target;
    let blocked = block_roles(effects, cluster).await;
    target.links.owner.disconnect().await;
    if let Some(admin) = &target.links.admin {
        admin.disconnect().await;
    }
    blocked?;
    effects.patch_nodes(&json!({"metadata": {"annotations": {BLOCKED: "true"}}})).await
}

/// Blocks the logins, unless another Steamer uses the database: that of a copy of the Kubernetes cluster must not block
/// the nodes of the original.
///
/// All statements are urgent: the claim ends with each attempt, so none of them may be refused half-way because another cluster
/// got no answer from the server.
async fn block_roles(effects: &Effects<'_>, cluster: &Cluster) -> Result<(), Error> {
    let target = effects.guard_target;
    let owner = &target.fence_links.owner;
    // The guard is stopped, and its session must not hold the lock.
    target.own_links.owner.disconnect().await;
    owner.claim(&target.mark).await?;
    if let Some(role_admin) = target.role_admin().filter(|_| cluster.fencing == Fencing::Database) {
        let note = FenceNote {
            since: Timestamp::now().as_second(),
            lock: String::new(),
            uid: String::new(),
            reason: "the database is being restored".to_owned(),
        };
        let roles = role_admin.admin.node_roles(cluster.name(), role_admin.mark).await?;
        for role in roles.iter().filter(|role| role.own && role.can_login) {
            role_admin.shut_out(&role.name, &note).await?;
        }
    }
    match owner.other_writers().await? {
        None => Ok(()),
        Some(Writers { login, sessions }) => {
            Err(Error::Waiting(format!("`{login}` has {sessions} sessions: end them")))
        }
    }
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

/// Error if the database contains another OpenBao than the one that this cluster ran last. `found` is the cluster ID that
/// OpenBao reports once a node is unsealed.
pub(crate) fn foreign_data(cluster: &Cluster, last_id: Option<&str>, found: Option<&str>) -> Option<Error> {
    let (found, known) = differing(cluster, last_id, found)?;
    Some(Error::Conflict(format!(
        "the database contains OpenBao {found}, but this cluster ran {known}: restore its own backup, or accept the present \
         data with the annotation {RESTORE}=<today>"
    )))
}

/// Error if the database records another OpenBao than the one that this cluster ran last. `recorded` is the cluster ID in the
/// comment on the table of the lock. The comment can be older than the data: a restore of the data alone does not replace it.
pub(crate) fn foreign_record(
    cluster: &Cluster,
    last_id: Option<&str>,
    recorded: Option<&str>,
) -> Option<Error> {
    let (recorded, known) = differing(cluster, last_id, recorded)?;
    let database = &cluster.owner.database;
    Some(Error::Conflict(format!(
        "the comment on table {ID_TABLE} in database `{database}` names OpenBao {recorded}, but this cluster ran {known}: restore \
         its own backup, or accept the present data with the annotation {RESTORE}=<today>. If the data is that of {known} and only \
         the comment is out of date, remove the comment: COMMENT ON TABLE {ID_TABLE} IS NULL"
    )))
}

/// A cluster ID that was found, and the other one that the cluster had before, unless the user accepts any data.
fn differing<'a>(
    cluster: &Cluster,
    last_id: Option<&'a str>,
    found: Option<&'a str>,
) -> Option<(&'a str, &'a str)> {
    let known = last_id.filter(|_| !cluster.takes_over)?;
    let found = found.filter(|found| !found.is_empty() && *found != known)?;
    Some((found, known))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;
    use crate::tests::kubernetes::Access;
    use crate::tests::postgres::Outage;

    #[tokio::test]
    async fn a_restore_asks_a_server_that_did_not_answer_another_cluster() {
        let outage = Outage::new().await;
        let access = Access::new(&outage.context, &outage.cluster, &outage.target);
        let child_api = access.child_api();
        assert!(block_roles(&access.effects(&child_api), &outage.cluster).await.is_err());
        assert_eq!(outage.connections(), 2);
    }

    #[rstest]
    #[case::runs(None, false)]
    #[case::ends(Some("2026-11-28T12:00:30Z"), false)]
    #[case::on_a_lost_machine(Some("2026-11-28T11:59:59Z"), true)]
    fn only_a_pod_within_its_grace_period_delays_a_restore(
        #[case] due: Option<&str>,
        #[case] expected: bool,
    ) {
        let pod = json!({"metadata": {"name": "main-0", "deletionTimestamp": due}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(is_overdue(&pod, "2026-11-28T12:00:00Z".parse().unwrap()), expected);
    }

    #[rstest]
    #[case::first_start(None, Some("a"), false, false)]
    #[case::same(Some("a"), Some("a"), false, false)]
    #[case::another(Some("a"), Some("b"), false, true)]
    #[case::another_with_consent(Some("a"), Some("b"), true, false)]
    #[case::not_reported(Some("a"), Some(""), false, false)]
    #[case::not_recorded(Some("a"), None, false, false)]
    fn data_of_another_openbao_needs_consent(
        #[case] last: Option<&str>,
        #[case] found: Option<&str>,
        #[case] takes_over: bool,
        #[case] expected: bool,
    ) {
        let cluster = Cluster { takes_over, ..cluster() };
        assert_eq!(foreign_data(&cluster, last, found).is_some(), expected);
        assert_eq!(foreign_record(&cluster, last, found).is_some(), expected);
    }

    #[rstest]
    #[case::place(
        "the comment on table openbao_ha_locks in database `bao` names OpenBao b, but this cluster ran a"
    )]
    #[case::own_backup("restore its own backup")]
    #[case::consent("the annotation steamer.dev/restore=<today>")]
    #[case::out_of_date("remove the comment: COMMENT ON TABLE openbao_ha_locks IS NULL")]
    fn a_record_of_another_openbao_is_reported_with_its_place_and_its_removal(#[case] expected: &str) {
        let text = foreign_record(&cluster(), Some("a"), Some("b")).unwrap().to_string();
        assert!(text.contains(expected), "{text}");
    }
}
