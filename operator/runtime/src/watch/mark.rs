//! Properties of an object that its controller depends on.

use kube::{Resource, ResourceExt};

use crate::Lane;

/// Properties whose change requeues the object in its own controller: spec, deletion, nudge. Not the status.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Mark {
    uid: Option<String>,
    generation: Option<i64>,
    deleting: bool,
    nudge: Option<String>,
    finalizers: usize,
}

impl Mark {
    /// Returns the properties of an object. `nudge` is the annotation that requests a reconcile.
    pub(super) fn of<K: Resource>(object: &K, nudge: &str) -> Self {
        Self {
            uid: object.uid(),
            generation: object.meta().generation,
            deleting: object.meta().deletion_timestamp.is_some(),
            nudge: object.annotations().get(nudge).cloned(),
            finalizers: object.finalizers().len(),
        }
    }

    /// Returns the priority of a change from `last`. A user can change the annotation without end: that must not delay
    /// the changes of other objects.
    pub(super) fn lane_after(&self, last: &Self) -> Lane {
        let is_nudge = *self == Self { nudge: self.nudge.clone(), ..last.clone() };
        if is_nudge { Lane::Background } else { Lane::Changed }
    }

    /// Returns whether the change from `last` requires a reconcile. An added finalizer does not: the running reconcile
    /// added it.
    pub(super) fn asks_for_a_pass_after(&self, last: &Self) -> bool {
        *self != Self { finalizers: last.finalizers.max(self.finalizers), ..last.clone() }
    }
}
