use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::Name;

/// The objects of a kind as last seen. Stale by design: who writes trusts the answer to the write.
pub struct Store<K> {
    objects: Arc<RwLock<HashMap<Name, Arc<K>>>>,
    synced: Arc<watch::Sender<bool>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { objects: self.objects.clone(), synced: self.synced.clone() }
    }
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self { objects: Arc::default(), synced: Arc::new(watch::channel(false).0) }
    }
}

impl<K> Store<K> {
    /// The object of that name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All objects that `chosen` chooses.
    pub fn filter(&self, chosen: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().filter(|object| chosen(object)).cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns once everything there was at the start has been seen.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Whether everything there was at the start has been seen.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(crate) fn mark_synced(&self) {
        self.synced.send_replace(true);
    }

    pub(crate) fn insert(&self, name: Name, object: Arc<K>) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(name, object);
    }

    pub(crate) fn remove(&self, name: &Name) -> Option<Arc<K>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}
