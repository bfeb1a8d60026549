//! The desired state of a secret, and its state after the writes.

use jiff::Timestamp;
use steamer_api::SecretState;
use steamer_openbao::NamespacePath;

use super::change::Written;
use super::course::Course;
use super::entry::{Entry, state, time};
use super::keys::{Custom, REQUEST, ROTATED_AT};
use super::place::Place;
use super::wanted::{Rotation, rotated};

/// The desired state of a secret.
pub(crate) struct Desired {
    pub(super) place: Place,
    /// Namespace that is the root of the cluster.
    pub(super) root: NamespacePath,
    /// None: the secret does not exist.
    pub(super) entry: Option<Entry>,
    pub(super) course: Course,
    /// Why nothing may be written.
    pub(super) withheld: Option<String>,
    /// What a person does to rotate the value.
    pub(super) remedy: String,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) rotation: Option<Rotation>,
    /// Time of the pass.
    pub(super) now: Timestamp,
    pub(super) written: Written,
}

/// Facts about a secret.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    /// None: the secret does not exist.
    pub(super) state: Option<SecretState>,
    /// Number of the current version. 0: there is none.
    pub(super) version: i64,
    /// True if it can be read.
    pub(super) has_value: bool,
    pub(super) rotated: Option<Timestamp>,
}

impl Desired {
    /// The facts after the writes, or as observed if nothing was written.
    pub(super) fn facts(&self) -> Facts {
        let written = *self.written.lock();
        self.facts_with(written)
    }

    /// The facts that the writes are expected to cause.
    pub(super) fn expected(&self) -> Facts {
        let entry = self.entry.clone().unwrap_or_default();
        let version = self.course.due.as_ref().map_or(entry.current(), |due| due.version(&entry));
        self.facts_with(self.changes().then_some(version))
    }

    /// Returns true if the secret is created or changed. An expired secret that does not exist is not created.
    pub(super) fn changes(&self) -> bool {
        let is_needed = self.entry.is_some() || !self.is_expired();
        self.course.differs && is_needed && self.withheld.is_none()
    }

    fn facts_with(&self, written: Option<i64>) -> Facts {
        match (written, &self.entry) {
            (Some(version), entry) => self.after(version, entry.as_ref()),
            (None, Some(entry)) => Facts {
                state: Some(entry.state(self.now)),
                version: entry.current(),
                has_value: entry.has_value(self.now) && !self.is_expired(),
                rotated: rotated(entry).filter(|_| entry.current() > 0),
            },
            (None, None) => Facts { state: None, version: 0, has_value: false, rotated: None },
        }
    }

    fn after(&self, version: i64, entry: Option<&Entry>) -> Facts {
        let custom: &Custom = &self.course.rest.custom;
        let created = entry.map_or(Some(self.now), |entry| entry.0.created_time.parse().ok());
        let has_value = self.course.due.is_some() || entry.is_some_and(|entry| entry.has_value(self.now));
        let rotated = time(custom, ROTATED_AT).or_else(|| entry?.created(version));
        Facts {
            state: Some(state(custom, created, self.now)),
            version,
            has_value: has_value && !self.is_expired(),
            rotated: rotated.filter(|_| version > 0),
        }
    }

    /// Digest of the request for a rotation that was carried out last, after the writes.
    pub(super) fn handled_request(&self) -> Option<String> {
        let is_written = self.written.lock().is_some();
        let entry = self.entry.as_ref().map(Entry::custom);
        let custom = if is_written { Some(&self.course.rest.custom) } else { entry };
        custom?.get(REQUEST).cloned()
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= self.now)
    }

    /// Time from which the value is due for rotation.
    pub(super) fn rotation_due(&self, facts: &Facts) -> Option<Timestamp> {
        self.rotation?.due(facts.rotated?)
    }
}
