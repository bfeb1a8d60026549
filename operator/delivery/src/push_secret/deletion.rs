//! Deletion of an object: its entries are deleted with it if the spec says so.

use kube::ResourceExt;
use steamer_api::{BaoPushSecret, DeletionPolicy, KvType, Mode, PushedEntry};
use steamer_core::ownership::finalizer::{Obstacle, expired, has_finalizer};
use steamer_core::{Context, Error};
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::{Dependencies, ObjectName, Reason, describe};

use super::entry::Seal;
use super::fetch::own_access;
use super::place::Place;
use super::release::Releaser;
use super::status::last;

/// Event of an object that is deleted while its entries must not be changed.
const KEPT: &str = "deleted while suspended or under mode: Observe: its entries in OpenBao are kept";

/// Deletes the entries of an object that is being deleted, and removes its finalizer.
pub(super) async fn delete(
    context: &Context,
    dependencies: &Dependencies,
    object: &BaoPushSecret,
) -> Result<(), Error> {
    if !has_finalizer(object) {
        return Ok(());
    }
    let lifecycle = &object.spec.lifecycle;
    if lifecycle.deletion_policy == DeletionPolicy::Delete {
        if lifecycle.suspend || lifecycle.mode == Mode::Observe {
            context.runtime.events.warn(object, Reason::Suspended, KEPT).await;
        } else if let Err(obstacle) = remove(context, dependencies, object).await {
            let error = expired(object, lifecycle, obstacle)?;
            context.runtime.events.warn(object, Reason::Deleting, &note(&error)).await;
        }
    }
    context.remove_finalizer(object).await
}

/// Text of the Event of a deletion that ends at its deadline.
fn note(error: &Error) -> String {
    format!(
        "deleted at its deletionDeadline although its entries in OpenBao could not be removed ({}): delete them by hand",
        describe(error)
    )
}

async fn remove(
    context: &Context,
    dependencies: &Dependencies,
    object: &BaoPushSecret,
) -> Result<(), Obstacle> {
    let access = own_access(context, dependencies, object).await.map_err(Obstacle::Session)?;
    let records = recorded(context, object, &access.login.namespace);
    remove_all(context, object, &access.session, &records).await.map_err(Obstacle::Request)
}

async fn remove_all(
    context: &Context,
    object: &BaoPushSecret,
    root: &Session,
    records: &[PushedEntry],
) -> Result<(), Error> {
    let (mark, name) = (context.mark_of(object), ObjectName::of(object));
    let seal = Seal { mac: &context.mac, object: &name };
    let releaser = Releaser { root, mark: &mark, seal, policy: DeletionPolicy::Delete };
    for record in records {
        releaser.release(record).await?;
    }
    tracing::info!(object = %object.name_any(), entries = records.len(), "entries removed from OpenBao");
    Ok(())
}

/// The entries of the status, and those of the spec: the operator can have died before it wrote the status. Only entries
/// with the mark of the object are removed.
fn recorded(context: &Context, object: &BaoPushSecret, default: &NamespacePath) -> Vec<PushedEntry> {
    let mut records = last(context, object).entries;
    // The status states an entry of a selected Secret before its first write.
    if object.spec.selector.is_some() {
        return records;
    }
    let namespace = object.spec.namespace.as_deref().map_or_else(|| default.clone(), NamespacePath::new);
    for item in object.spec.data.iter().filter(|item| item.type_ == KvType::V2) {
        let place = Place::of_item(item, &namespace, None);
        if place.record_in(&records).is_none() {
            records.push(place.record(None, String::new()));
        }
    }
    records
}
