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
/// Why a resource of another object stays.
const CLAIMED: &str = "another object claims it: delete that object, too, if the resource is not needed";
/// Why a resource stays that the object may not have created.
const UNCLEAR: &str = "Steamer cannot tell who created it: delete it there if it is not needed";
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
        for note in untouched(object, &removal, pass) {
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

/// Events about resources in the status that the deletion does not touch.
fn untouched<K: Provision>(object: &K, removal: &Removal<'_>, pass: &Pass<'_>) -> Vec<String> {
    let Some(recorded) = object.footprint(&pass.context.status(object)) else { return Vec::new() };
    let authentic = object.authentic(recorded.clone(), pass).resources;
    notes(&recorded.resources, &authentic, &removal.resources.footprint.resources)
}

/// Events about the recorded resources that are not `trusted`, or pending. Those that are only `authentic` are claimed by another
/// object. The others the object may not have created: they are pending, or another client wrote them to the status.
fn notes(recorded: &[OwnedResource], authentic: &[OwnedResource], trusted: &[OwnedResource]) -> Vec<String> {
    let find = |all: &[OwnedResource], path: &str| all.iter().find(|it| it.path == path).cloned();
    let (mut claimed, mut unclear) = (Vec::new(), Vec::new());
    for path in recorded.iter().map(|it| &*it.path) {
        match find(trusted, path) {
            Some(entry) if !entry.pending => {}
            None if find(authentic, path).is_some() => claimed.push(path),
            _ => unclear.push(path),
        }
    }
    [note(&claimed, CLAIMED), note(&unclear, UNCLEAR)].into_iter().flatten().collect()
}

/// An Event about these paths. None if there are none.
fn note(paths: &[&str], why: &str) -> Option<String> {
    let listed: String = paths.join(", ").chars().take(LONGEST_PATHS).collect();
    (!paths.is_empty()).then(|| format!("Steamer keeps {listed} in OpenBao, because {why}"))
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A resource. `?` at the end: pending.
    fn entry(text: &&str) -> OwnedResource {
        let path = text.trim_end_matches('?').to_owned();
        OwnedResource { path, pending: text.ends_with('?'), ..OwnedResource::default() }
    }

    #[rstest]
    #[case::removed(&["a"], &["a"], &["a"], &[])]
    #[case::claimed(&["a", "b"], &["a", "b"], &["a"], &["Steamer keeps b in OpenBao, because another object claims it: "])]
    #[case::claimed_and_pending(&["a?"], &["a?"], &[], &["Steamer keeps a in OpenBao, because another object claims it: "])]
    #[case::pending(&["a?", "b"], &["a?", "b"], &["a?", "b"], &["Steamer keeps a in OpenBao, because Steamer cannot tell who created it: "])]
    #[case::created_after_all(&["a?"], &["a?"], &["a"], &[])]
    #[case::written_by_another_client(&["a"], &[], &[], &["Steamer keeps a in OpenBao, because Steamer cannot tell who created it: "])]
    #[case::both(
        &["a", "b", "c?", "d"],
        &["a", "b", "c?"],
        &["a", "c?"],
        &["Steamer keeps b in OpenBao, because another", "Steamer keeps c, d in OpenBao, because Steamer cannot tell"]
    )]
    fn a_resource_that_stays_is_named_with_its_reason(
        #[case] recorded: &[&str],
        #[case] authentic: &[&str],
        #[case] trusted: &[&str],
        #[case] expected: &[&str],
    ) {
        let [recorded, authentic, trusted] =
            [recorded, authentic, trusted].map(|all| all.iter().map(entry).collect::<Vec<_>>());
        let notes = notes(&recorded, &authentic, &trusted);
        assert_eq!(notes.len(), expected.len(), "{notes:?}");
        assert!(notes.iter().zip(expected).all(|(note, start)| note.starts_with(start)), "{notes:?}");
    }
}
