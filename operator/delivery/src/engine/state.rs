//! The desired frame of an object's Secret, and the state of the Secret as it is.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{CreationPolicy, DeletionPolicy, Destination};
use steamer_core::access::named_objects::secret_key;
use steamer_core::{Context, Error};
use steamer_runtime::{Dependencies, ObjectName};

use super::change::Before;
use super::decide::Seen;
use super::frame::{Fit, Frame};
use super::merge::{mac_of_own_keys, owns_keys, stamp_of_keys};
use super::observed::Observed;
use super::shared::Engine;
use super::stamp::Stamp;
use super::synced::{Recorded, Synced};
use super::templated::Templated;

/// The frame that the spec of an object describes.
pub(super) fn frame<K: Synced>(context: &Context, object: &K) -> Frame {
    let Destination {
        name,
        create: _,
        overwrite: _,
        labels,
        annotations,
        type_,
        transformation: _,
        immutable,
        creation_policy,
        deletion_policy,
    } = object.common().destination;
    let owned = *creation_policy == CreationPolicy::Owner && *deletion_policy == DeletionPolicy::Delete;
    Frame {
        name: ObjectName::new(object.namespace().unwrap_or_default(), name),
        type_: type_.clone().unwrap_or_else(|| "Opaque".to_owned()),
        labels: labels.clone(),
        annotations: annotations.clone(),
        templated: Templated::None,
        immutable: *immutable,
        owner: if owned { object.controller_owner_ref(&()) } else { None },
        mark: context.mark_of(object),
    }
}

impl Engine {
    /// The Secret of an object before a write.
    pub(super) fn before<K: Synced>(&self, object: &K) -> Before {
        let destination = object.common().destination;
        let name = ObjectName::new(object.namespace().unwrap_or_default(), &destination.name);
        let own = self.destinations.own(&name, &self.context.mark_of(object)).filter(|_| destination.create);
        let Recorded { stamp, sync, .. } = K::recorded(&self.context.latest(object));
        Before {
            own: own.as_ref().and_then(|observed| observed.stamp()),
            data: own.map(|observed| observed.mac.clone()),
            recorded: stamp.as_deref().and_then(Stamp::parse),
            restarted: sync.restarts.map_or(0, |restarts| restarts.change),
            is_renamed: sync.destination.is_some_and(|former| former != destination.name),
        }
    }

    /// The Secret of an object before a write of the value with this stamp.
    pub(super) async fn before_write<K: Synced>(
        &self,
        dependencies: &Dependencies,
        object: &K,
        stamp: &Stamp,
    ) -> Result<Before, Error> {
        let mut before = self.before(object);
        if before.own.is_none() && before.recorded.is_none() && object.common().takes_over() {
            before.data = self.foreign(&frame(&self.context, object).name).await?;
        }
        if !object.common().destination.create
            && before.recorded.as_ref().is_some_and(|it| it.is_same_version(stamp))
        {
            let frame = frame(&self.context, object);
            let secret = self.destinations.named.get(dependencies, &frame.name).await?;
            let own = secret.filter(|secret| owns_keys(secret, &frame.mark));
            before.data = own.map(|secret| mac_of_own_keys(&secret, &frame, &self.context.mac));
        }
        Ok(before)
    }

    /// Keyed digest of the data of a Secret of another owner. None without data.
    async fn foreign(&self, name: &ObjectName) -> Result<Option<String>, Error> {
        let found = self.destinations.refresh(name).await?;
        Ok(found.filter(|observed| !observed.keys.is_empty()).map(|observed| observed.mac.clone()))
    }

    /// The Secret of an object as it is. A change requeues the object.
    pub(super) async fn seen<K: Synced>(
        &self,
        dependencies: &Dependencies,
        object: &K,
        frame: &Frame,
    ) -> Result<Option<Seen>, Error> {
        dependencies.on(secret_key(&frame.name));
        if object.common().destination.create {
            return Ok(self.destinations.own(&frame.name, &frame.mark).map(|observed| own(frame, &observed)));
        }
        let Some(secret) = self.destinations.named.get(dependencies, &frame.name).await? else {
            return Ok(None);
        };
        let (owned, mac) = (owns_keys(&secret, &frame.mark), &self.context.mac);
        let content = if owned { mac_of_own_keys(&secret, frame, mac) } else { String::new() };
        let Recorded { stamp: recorded, .. } = K::recorded(&self.context.latest(object));
        let written = stamp_of_keys(&secret, &content, mac).filter(|_| owned);
        let stamp = written.or_else(|| recorded.as_deref().and_then(Stamp::parse));
        Ok(Some(Seen { stamp, content, fit: Fit::Fits }))
    }
}

fn own(frame: &Frame, observed: &Arc<Observed>) -> Seen {
    Seen { stamp: observed.stamp(), content: observed.mac.clone(), fit: frame.fit(observed) }
}
