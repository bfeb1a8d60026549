//! Everything that leads from the observed to the desired state of a secret. Pure.

use jiff::Timestamp;
use steamer_core::Error;
use steamer_openbao::KvSettings;

use super::entry::{Entry, pending};
use super::keys::EXPIRES_AT;
use super::rest::{at_rest, meanwhile};
use super::step::{Due, due, occasion};
use super::wanted::Wanted;

/// Everything that must change.
pub(super) struct Course {
    /// Change of the value.
    pub(super) due: Option<Due>,
    /// Metadata and settings while the value changes.
    pub(super) meanwhile: KvSettings,
    /// Metadata and settings afterwards.
    pub(super) rest: KvSettings,
    /// True if metadata or settings differ.
    pub(super) differs: bool,
    /// Metadata and settings of a secret whose expiration is not recorded yet, while nothing else may be written.
    pub(super) ending: Option<KvSettings>,
    /// Versions that have expired and can be read.
    pub(super) expired: Vec<i64>,
    /// Versions that were replaced and must not exist any longer.
    pub(super) replaced: Vec<i64>,
}

/// Computes the course. `entry` is the default for a secret that does not exist.
///
/// # Errors
/// As [`due`].
pub(super) fn course(wanted: &Wanted, entry: &Entry, now: Timestamp) -> Result<Course, Error> {
    let due = due(wanted, entry, now)?;
    let settings = |custom| KvSettings { custom, max_versions: wanted.max_versions, delete_version_after: 0 };
    let rest = settings(at_rest(wanted, entry, due.as_ref(), now));
    // OpenBao then deletes the version at its expiration, even without the operator.
    let delete_version_after = wanted.remaining(now);
    let pending =
        due.as_ref().and_then(|due| Some(pending(due.version(entry), &occasion(&due.step, wanted)?)));
    let meanwhile = meanwhile(rest.custom.clone(), entry, pending, now);
    let meanwhile = KvSettings { delete_version_after, ..settings(meanwhile) };
    let differs = due.is_some() || differs(entry, &rest);
    let (expired, replaced) = (expired(wanted, entry, now), replaced(wanted, entry, due.as_ref(), now));
    let ending = ending(wanted, entry).filter(|_| !expired.is_empty());
    Ok(Course { due, meanwhile, rest, differs, ending, expired, replaced })
}

/// Without this record, a later expiration could not restore the versions.
fn ending(wanted: &Wanted, entry: &Entry) -> Option<KvSettings> {
    let at = wanted.expires_at.filter(|at| entry.expiration() != Some(*at))?;
    let mut custom = entry.custom().clone();
    custom.insert(EXPIRES_AT.to_owned(), at.to_string());
    Some(KvSettings { custom, max_versions: entry.0.max_versions, delete_version_after: 0 })
}

fn differs(entry: &Entry, rest: &KvSettings) -> bool {
    let found = &entry.0;
    let is_unlimited = ["", "0s"].contains(&found.delete_version_after.as_str());
    found.custom_metadata != rest.custom || found.max_versions != rest.max_versions || !is_unlimited
}

fn expired(wanted: &Wanted, entry: &Entry, now: Timestamp) -> Vec<i64> {
    let mut versions = entry.versions();
    versions.retain(|version| wanted.is_expired(now) && entry.is_available(*version, now));
    versions
}

/// The versions before the current one, which must have a value. An adoption destroys none: it cannot be undone.
fn replaced(wanted: &Wanted, entry: &Entry, due: Option<&Due>, now: Timestamp) -> Vec<i64> {
    let destroys = wanted.rotation.is_some_and(|it| it.destroys_previous) && !wanted.adopts(entry);
    let current = due.map_or(entry.current(), |due| due.version(entry));
    let is_known = due.is_some() || entry.has_value(now);
    let mut versions = entry.versions();
    versions.retain(|version| destroys && is_known && *version < current);
    versions
}
