//! Deletion of an object: its resources are removed from OpenBao, or handed over to its parent after a deadline.

use steamer_api::DeletionPolicy;
use steamer_core::error::Error;
use steamer_core::ownership::finalizer::{Obstacle, has_finalizer};
use steamer_openbao::Session;
use steamer_runtime::{Action, Reason};

use super::course::Course;
use super::pass::Pass;
use super::provision::Provision;
use super::removal::{Removal, Resources};
use super::status;

/// Event of an object that is deleted while its values must not be changed.
const VALUES_KEPT: &str = "deleted while suspended or under mode: Observe: its access in OpenBao is removed and its values are kept";

pub(super) async fn delete<K: Provision>(object: &K, pass: &Pass<'_>) -> Result<Action, Error> {
    if !has_finalizer(object) {
        return Ok(Action::AwaitChange);
    }
    object.deletable(&pass.lookup())?;
    if let Some(mut removal) = removal(object, pass) {
        // No access may outlive its object because another client overwrites the status.
        Error::set_aside(status::change(object, K::deleting, pass).await, &mut None)?;
        let keeps_values = Course::of(object.lifecycle()) != Course::Enforce;
        if keeps_values {
            // No access may outlive its object.
            removal.resources.policy = DeletionPolicy::Retain;
            for orphan in &mut removal.resources.orphans {
                orphan.deletion_policy = DeletionPolicy::Retain;
            }
        }
        remove(object, &removal, pass).await?;
        if keeps_values {
            pass.context.runtime.events.warn(object, Reason::Suspended, VALUES_KEPT).await;
        }
    }
    pass.context.remove_finalizer(object).await?;
    Ok(Action::AwaitChange)
}

/// The removal of the resources that the last status records. None if there are none.
pub(super) fn removal<'a, K: Provision>(object: &K, pass: &Pass<'a>) -> Option<Removal<'a>> {
    let mut last: K::Status = pass.context.status(object);
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
    remove_all::<K>(&session, removal).await.map_err(Obstacle::Request)
}

async fn remove_all<K: Provision>(session: &Session, removal: &Removal<'_>) -> Result<(), Error> {
    K::remove_children(session, removal).await?;
    K::remove(session, removal.namespace(), removal.owned()).await
}
