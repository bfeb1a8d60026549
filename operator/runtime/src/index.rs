//! Who waits for what: an object that looked something up is woken when that appears, changes or goes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Lane, Name, Trigger};

/// Something that can be waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// A kind, or a relation such as "policies of a project".
    pub kind: &'static str,
    /// Of which object.
    pub name: Name,
}

impl Key {
    /// A key.
    #[must_use]
    pub fn new(kind: &'static str, name: Name) -> Self {
        Self { kind, name }
    }
}

/// An object of a controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// The controller.
    pub controller: &'static str,
    /// The object.
    pub name: Name,
}

/// All waiters by what they wait for.
#[derive(Default)]
pub struct Index(Mutex<State>);

#[derive(Default)]
struct State {
    waiters: HashMap<Key, HashSet<Waiter>>,
    keys: HashMap<Waiter, HashSet<Key>>,
    triggers: HashMap<&'static str, Trigger>,
}

/// What one object looks up during one pass. What it looked up before and not again is forgotten at the end.
pub struct Dependencies {
    index: Arc<Index>,
    waiter: Waiter,
    seen: Mutex<HashSet<Key>>,
}

impl Index {
    /// Makes a controller known, so that its objects can be woken.
    pub fn register(&self, controller: &'static str, trigger: Trigger) {
        self.state().triggers.insert(controller, trigger);
    }

    /// Wakes all who wait for any of the keys, but for one.
    pub fn wake(&self, keys: &[Key], but: Option<&Waiter>) {
        let state = self.state();
        let woken: HashSet<&Waiter> =
            keys.iter().filter_map(|key| state.waiters.get(key)).flatten().collect();
        for waiter in woken.into_iter().filter(|waiter| Some(*waiter) != but) {
            if let Some(trigger) = state.triggers.get(waiter.controller) {
                trigger.send(waiter.name.clone(), Lane::Changed);
            }
        }
    }

    /// Begins a pass of an object.
    #[must_use]
    pub fn pass(self: &Arc<Self>, controller: &'static str, name: Name) -> Dependencies {
        Dependencies { index: self.clone(), waiter: Waiter { controller, name }, seen: Mutex::default() }
    }

    /// The object is gone and waits for nothing.
    pub fn forget(&self, controller: &'static str, name: &Name) {
        let waiter = Waiter { controller, name: name.clone() };
        self.state().retain(&waiter, &HashSet::new());
    }

    /// Whether anyone waits for the key.
    #[must_use]
    pub fn is_awaited(&self, key: &Key) -> bool {
        self.state().waiters.contains_key(key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// From now on a change of `key` wakes the object. To be called before looking, or a change in between is missed.
    pub fn on(&self, key: Key) {
        let mut state = self.index.state();
        state.waiters.entry(key.clone()).or_default().insert(self.waiter.clone());
        state.keys.entry(self.waiter.clone()).or_default().insert(key.clone());
        drop(state);
        self.seen().insert(key);
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
        Key::new("Kind", Name::new("ns", name))
    }

    #[test]
    fn a_waiter_is_woken_by_what_its_last_pass_looked_up_and_by_nothing_else() {
        let index = Arc::new(Index::default());
        let (trigger, mut woken) = trigger();
        index.register("controller", trigger);
        let pass = |keys: &[&str]| {
            let dependencies = index.pass("controller", Name::new("ns", "object"));
            keys.iter().for_each(|name| dependencies.on(key(name)));
        };
        pass(&["a", "b"]);
        pass(&["b"]);
        index.wake(&[key("a")], None);
        assert!(woken.try_recv().is_err());
        index.wake(&[key("b"), key("b")], None);
        assert_eq!(woken.try_recv().unwrap().0, Name::new("ns", "object"));
        assert!(woken.try_recv().is_err());
        index.forget("controller", &Name::new("ns", "object"));
        assert!(!index.is_awaited(&key("b")));
    }
}
