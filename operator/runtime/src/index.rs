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

/// All waiters, by the keys that they depend on.
#[derive(Default)]
pub struct Index(Locked<State>);

#[derive(Default)]
struct State {
    waiters: HashMap<Key, HashSet<Waiter>>,
    keys: HashMap<Waiter, HashSet<Key>>,
    triggers: HashMap<&'static str, Trigger>,
}

/// Records the lookups of one object during one reconcile. On drop, dependencies that were not looked up again are
/// removed.
pub struct Dependencies {
    index: Arc<Index>,
    waiter: Waiter,
    seen: Locked<HashSet<Key>>,
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
            keys.iter().filter_map(|key| state.waiters.get(key)).flatten().collect();
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
        Dependencies { index: self.clone(), waiter: Waiter { controller, name }, seen: Locked::default() }
    }

    /// Removes all dependencies of a deleted object.
    pub fn forget(&self, controller: &'static str, name: &ObjectName) {
        let waiter = Waiter { controller, name: name.clone() };
        self.state().retain(&waiter, &HashSet::new());
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
    fn retain(&mut self, waiter: &Waiter, kept: &HashSet<Key>) {
        let Some(keys) = self.keys.get_mut(waiter) else {
            return;
        };
        let gone: Vec<Key> = keys.iter().filter(|key| !kept.contains(*key)).cloned().collect();
        keys.retain(|key| kept.contains(key));
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
        let mut state = self.index.state();
        state.waiters.entry(key.clone()).or_default().insert(self.waiter.clone());
        state.keys.entry(self.waiter.clone()).or_default().insert(key.clone());
        drop(state);
        self.seen().insert(key);
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.seen.lock()
    }
}

impl Drop for Dependencies {
    fn drop(&mut self) {
        let seen = std::mem::take(&mut *self.seen());
        self.index.state().retain(&self.waiter, &seen);
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
}
