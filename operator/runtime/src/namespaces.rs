//! Waiting objects, shared fairly by namespace.

use std::collections::{HashMap, VecDeque};

use crate::ObjectName;

/// Group of waiting objects: objects of one namespace, apart from those that were slow the last time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) namespace: String,
    pub(crate) is_slow: bool,
}

/// Queues of all groups, and the order in which they take turns.
#[derive(Default)]
pub(crate) struct Namespaces {
    waiting: HashMap<Group, VecDeque<ObjectName>>,
    turns: VecDeque<Group>,
}

impl Namespaces {
    pub(crate) fn push(&mut self, group: Group, name: ObjectName) {
        let queue = self.waiting.entry(group.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(group);
        }
        queue.push_back(name);
    }

    /// Removes the first object of the first group that is allowed. That group has its next turn after all others.
    pub(crate) fn pop(&mut self, is_allowed: impl Fn(&Group) -> bool) -> Option<ObjectName> {
        let turn = self.turns.iter().position(is_allowed)?;
        let group = self.turns.remove(turn)?;
        let queue = self.waiting.get_mut(&group)?;
        let name = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&group);
        } else {
            self.turns.push_back(group);
        }
        name
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }
}
