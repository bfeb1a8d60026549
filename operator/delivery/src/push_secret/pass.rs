//! One reconcile of one object: its desired and recorded state, and the result.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use steamer_api::{
    BaoPushSecret, BaoPushSecretStatus, DeletionPolicy, HasConditions, KvType, Mode, PlannedChange,
    PushedEntry, StoppedWrite, UpdatePolicy,
};
use steamer_core::Error;
use steamer_core::access::auth::Access;
use steamer_core::ownership::Mark;
use steamer_core::stops::Stops;
use steamer_openbao::NamespacePath;
use steamer_runtime::{Dependencies, Key, ObjectName};

use super::apply::stops_of;
use super::entry::Entry;
use super::observed::Observed;
use super::place::Place;
use super::status::Facts;
use super::unpushed::{Cause, Unpushed};
use super::{problem, rotation};
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
    /// Number of selected Secrets. None without a selector.
    pub(super) selected: Option<usize>,
    /// Selected Secrets without entries.
    pub(super) unpushed: Unpushed,
    /// Places of their entries.
    pub(super) unknown: BTreeSet<Place>,
    pub(super) last: BaoPushSecretStatus,
    /// The stopped writes of the last status.
    pub(super) stops: Stops,
    /// Whether entries are checked that the status records as up to date.
    pub(super) is_full: bool,
}

/// Result of all entries.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) entries: Vec<PushedEntry>,
    pub(super) kept: usize,
    /// Number of equal entries that the object has not written.
    pub(super) equal: usize,
    pub(super) plan: Vec<PlannedChange>,
    /// The stopped writes.
    pub(super) stopped: Vec<StoppedWrite>,
    /// The first error. Other entries are written nevertheless.
    pub(super) failed: Option<Error>,
    /// The first error of a release.
    pub(super) unreleased: Option<Error>,
    /// Time until the entry of a Secret that no longer exists is deleted.
    pub(super) release: Option<Duration>,
    /// Whether the status records the new entries of selected Secrets.
    pub(super) is_announced: bool,
    /// Selected Secrets that are not pushed.
    pub(super) unpushed: Unpushed,
}

impl Outcome {
    /// Records the error of an entry.
    pub(super) fn fail(&mut self, entry: &Entry, error: Error) {
        if let Some(secret) = &entry.secret {
            self.unpushed.add(secret, Cause::of(&error));
        }
        self.failed.get_or_insert(error);
    }

    /// Keeps the stops of an entry that is not known to be in the desired state.
    pub(super) fn keep_stops(&mut self, entry: &Entry, stops: &Stops) {
        for stop in stops_of(stops, entry) {
            if !self.stopped.contains(stop) {
                self.stopped.push(stop.clone());
            }
        }
    }

    /// Records an entry to which no request was sent after an error of the server. Returns false if there was no such error.
    pub(super) fn skips(&mut self, entry: &Entry) -> bool {
        let Some(error) = self.failed.as_ref().filter(|error| error.is_out_of_reach()) else { return false };
        if let Some(secret) = &entry.secret {
            self.unpushed.add(secret, Cause::of(error));
        }
        true
    }
}

impl Pass<'_> {
    /// The outcome before the first entry: selected Secrets without entries, and the entries that they had.
    pub(super) fn outcome(&self) -> Outcome {
        let is_unknown = |record: &&PushedEntry| self.unknown.contains(&Place::of_record(record));
        let entries = self.last.entries.iter().filter(is_unknown).cloned().collect();
        Outcome { entries, unpushed: self.unpushed.clone(), ..Outcome::default() }
    }

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
            self.entries.iter().all(|entry| entry.place != place) && !self.unknown.contains(&place)
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
            && self.unpushed.is_empty()
            && self.last.entries.len() == self.entries.len()
            && self.entries.iter().all(is_recorded)
    }

    /// Returns true if the last reconcile of this generation left the entry of a selected Secret up to date, and it need not be
    /// checked yet: another Secret changed or failed.
    pub(super) fn is_current(&self, entry: &Entry) -> bool {
        let Some(secret) = &entry.secret else { return false };
        let is_recorded = self
            .recorded(&entry.place)
            .is_some_and(|record| record.version.is_some() && record.secret_mac == entry.mac);
        !self.is_full
            && entry.place.kind == KvType::V2
            && is_recorded
            && entry.expired.is_empty()
            && self.last.failed.iter().all(|failed| failed.name != *secret)
    }

    /// Returns true if no record of the status suffices: without a selector, under `mode: Observe`, after a change of the spec, and
    /// if the status states nothing about the selected Secrets.
    pub(super) fn compares_all(&self) -> bool {
        self.selected.is_none()
            || self.object.spec.lifecycle.mode == Mode::Observe
            || self.last.selected.is_none()
            || Some(self.last.observed_generation()) != self.object.metadata.generation
    }

    /// The records of new entries of selected Secrets. An owner protects entries of `kv-v2`, so that those of others can be among
    /// them.
    pub(super) fn new_records(&self) -> Vec<PushedEntry> {
        let is_new = |entry: &&Entry| {
            let is_selected = entry.secret.is_some() && entry.place.kind == KvType::V2;
            is_selected && self.recorded(&entry.place).is_none()
        };
        let new = self.entries.iter().filter(is_new);
        new.map(|entry| entry.place.record(None, entry.mac.clone())).collect()
    }

    pub(super) fn facts(&self, outcome: Outcome, handled: Option<String>) -> (Facts, Option<Error>) {
        let Outcome { entries, kept, equal, plan, stopped, failed, unreleased, release, unpushed, .. } =
            outcome;
        let (namespace, selected, refresh) =
            (self.namespace.clone(), self.selected, self.object.spec.refresh_after.get());
        let refresh = release.map_or(refresh, |release| refresh.min(release));
        let incomplete = selected.and_then(|selected| unpushed.error(selected, refresh));
        let unpushed = unpushed.listed();
        let facts = Facts { namespace, entries, kept, equal, plan, stopped, handled, selected, unpushed };
        (facts, problem::joined(incomplete.or(failed), unreleased))
    }

    /// Time until the next generated value is too old.
    pub(super) fn next_rotation(&self, recorded: &[PushedEntry], now: Timestamp) -> Option<Duration> {
        rotation::next(&self.entries, recorded, now).filter(|_| rotation::is_enforced(&self.object.spec))
    }

    pub(super) fn schedule(&self) -> Schedule {
        Schedule::new(self.object.spec.refresh_after.get(), &self.name)
    }
}
