//! Deletion of an object: its resources are removed from OpenBao, or handed over to its parent after a deadline.

use steamer_api::{DeletionPolicy, OwnedResource};
use steamer_core::error::Error;
use steamer_core::ownership::finalizer::{Obstacle, has_finalizer};
use steamer_openbao::Session;
use steamer_runtime::{Action, Reason};

use super::course::{Course, is_revoked};
use super::pass::Pass;
use super::provision::Provision;
use super::removal::{Footprint, Removal, Resources};
use super::status;

/// Event of an object that is deleted while its values must not be changed.
const VALUES_KEPT: &str = "deleted while suspended or under mode: Observe: its access in OpenBao is removed and its values are kept";
/// Event of an object that is deleted without the right to its resources.
const WITHOUT_RIGHT: &str =
    "deleted without the right to its resources: its access in OpenBao is removed and its values are kept";
/// Event of an object that is deleted outside of the scope of the operator.
const OUT_OF_SCOPE: &str = "deleted while operatorScope of the OpenBaoCluster does not contain its OpenBao namespace: its resources \
                            stay in OpenBao, are listed in status.orphans of the OpenBaoCluster, and are removed once operatorScope \
                            contains the namespace again";
/// Most characters of paths in an Event.
const LONGEST_PATHS: usize = 500;

pub(super) async fn delete<K: Provision>(object: &K, pass: &Pass<'_>) -> Result<Action, Error> {
    if !has_finalizer(object) {
        return Ok(Action::AwaitChange);
    }
    object.deletable(&pass.lookup())?;
    if let Some(mut removal) = removal(object, pass) {
        // No access may outlive its object because another client overwrites the status.
        Error::set_aside(status::change(object, K::deleting, pass).await, &mut None)?;
        let kept = keeps_values(object, &removal, pass);
        if kept.is_some() {
            // No access may outlive its object.
            removal.resources.policy = DeletionPolicy::Retain;
            for orphan in &mut removal.resources.orphans {
                orphan.deletion_policy = DeletionPolicy::Retain;
            }
        }
        removal.resources.footprint = confirmed(object, &removal, pass).await?;
        remove(object, &removal, pass).await?;
        if let Some((reason, note)) = kept {
            pass.context.runtime.events.warn(object, reason, note).await;
        }
        if let Some(note) = untouched(object, &removal, pass) {
            pass.context.runtime.events.warn(object, Reason::Conflict, &note).await;
        }
    }
    pass.context.remove_finalizer(object).await?;
    Ok(Action::AwaitChange)
}

/// The footprint with the pending entries whose resources the object has created.
///
/// # Errors
/// Any error of the API server. Without an answer of OpenBao, and with a spec that no longer leads to the resources, entries
/// stay pending.
async fn confirmed<K: Provision>(
    object: &K,
    removal: &Removal<'_>,
    pass: &Pass<'_>,
) -> Result<Footprint, Error> {
    let footprint = removal.resources.footprint.clone();
    if is_out_of_scope::<K>(removal) || footprint.resources.iter().all(|it| !it.pending) {
        return Ok(footprint);
    }
    match object.confirmed(footprint.clone(), pass).await {
        Err(error @ (Error::Kubernetes(_) | Error::Internal(_))) => Err(error),
        confirmed => Ok(confirmed.unwrap_or(footprint)),
    }
}

/// Returns true if Steamer must not write where the recorded resources are.
pub(super) fn is_out_of_scope<K: Provision>(removal: &Removal<'_>) -> bool {
    !K::IN_TENANTS && removal.is_out_of_scope()
}

/// Reason and Event if the deletion must keep values. A revoked right gives no right to delete values, which belong to someone
/// else by now; resources with a mark still belong to the object.
fn keeps_values<K: Provision>(
    object: &K,
    removal: &Removal<'_>,
    pass: &Pass<'_>,
) -> Option<(Reason, &'static str)> {
    if Course::of(object.lifecycle()) != Course::Enforce {
        return Some((Reason::Suspended, VALUES_KEPT));
    }
    let is_recorded = !removal.resources.footprint.resources.is_empty();
    let has_no_right = || object.references(&pass.lookup()).is_err_and(|error| is_revoked(&error));
    (is_recorded && has_no_right()).then_some((Reason::ReferenceDenied, WITHOUT_RIGHT))
}

/// Event about resources in the status that the deletion does not touch: those that the object may not have created, those that
/// another object claims, and those that another client wrote to the status.
fn untouched<K: Provision>(object: &K, removal: &Removal<'_>, pass: &Pass<'_>) -> Option<String> {
    let trusted = &removal.resources.footprint.resources;
    let recorded = object.footprint(&pass.context.status(object))?.resources;
    let is_touched = |it: &OwnedResource| trusted.iter().any(|other| other.path == it.path && !other.pending);
    let paths: Vec<&str> = recorded.iter().filter(|it| !is_touched(it)).map(|it| &*it.path).collect();
    let listed: String = paths.join(", ").chars().take(LONGEST_PATHS).collect();
    (!paths.is_empty()).then(|| {
        format!(
            "Steamer keeps {listed} in OpenBao, because another object claims it or Steamer cannot tell who created it: delete it \
             there if it is not needed"
        )
    })
}

/// The removal of the resources that the last status records. None if there are none.
pub(super) fn removal<'a, K: Provision>(object: &K, pass: &Pass<'a>) -> Option<Removal<'a>> {
    let mut last: K::Status = pass.context.status(object);
    let resources = Resources {
        footprint: object.trusted(object.footprint(&last)?, pass),
        mark: pass.context.mark_of(object),
        policy: object.lifecycle().deletion_policy,
        orphans: K::orphans(&mut last).map(std::mem::take).unwrap_or_default(),
    };
    Some(Removal { pass: *pass, resources })
}

async fn remove<K: Provision>(object: &K, removal: &Removal<'_>, pass: &Pass<'_>) -> Result<(), Error> {
    if is_out_of_scope::<K>(removal) {
        let handover = removal.resources.handover(&pass.context.mac);
        handover.carry_out(pass.context).await?;
        pass.context.runtime.events.warn(object, Reason::Invalid, OUT_OF_SCOPE).await;
        return Ok(());
    }
    let Err(obstacle) = try_remove::<K>(removal).await else {
        return Ok(());
    };
    let lifecycle = object.lifecycle();
    pass.context
        .hand_over_after_deadline(object, lifecycle, obstacle, removal.resources.handover(&pass.context.mac))
        .await
}

async fn try_remove<K: Provision>(removal: &Removal<'_>) -> Result<(), Obstacle> {
    let session = removal.session().await.map_err(Obstacle::Session)?;
    remove_all::<K>(&session, removal).await.map_err(Obstacle::Request)
}

async fn remove_all<K: Provision>(session: &Session, removal: &Removal<'_>) -> Result<(), Error> {
    K::remove_children(session, removal).await?;
    K::remove(session, removal.namespace(), removal.owned()).await
}
