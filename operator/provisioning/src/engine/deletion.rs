//! Deletion of an object: its resources are removed from OpenBao, or handed over to its parent after a deadline.

use steamer_core::error::Error;
use steamer_core::ownership::finalizer::{Obstacle, has_finalizer};
use steamer_runtime::{Action, Reason};

use super::course::Course;
use super::pass::Pass;
use super::provision::Provision;
use super::removal::{Removal, Resources};

/// Event of an object that is deleted while its resources must not be changed.
const LEFT_UNCHANGED: &str =
    "deleted while suspended or under mode: Observe: its resources in OpenBao are left unchanged";

pub(super) async fn delete<K: Provision>(object: &K, pass: &Pass<'_>) -> Result<Action, Error> {
    if !has_finalizer(object) {
        return Ok(Action::AwaitChange);
    }
    object.deletable(&pass.lookup())?;
    if let Some(removal) = removal(object, pass) {
        match Course::of(object.lifecycle()) {
            Course::Enforce => remove(object, &removal, pass).await?,
            Course::Suspend | Course::Observe => {
                pass.context.runtime.events.warn(object, Reason::Suspended, LEFT_UNCHANGED).await;
            }
        }
    }
    pass.context.remove_finalizer(object).await?;
    Ok(Action::AwaitChange)
}

/// The removal of the resources that the last status records. None if there are none.
pub(super) fn removal<'a, K: Provision>(object: &K, pass: &Pass<'a>) -> Option<Removal<'a>> {
    let mut last: K::Status = pass.context.last(object);
    let resources = Resources {
        footprint: object.footprint(&last)?,
        mark: pass.context.mark_of(object),
        policy: object.lifecycle().deletion_policy,
        orphans: K::orphans(&mut last).map(std::mem::take).unwrap_or_default(),
    };
    Some(Removal { pass: *pass, resources })
}

async fn remove<K: Provision>(object: &K, removal: &Removal<'_>, pass: &Pass<'_>) -> Result<(), Error> {
    let Err(obstacle) = try_remove::<K>(removal).await else {
        return Ok(());
    };
    let lifecycle = object.lifecycle();
    pass.context.hand_over_after_deadline(object, lifecycle, obstacle, removal.resources.handover()).await
}

async fn try_remove<K: Provision>(removal: &Removal<'_>) -> Result<(), Obstacle> {
    let session = removal.session().await.map_err(Obstacle::Session)?;
    K::remove(&session, removal).await.map_err(Obstacle::Request)
}
