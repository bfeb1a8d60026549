//! Cache of watched objects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use kube::runtime::watcher;
use tokio::sync::watch;

use crate::listing::{Listings, Part};
use crate::{Locked, ObjectName};

/// Existence of an object, according to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It exists, even if it cannot be parsed.
    Present,
    /// It does not exist.
    Absent,
    /// Its namespace is not watched, or the API server refuses a list of it.
    Unknown,
}

/// Group of an object, such as its owner.
pub type GroupOf<K> = fn(&K) -> Option<ObjectName>;

/// Objects by name, and their names by group.
struct Objects<K> {
    all: HashMap<ObjectName, Arc<K>>,
    groups: Option<Groups<K>>,
}

struct Groups<K> {
    of: GroupOf<K>,
    names: HashMap<ObjectName, BTreeSet<ObjectName>>,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Self { all: HashMap::new(), groups: None }
    }
}

impl<K> Objects<K> {
    fn insert(&mut self, name: ObjectName, object: Arc<K>) -> Option<Arc<K>> {
        let last = self.remove(&name);
        if let Some(groups) = &mut self.groups {
            groups.insert(&name, &object);
        }
        self.all.insert(name, object);
        last
    }

    fn remove(&mut self, name: &ObjectName) -> Option<Arc<K>> {
        let last = self.all.remove(name)?;
        if let Some(groups) = &mut self.groups {
            groups.remove(name, &last);
        }
        Some(last)
    }

    /// The names in a group. None: the groups are not known yet.
    fn names(&self, group: &ObjectName) -> Option<Vec<Arc<K>>> {
        let names = self.groups.as_ref()?.names.get(group).into_iter().flatten();
        Some(names.filter_map(|name| self.all.get(name).cloned()).collect())
    }

    fn index(&mut self, of: GroupOf<K>) {
        let mut groups = Groups { of, names: HashMap::new() };
        for (name, object) in &self.all {
            groups.insert(name, object);
        }
        self.groups = Some(groups);
    }
}

impl<K> Groups<K> {
    fn insert(&mut self, name: &ObjectName, object: &K) {
        if let Some(group) = (self.of)(object) {
            self.names.entry(group).or_default().insert(name.clone());
        }
    }

    fn remove(&mut self, name: &ObjectName, object: &K) {
        let Some(group) = (self.of)(object) else { return };
        if let Some(names) = self.names.get_mut(&group) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(&group);
            }
        }
    }
}

/// Cache of the objects of a kind. May be stale: after a write, use the response of the write.
pub struct Store<K> {
    objects: Arc<RwLock<Objects<K>>>,
    /// Objects that exist and cannot be parsed.
    unreadable: Arc<RwLock<HashSet<ObjectName>>>,
    /// Lists that fill the cache.
    listings: Arc<Locked<Listings>>,
    synced: Arc<watch::Sender<bool>>,
    /// Number of objects that were added.
    added: Arc<watch::Sender<u64>>,
    /// Number of owners that the last list with a scope considered.
    covered: Arc<watch::Sender<u64>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            unreadable: self.unreadable.clone(),
            listings: self.listings.clone(),
            synced: self.synced.clone(),
            added: self.added.clone(),
            covered: self.covered.clone(),
        }
    }
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self {
            objects: Arc::default(),
            unreadable: Arc::default(),
            listings: Arc::default(),
            synced: Arc::new(watch::channel(false).0),
            added: Arc::new(watch::channel(0).0),
            covered: Arc::new(watch::channel(0).0),
        }
    }
}

impl<K> Store<K> {
    /// Returns the object of that name.
    #[must_use]
    pub fn get(&self, name: &ObjectName) -> Option<Arc<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).all.get(name).cloned()
    }

    /// Returns whether an object of that name exists, even if it cannot be parsed, or can exist: in a namespace that is
    /// not watched, or of which the API server refuses a list.
    #[must_use]
    pub fn exists(&self, name: &ObjectName) -> bool {
        self.presence(name) != Presence::Absent
    }

    /// Returns whether an object of that name exists, or that the cache does not contain its namespace.
    #[must_use]
    pub fn presence(&self, name: &ObjectName) -> Presence {
        // A refusal is recorded before the objects are removed, and a completed list after they are inserted again.
        let was_known = self.knows(&name.namespace);
        if self.is_unreadable(name) || self.get(name).is_some() {
            Presence::Present
        } else if was_known && self.knows(&name.namespace) {
            Presence::Absent
        } else {
            Presence::Unknown
        }
    }

    /// Returns whether the cache contains the objects of that namespace.
    #[must_use]
    pub fn knows(&self, namespace: &str) -> bool {
        self.listings.lock().knows(namespace)
    }

    /// Returns the watched namespaces of which the cache does not contain the objects: the API server refuses the list.
    #[must_use]
    pub fn unlisted(&self) -> Vec<String> {
        self.listings.lock().unlisted()
    }

    /// Returns whether the latest version of the object cannot be parsed.
    #[must_use]
    pub fn is_unreadable(&self, name: &ObjectName) -> bool {
        self.unreadable.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Records whether the latest version of an object can be parsed.
    pub(crate) fn set_unreadable(&self, name: &ObjectName, unreadable: bool) {
        let mut names = self.unreadable.write().unwrap_or_else(PoisonError::into_inner);
        if unreadable {
            names.insert(name.clone());
        } else {
            names.remove(name);
        }
    }

    /// Returns all objects for which `chosen` returns `true`.
    pub fn filter(&self, chosen: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.all.values().filter(|object| chosen(object)).cloned().collect()
    }

    /// Returns the objects of a group, sorted by name. The first call creates an index, for which each call passes the same
    /// function.
    pub fn group(&self, of: GroupOf<K>, group: &ObjectName) -> Vec<Arc<K>> {
        let found = self.objects.read().unwrap_or_else(PoisonError::into_inner).names(group);
        found.unwrap_or_else(|| {
            let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
            objects.index(of);
            objects.names(group).unwrap_or_default()
        })
    }

    /// Returns the number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).all.len()
    }

    /// Returns whether the cache contains no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the initial lists are complete.
    pub async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Returns whether the initial lists are complete.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Expects a list of each part.
    pub(crate) fn expect<P>(&self, parts: &[Part<P>]) {
        *self.listings.lock() = Listings::of(parts);
    }

    /// Records a complete list that considered that many owners.
    pub fn listed(&self, namespace: Option<&str>, owners: u64) {
        self.listings.lock().listed(namespace, owners);
        self.advance();
    }

    /// Records an error of a list or watch. Returns whether it is the refusal of a list.
    #[must_use]
    pub fn failed(&self, namespace: Option<&str>, error: &watcher::Error) -> bool {
        let refused = self.listings.lock().failed(namespace, error);
        if refused {
            self.advance();
        }
        refused
    }

    fn advance(&self) {
        let listings = self.listings.lock().clone();
        self.covered.send_replace(listings.owners());
        if listings.is_complete() {
            self.synced.send_replace(true);
        }
    }

    /// Adds an object, or replaces its earlier version.
    pub fn insert(&self, name: ObjectName, object: Arc<K>) {
        let last = self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(name, object);
        if last.is_none() {
            self.added.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Returns the number of objects that were added so far.
    #[must_use]
    pub fn added(&self) -> u64 {
        *self.added.borrow()
    }

    /// Waits until a list with a scope has considered that many owners.
    pub async fn covers(&self, owners: u64) {
        let _ = self.covered.subscribe().wait_for(|covered| *covered >= owners).await;
    }

    pub(crate) fn syncs(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    pub(crate) fn additions(&self) -> watch::Receiver<u64> {
        self.added.subscribe()
    }

    pub(crate) fn remove(&self, name: &ObjectName) -> Option<Arc<K>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    pub(crate) fn names(&self) -> Vec<ObjectName> {
        let unreadable = self.unreadable.read().unwrap_or_else(PoisonError::into_inner).clone();
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.all.keys().cloned().chain(unreadable).collect::<HashSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Number of a group, and a value.
    type Grouped = (Option<u8>, u8);

    fn name(number: u8) -> ObjectName {
        ObjectName::new("ns", number.to_string())
    }

    fn group_of(object: &Grouped) -> Option<ObjectName> {
        object.0.map(name)
    }

    #[test]
    fn a_list_of_a_group_reads_no_other_object() {
        static READ: AtomicUsize = AtomicUsize::new(0);
        fn counted(object: &Grouped) -> Option<ObjectName> {
            READ.fetch_add(1, Ordering::SeqCst);
            group_of(object)
        }
        let store = Store::<Grouped>::default();
        for number in 0..100 {
            store.insert(name(number), Arc::new((Some(number % 50), number)));
        }
        assert_eq!(store.group(counted, &name(7)).len(), 2);
        assert_eq!(READ.load(Ordering::SeqCst), 100, "the index");
        for group in 0..50 {
            assert_eq!(store.group(counted, &name(group)).len(), 2);
        }
        assert_eq!(READ.load(Ordering::SeqCst), 100, "a list reads every object");
    }

    proptest! {
        /// After any changes, also before the index exists.
        #[test]
        fn a_group_has_exactly_its_objects(
            changes in prop::collection::vec((0_u8..10, prop::option::of((prop::option::of(0_u8..3), 0_u8..3))), 0..60),
            first_list in 0_usize..60,
        ) {
            let store = Store::<Grouped>::default();
            for (number, (object, change)) in changes.into_iter().enumerate() {
                match change {
                    Some(change) => store.insert(name(object), Arc::new(change)),
                    None => drop(store.remove(&name(object))),
                }
                if number < first_list {
                    continue;
                }
                for group in (0..3).map(name) {
                    let mut expected = store.filter(|object| group_of(object).as_ref() == Some(&group));
                    let mut found = store.group(group_of, &group);
                    expected.sort();
                    found.sort();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
