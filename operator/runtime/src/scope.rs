//! Scope of a watch: the objects that are kept in memory.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Store;

/// Limits a watch to objects that belong to an owner. All other objects are dropped as soon as they are read: everyone can
/// create objects with a label, and they must not fill the memory of the operator.
pub struct Scope<K> {
    keeps: Arc<dyn Fn(&K) -> bool + Send + Sync>,
    synced: watch::Receiver<bool>,
    added: watch::Receiver<u64>,
}

impl<K> Clone for Scope<K> {
    fn clone(&self) -> Self {
        Self { keeps: self.keeps.clone(), synced: self.synced.clone(), added: self.added.clone() }
    }
}

impl<K> Scope<K> {
    /// Keeps objects for which `keeps` returns `true`. A new owner can be the owner of objects that were dropped before.
    pub fn new<O>(owners: &Store<O>, keeps: impl Fn(&K) -> bool + Send + Sync + 'static) -> Self {
        Self { keeps: Arc::new(keeps), synced: owners.syncs(), added: owners.additions() }
    }

    pub(crate) fn keeps(&self, object: &K) -> bool {
        (self.keeps)(object)
    }

    /// Waits until all owners are known.
    pub(crate) async fn ready(&mut self) {
        let _ = self.synced.wait_for(|synced| *synced).await;
    }

    /// Returns the number of owners that were added so far. [`Scope::grown`] waits for the next one.
    pub(crate) fn owners(&mut self) -> u64 {
        *self.added.borrow_and_update()
    }

    /// Waits for a new owner.
    pub(crate) async fn grown(&mut self) {
        if self.added.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
