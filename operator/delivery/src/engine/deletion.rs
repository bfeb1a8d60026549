//! End of an object. A Secret that Steamer created has an owner reference, and the API server deletes it. Keys in a Secret
//! of another client must be removed before the object is gone.

use kube::ResourceExt;
use steamer_api::{CreationPolicy, DeletionPolicy, Mode};
use steamer_core::Error;
use steamer_core::ownership::finalizer::is_held;
use steamer_runtime::ObjectName;

use super::shared::Engine;
use super::synced::Synced;

impl Engine {
    /// Removes the keys of an object that is being deleted, and the finalizers that wait for Steamer.
    pub(super) async fn release<K: Synced>(&self, object: &K) -> Result<(), Error> {
        if !is_held(object) {
            return Ok(());
        }
        let destination = object.common().destination;
        let kept = destination.creation_policy == CreationPolicy::Orphan
            || destination.deletion_policy == DeletionPolicy::Retain
            || object.mode() == Mode::Observe;
        if !kept || object.clears() {
            let former = K::recorded(&self.context.latest(object)).sync.destination;
            let former = former.filter(|former| *former != destination.name);
            for name in former.iter().chain([&destination.name]) {
                let name = ObjectName::new(object.namespace().unwrap_or_default(), name);
                self.destinations.withdraw(&name, &self.context.mark_of(object)).await?;
            }
        }
        self.context.remove_finalizer(object).await
    }
}
