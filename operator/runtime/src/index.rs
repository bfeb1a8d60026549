//! Index of dependencies: an object that looked up another one is requeued when that one is created, changed or
//! deleted.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard};

use crate::Locked;
use kube::Resource;

use crate::{Lane, ObjectName, Trigger};

/// Key of something that an object can depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// A kind, or a relation such as "policies of a project".
    pub kind: Cow<'static, str>,
    /// Name of the object.
    pub name: ObjectName,
}

impl Key {
    /// Returns a key.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, name: ObjectName) -> Self {
        Self { kind: kind.into(), name }
    }

    /// Returns the key of the list of a kind in a namespace: when the list completes, its waiters are requeued.
    #[must_use]
    pub fn of_list(kind: &str, namespace: &str) -> Self {
        Self::new(format!("list of kind {kind}"), ObjectName::new(namespace, ""))
    }

    /// Returns the key of an object.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self::new(K::kind(&()), ObjectName::of(object))
    }
}

/// An object of a controller, which depends on keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// Name of the controller.
    pub controller: &'static str,
    /// Name of the object.
    pub name: ObjectName,
}

/// All waiters, by the keys that they depend on. Each key and each waiter is in memory once: an object has about ten keys, and
/// most of them are keys of many objects.
#[derive(Default)]
pub struct Index(Locked<State>);

#[derive(Default)]
struct State {
    waiters: HashMap<Arc<Key>, HashSet<Arc<Waiter>>>,
    keys: HashMap<Arc<Waiter>, Vec<Arc<Key>>>,
    triggers: HashMap<&'static str, Trigger>,
}

/// Records the lookups of one object during one reconcile. On drop, dependencies that were not looked up again are
/// removed.
pub struct Dependencies {
    index: Arc<Index>,
    waiter: Arc<Waiter>,
    seen: Locked<Vec<Arc<Key>>>,
}

impl Index {
    /// Registers a controller, so that its objects can be requeued.
    pub fn register(&self, controller: &'static str, trigger: Trigger) {
        self.state().triggers.insert(controller, trigger);
    }

    /// Requeues all waiters of any of the keys, except `but`. Returns their number.
    pub fn wake(&self, keys: &[Key], but: Option<&Waiter>) -> usize {
        let state = self.state();
        let woken: HashSet<&Waiter> =
            keys.iter().filter_map(|key| state.waiters.get(key)).flatten().map(|waiter| &**waiter).collect();
        let mut count = 0;
        for waiter in woken.into_iter().filter(|waiter| Some(*waiter) != but) {
            if let Some(trigger) = state.triggers.get(waiter.controller) {
                trigger.send(waiter.name.clone(), Lane::Changed);
                count += 1;
            }
        }
        count
    }

    /// Starts to record the dependencies of one reconcile of an object.
    #[must_use]
    pub fn pass(self: &Arc<Self>, controller: &'static str, name: ObjectName) -> Dependencies {
        let waiter = self.state().known(Waiter { controller, name });
        Dependencies { index: self.clone(), waiter, seen: Locked::default() }
    }

    /// Removes all dependencies of a deleted object.
    pub fn forget(&self, controller: &'static str, name: &ObjectName) {
        let waiter = Waiter { controller, name: name.clone() };
        self.state().retain(&waiter, &[]);
    }

    /// Returns whether any object depends on the key.
    #[must_use]
    pub fn is_awaited(&self, key: &Key) -> bool {
        self.state().waiters.contains_key(key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    /// The waiter as it is in memory, if it has dependencies.
    fn known(&self, waiter: Waiter) -> Arc<Waiter> {
        self.keys.get_key_value(&waiter).map_or_else(|| Arc::new(waiter), |(known, _)| known.clone())
    }

    /// Adds a dependency. Returns the key as it is in memory.
    fn add(&mut self, key: Key, waiter: &Arc<Waiter>) -> Arc<Key> {
        let known = self.waiters.get_key_value(&key).map(|(known, _)| known.clone());
        let key = known.unwrap_or_else(|| Arc::new(key));
        let waiters = self.waiters.entry(key.clone()).or_default();
        if waiters.insert(waiter.clone()) {
            self.keys.entry(waiter.clone()).or_default().push(key.clone());
        }
        key
    }

    /// Removes the dependencies of a waiter, except for the keys at the addresses of `kept`, which are sorted.
    fn retain(&mut self, waiter: &Waiter, kept: &[*const Key]) {
        let Some(keys) = self.keys.get_mut(waiter) else {
            return;
        };
        let gone: Vec<Arc<Key>> =
            keys.extract_if(.., |key| kept.binary_search(&Arc::as_ptr(key)).is_err()).collect();
        if keys.is_empty() {
            self.keys.remove(waiter);
        }
        for key in gone {
            if let Some(waiters) = self.waiters.get_mut(&key) {
                waiters.remove(waiter);
                if waiters.is_empty() {
                    self.waiters.remove(&key);
                }
            }
        }
    }
}

impl Dependencies {
    /// Returns the name of the controller of the object.
    #[must_use]
    pub fn controller(&self) -> &'static str {
        self.waiter.controller
    }

    /// Adds a dependency: from now on, a change of `key` requeues the object. Call this before the lookup; otherwise a
    /// change in between is missed.
    pub fn on(&self, key: Key) {
        let key = self.index.state().add(key, &self.waiter);
        self.seen.lock().push(key);
    }
}

impl Drop for Dependencies {
    fn drop(&mut self) {
        let seen = std::mem::take(&mut *self.seen.lock());
        let mut kept: Vec<*const Key> = seen.iter().map(Arc::as_ptr).collect();
        kept.sort_unstable();
        self.index.state().retain(&self.waiter, &kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::trigger;

    fn key(name: &str) -> Key {
        Key::new("Kind", ObjectName::new("ns", name))
    }

    #[test]
    fn a_waiter_is_requeued_only_by_the_lookups_of_its_last_reconcile() {
        let index = Arc::new(Index::default());
        let (trigger, mut woken) = trigger();
        index.register("controller", trigger);
        let pass = |keys: &[&str]| {
            let dependencies = index.pass("controller", ObjectName::new("ns", "object"));
            keys.iter().for_each(|name| dependencies.on(key(name)));
        };
        pass(&["a", "b"]);
        pass(&["b"]);
        index.wake(&[key("a")], None);
        assert!(woken.try_recv().is_err());
        index.wake(&[key("b"), key("b")], None);
        assert_eq!(woken.try_recv().unwrap().0, ObjectName::new("ns", "object"));
        assert!(woken.try_recv().is_err());
        index.forget("controller", &ObjectName::new("ns", "object"));
        assert!(!index.is_awaited(&key("b")));
    }

    #[test]
    fn a_key_and_a_waiter_are_in_memory_once() {
        let index = Arc::new(Index::default());
        for _ in 0..2 {
            for object in ["a", "b", "c"] {
                let dependencies = index.pass("controller", ObjectName::new("ns", object));
                ["shared", "shared", object].iter().for_each(|name| dependencies.on(key(name)));
            }
        }
        let state = index.state();
        assert_eq!((state.waiters.len(), state.keys.len()), (4, 3));
        let (shared, waiters) = state.waiters.get_key_value(&key("shared")).unwrap();
        assert_eq!(waiters.len(), 3);
        for (waiter, keys) in &state.keys {
            assert_eq!(keys.len(), 2);
            assert!(keys.iter().any(|key| Arc::ptr_eq(key, shared)));
            assert!(waiters.iter().any(|known| Arc::ptr_eq(known, waiter)));
        }
    }
}
