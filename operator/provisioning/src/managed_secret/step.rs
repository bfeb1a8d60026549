//! The value that is written next. Pure.

use std::fmt;

use jiff::Timestamp;
use steamer_api::Generator;
use steamer_core::Error;
use steamer_openbao::Values;

use super::entry::Entry;
use super::problem::lost;
use super::wanted::{Source, Wanted};
use crate::write::reason::{DIFFERS, MISSING};

/// Reason of a value that follows its source.
const CHANGED: &str = "follows its source";
/// Reason of another generated value.
const ROTATED: &str = "is rotated";
/// Reason of an earlier value.
const ROLLED_BACK: &str = "is rolled back";
/// Reason of another deletion time.
const SCHEDULED: &str = "expires at another time";

/// Origin of a generated value.
pub(super) const GENERATED: &str = "generated";

/// A change of the value. It shows no value.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes values of a Secret.
    Write(Values),
    /// Writes a generated value.
    Generate(Generator),
    /// Writes the value of an earlier version again.
    Copy(i64),
    /// Schedules the deletion of a version again, and restores the version.
    Restore(i64),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(_) => f.write_str("Write"),
            Self::Generate(_) => f.write_str("Generate"),
            Self::Copy(version) => write!(f, "Copy({version})"),
            Self::Restore(version) => write!(f, "Restore({version})"),
        }
    }
}

/// A step that is due, and why.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) step: Step,
    pub(super) reason: &'static str,
}

impl Due {
    /// Number of the current version after the step.
    pub(super) fn version(&self, entry: &Entry) -> i64 {
        entry.current() + i64::from(!matches!(self.step, Step::Restore(_)))
    }
}

/// The metadata about a value of an earlier version.
pub(super) fn origin_of(version: i64) -> String {
    format!("version:{version}")
}

/// The occasion of a step that is not repeated if it was interrupted after its write.
pub(super) fn occasion(step: &Step, wanted: &Wanted) -> Option<String> {
    match step {
        Step::Copy(version) => Some(origin_of(*version)),
        Step::Generate(_) => Some(generation(wanted).to_owned()),
        Step::Write(_) | Step::Restore(_) => None,
    }
}

/// The occasion of a generated value: the request for it, if there is one.
fn generation(wanted: &Wanted) -> &str {
    wanted.request.as_deref().unwrap_or(GENERATED)
}

/// The step that is due. An expired secret gets no value.
///
/// # Errors
/// [`Error::Invalid`] for a rollback to a version without a value. An error for a lost value.
pub(super) fn due(wanted: &Wanted, entry: &Entry, now: Timestamp) -> Result<Option<Due>, Error> {
    if wanted.is_expired(now) {
        return Ok(None);
    }
    let value = match (wanted.rollback_to, &wanted.source) {
        (Some(version), _) => rollback(version, entry, now)?,
        (None, Source::Secret { values, origin }) => copied(values, origin, entry, now),
        (None, Source::Generated(generator)) => generated(generator, wanted, entry, now)?,
        (None, Source::Person | Source::Kept) => None,
    };
    Ok(value.or_else(|| scheduled(wanted, entry, now)))
}

/// A rollback is carried out once: a later version of another client stays. An interrupted one that has written its version only
/// needs to be recorded.
fn rollback(version: i64, entry: &Entry, now: Timestamp) -> Result<Option<Due>, Error> {
    let origin = origin_of(version);
    if entry.origin() == Some(origin.as_str()) || entry.is_pending(&origin) {
        return Ok(None);
    }
    if !entry.is_available(version, now) {
        return Err(Error::Invalid(format!(
            "version {version} has no value: set rollbackTo to a version that was neither deleted nor destroyed"
        )));
    }
    Ok(Some(Due { step: Step::Copy(version), reason: ROLLED_BACK }))
}

/// The value of a Secret. Only the recorded version is known to contain it: a version that an interrupted pass or another client
/// has written is replaced.
fn copied(values: &Values, origin: &str, entry: &Entry, now: Timestamp) -> Option<Due> {
    let is_same = entry.origin() == Some(origin);
    let is_current = entry.recorded() == entry.current() && entry.has_value(now);
    if entry.is_completed() && is_same && is_current {
        return None;
    }
    let reason = match (entry.current(), is_same) {
        (0, _) => MISSING,
        (_, true) => DIFFERS,
        (_, false) => CHANGED,
    };
    Some(Due { step: Step::Write(values.clone()), reason })
}

/// A generated value is never replaced silently: it may be the password of a running system.
fn generated(
    generator: &Generator,
    wanted: &Wanted,
    entry: &Entry,
    now: Timestamp,
) -> Result<Option<Due>, Error> {
    let due = |reason| Ok(Some(Due { step: Step::Generate(generator.clone()), reason }));
    let is_requested = wanted.is_requested(entry);
    if entry.has_value(now) {
        // An interrupted pass has written it already.
        let is_written = entry.is_pending(generation(wanted));
        let is_due = is_requested || wanted.must_regenerate(entry, now);
        return if is_due && !is_written { due(ROTATED) } else { Ok(None) };
    }
    match entry.current() {
        0 if !wanted.had_value => due(MISSING),
        _ if is_requested => due(ROTATED),
        1.. if entry.ends_by_expiration() => Ok(None),
        _ => Err(lost()),
    }
}

/// A value whose deletion is not scheduled for its expiration. An engine can have an earlier deletion time of its own.
fn scheduled(wanted: &Wanted, entry: &Entry, now: Timestamp) -> Option<Due> {
    let current = entry.current();
    let is_other = entry.ends_by_expiration() && entry.expiration() != wanted.expires_at;
    let is_late = wanted.expires_at.is_some_and(|at| entry.outlasts(at));
    let exists = entry.has_value(now) || entry.ends_by_expiration();
    (exists && (is_other || is_late)).then_some(Due { step: Step::Restore(current), reason: SCHEDULED })
}
