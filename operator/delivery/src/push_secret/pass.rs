//! One reconcile of one object: its desired and recorded state, and the result.

use std::time::Duration;

use jiff::Timestamp;
use steamer_api::{
    BaoPushSecret, BaoPushSecretStatus, DeletionPolicy, HasConditions, PlannedChange, PushedEntry,
    UpdatePolicy,
};
use steamer_core::Error;
use steamer_core::access::auth::Access;
use steamer_core::ownership::Mark;
use steamer_openbao::NamespacePath;
use steamer_runtime::{Dependencies, Key, ObjectName};

use super::entry::Entry;
use super::observed::Observed;
use super::place::Place;
use super::rotation;
use super::status::Facts;
use crate::engine::Schedule;

/// One reconcile of one object.
pub(super) struct Pass<'a> {
    pub(super) object: &'a BaoPushSecret,
    pub(super) dependencies: &'a Dependencies,
    pub(super) name: ObjectName,
    pub(super) mark: Mark,
    pub(super) access: Access,
    pub(super) namespace: NamespacePath,
    pub(super) entries: Vec<Entry>,
    pub(super) last: BaoPushSecretStatus,
}

/// Result of all entries.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) entries: Vec<PushedEntry>,
    pub(super) kept: usize,
    /// Number of equal entries that the object has not written.
    pub(super) equal: usize,
    pub(super) plan: Vec<PlannedChange>,
    /// The first error. Other entries are written nevertheless.
    pub(super) failed: Option<Error>,
}

impl Pass<'_> {
    pub(super) fn policy(&self) -> DeletionPolicy {
        self.object.spec.lifecycle.deletion_policy
    }

    pub(super) fn recorded(&self, place: &Place) -> Option<&PushedEntry> {
        place.record_in(&self.last.entries)
    }

    /// Requeues the object when the owner of an entry changes or is deleted.
    pub(super) fn follow(&self, observed: &Observed) {
        if let Observed::Found(found) = observed
            && let Some(owner) = found.mark.as_ref().filter(|owner| **owner != self.mark)
        {
            self.dependencies.on(Key::new(owner.owner.to_string(), owner.name.clone()));
        }
    }

    /// Entries that the spec no longer contains.
    pub(super) fn former(&self) -> impl Iterator<Item = &PushedEntry> {
        let is_former = |record: &&PushedEntry| {
            let place = Place::of_record(record);
            self.entries.iter().all(|entry| entry.place != place)
        };
        self.last.entries.iter().filter(is_former)
    }

    /// Returns true if the status records the desired state of this generation.
    pub(super) fn is_settled(&self) -> bool {
        let is_compared = self.object.spec.update_policy != UpdatePolicy::IfNotExists;
        let is_recorded = |entry: &Entry| {
            let record = self.recorded(&entry.place);
            let is_young = entry.expired.is_empty() || !is_compared;
            is_young && record.is_some_and(|record| record.secret_mac == entry.mac || !is_compared)
        };
        self.last.is_ready()
            && Some(self.last.observed_generation()) == self.object.metadata.generation
            && self.last.entries.len() == self.entries.len()
            && self.entries.iter().all(is_recorded)
    }

    pub(super) fn facts(&self, outcome: Outcome, handled: Option<String>) -> (Facts, Option<Error>) {
        let Outcome { entries, kept, equal, plan, failed } = outcome;
        (Facts { namespace: self.namespace.clone(), entries, kept, equal, plan, handled }, failed)
    }

    /// Time until the next generated value is too old.
    pub(super) fn next_rotation(&self, recorded: &[PushedEntry], now: Timestamp) -> Option<Duration> {
        rotation::next(&self.entries, recorded, now).filter(|_| rotation::is_enforced(&self.object.spec))
    }

    pub(super) fn schedule(&self) -> Schedule {
        Schedule::new(self.object.spec.refresh_after.get(), &self.name)
    }
}
