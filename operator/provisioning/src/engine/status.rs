//! Statuses that every kind writes.

use jiff::Timestamp;
use steamer_api::{HasLifecycleStatus, Orphan, PlannedChange, StoppedWrite};
use steamer_core::error::Error;
use steamer_core::ownership::orphans::is_removable;
use steamer_core::stops;
use steamer_openbao::NamespacePath;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Failure, Reason};

use super::pass::Pass;
use super::prepared::Prepared;
use super::provision::Provision;
use crate::write::{Progress, Write};

/// Most changes in a status.
const MOST_CHANGES: usize = 1000;

pub(super) async fn suspended<K: Provision>(object: &K, pass: &Pass<'_>) -> Result<(), Error> {
    let mut last: K::Status = pass.context.status(object);
    last.lifecycle_mut().stopped.clear();
    pass.context.report(object, last, &Verdict::Suspended).await
}

/// Records that all access was removed. What the object writes after the right is given back is no repair, so that no stop remains.
pub(super) fn revoked<K: Provision>(object: &K, status: &mut K::Status, now: Timestamp) {
    object.revoked(status, now);
    status.lifecycle_mut().stopped.clear();
}

/// Changes the status without a change of its common conditions.
pub(super) async fn change<K: Provision>(
    object: &K,
    change: impl FnOnce(&mut K::Status),
    pass: &Pass<'_>,
) -> Result<(), Error> {
    let mut status: K::Status = pass.context.status(object);
    change(&mut status);
    pass.context.runtime.statuses.write(object, &status).await?;
    Ok(())
}

pub(super) async fn announce<K: Provision>(
    object: &K,
    Prepared { desired, observed, .. }: &Prepared<K>,
    pass: &Pass<'_>,
) -> Result<(), Error> {
    match K::announcement(desired, observed, &pass.context.status(object)) {
        Some(status) => {
            let message = "creating the resources in OpenBao".to_owned();
            pass.context.report(object, status, &Verdict::Progressing(Reason::Waiting, message)).await
        }
        None => Ok(()),
    }
}

pub(super) async fn observed<K: Provision>(
    object: &K,
    Prepared { session, desired, plan, .. }: &Prepared<K>,
    pass: &Pass<'_>,
) -> Result<(), Error> {
    let described = |write: &Write| write.described(session.namespace());
    let changes = plan.writes.iter().take(MOST_CHANGES).map(described).collect();
    let mut status: K::Status = pass.context.status(object);
    planned::<K>(&mut status, &K::published(desired), changes);
    K::compared(&mut status, desired);
    pass.context.report(object, status, &compared(plan.writes.len())).await
}

/// Writes the facts that hold in every mode, and the pending changes, to the status. Only a plan that is executed has stopped writes.
fn planned<K: Provision>(status: &mut K::Status, namespace: &NamespacePath, changes: Vec<PlannedChange>) {
    let lifecycle = status.lifecycle_mut();
    lifecycle.openbao_namespace = Some(namespace.as_str().to_owned());
    lifecycle.plan = changes;
    lifecycle.stopped.clear();
}

/// Lists the stopped writes of a plan in the status.
pub(super) fn stopped<K: Provision>(status: &mut K::Status, mut stopped: Vec<StoppedWrite>) {
    stopped.truncate(stops::MOST);
    status.lifecycle_mut().stopped = stopped;
}

/// Result of a comparison without writes. The object does what its spec says, so it is ready.
fn compared(changes: usize) -> Verdict {
    match changes {
        0 => Verdict::Ready(Reason::Observed, "OpenBao matches the spec".to_owned()),
        count => {
            let message = format!("OpenBao differs from the spec; pending changes: {count}, see status.plan");
            Verdict::Ready(Reason::Drifted, message)
        }
    }
}

/// Result of an executed plan.
pub(super) struct Applied<'a, K: Provision> {
    pub(super) prepared: &'a Prepared<K>,
    pub(super) removed_orphans: &'a [Orphan],
    /// Error of a write that is stopped. It determines the verdict.
    pub(super) contested: Option<&'a Error>,
    /// What was written.
    pub(super) progress: &'a Progress,
    /// The writes that are stopped.
    pub(super) stopped: Vec<StoppedWrite>,
}

/// Reports an applied plan. Returns true if orphans remain that a later reconcile can remove.
pub(super) async fn applied<K: Provision>(
    object: &K,
    applied: Applied<'_, K>,
    pass: &Pass<'_>,
) -> Result<bool, Error> {
    let mut status: K::Status = pass.context.status(object);
    let Prepared { desired, observed, .. } = applied.prepared;
    planned::<K>(&mut status, &K::published(desired), Vec::new());
    let former = status.clone();
    let verdict = object.applied(&mut status, desired, Timestamp::now());
    stopped::<K>(&mut status, applied.stopped);
    if !applied.progress.paused.is_empty() {
        K::paused((&mut status, &former), desired, observed, applied.progress);
    }
    let verdict = applied.contested.map_or(verdict, Failure::verdict);
    let has_orphans = K::orphans(&mut status).is_some_and(|orphans| {
        // A child that was deleted in the meantime has added to the list.
        orphans.retain(|orphan| !applied.removed_orphans.contains(orphan));
        orphans.iter().any(|orphan| is_removable(pass.context, orphan))
    });
    pass.context.report(object, status, &verdict).await?;
    Ok(has_orphans)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steamer_api::{BaoPolicy, BaoPolicyStatus, LifecycleStatus};

    use super::*;

    fn stopped_policy() -> (BaoPolicy, BaoPolicyStatus) {
        let spec = json!({"clusterRef": {"name": "main"}, "policy": ""});
        let lifecycle =
            LifecycleStatus { stopped: vec![StoppedWrite::default()], ..LifecycleStatus::default() };
        let policy = BaoPolicy::new("web", serde_json::from_value(spec).unwrap());
        (policy, BaoPolicyStatus { lifecycle, ..BaoPolicyStatus::default() })
    }

    #[test]
    fn a_revoked_right_ends_the_stops() {
        let (policy, mut status) = stopped_policy();
        revoked(&policy, &mut status, Timestamp::UNIX_EPOCH);
        assert_eq!(status.lifecycle.stopped, Vec::new());
    }

    #[test]
    fn a_plan_that_is_not_executed_has_no_stops() {
        let (_, mut status) = stopped_policy();
        planned::<BaoPolicy>(&mut status, &NamespacePath::new("team"), Vec::new());
        assert_eq!(status.lifecycle.stopped, Vec::new());
        assert_eq!(status.lifecycle.openbao_namespace.as_deref(), Some("team"));
    }

    #[test]
    fn pending_changes_are_drift() {
        assert_eq!(compared(0), Verdict::Ready(Reason::Observed, "OpenBao matches the spec".to_owned()));
        let message = "OpenBao differs from the spec; pending changes: 3, see status.plan".to_owned();
        assert_eq!(compared(3), Verdict::Ready(Reason::Drifted, message));
    }
}
