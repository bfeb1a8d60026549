//! The step that leads from the observed to the desired state of an entry. Pure.

use std::collections::BTreeMap;

use steamer_api::{Adopt, KvType, Operation, PlannedChange, PushedEntry, UpdatePolicy};
use steamer_core::Error;
use steamer_core::ownership::mark::foreign;
use steamer_core::ownership::{Claim, Mark, claim};
use steamer_openbao::Values;

use super::entry::Entry;
use super::keys::Keys;
use super::observed::{Content, Found, Observed};
use super::problem;

/// What decides about the right of an object to an entry.
pub(super) struct Rights<'a> {
    /// Mark of the object.
    pub(super) mark: &'a Mark,
    pub(super) adopt: Adopt,
    pub(super) update: UpdatePolicy,
    /// Returns true if the object that a mark names exists.
    pub(super) exists: &'a dyn Fn(&Mark) -> bool,
}

/// The step for an entry.
pub(super) enum Step {
    /// The entry is in the desired state and has this version.
    Settled(i64),
    /// The entry belongs to the object and is not compared, because only missing entries are written.
    Unchanged(i64),
    /// The entry exists and stays unchanged, whoever owns it.
    Kept,
    /// The entry of `kv-v1` has the desired values, but nothing proves that the object wrote them.
    Equal,
    /// The mark is written, and the values if they differ.
    Write(Write),
}

/// Writes of one entry.
pub(super) struct Write {
    /// Custom metadata to write first.
    pub(super) marking: Option<Marking>,
    /// None: the entry has the desired values.
    pub(super) update: Option<Update>,
    /// Version before the writes.
    pub(super) version: i64,
    pub(super) operation: Operation,
    pub(super) reason: &'static str,
    /// Whether the entry had values before the writes.
    pub(super) has_values: bool,
}

/// Custom metadata of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marking {
    pub(super) before: BTreeMap<String, String>,
    pub(super) after: BTreeMap<String, String>,
    /// Number of the last change of the metadata.
    pub(super) version: i64,
}

/// A new version.
pub(super) struct Update {
    /// Existing values. The generated ones among them are kept.
    pub(super) existing: Values,
}

impl Write {
    /// The change for the status, with the names of keys.
    pub(super) fn described(&self, entry: &Entry) -> PlannedChange {
        let keys = self.update.as_ref().map(|update| Keys::changed(entry, &update.existing));
        let (path, keys) = (entry.place.published(), keys.unwrap_or_default());
        PlannedChange { operation: self.operation, path, reason: format!("{}{keys}", self.reason) }
    }
}

/// Computes the step.
///
/// # Errors
/// [`Error::Conflict`] for an entry of another owner. An error for an entry that lost its generated values.
pub(super) fn step(
    entry: &Entry,
    observed: Observed,
    recorded: Option<&PushedEntry>,
    rights: &Rights<'_>,
) -> Result<Step, Error> {
    match observed {
        Observed::Absent => created(entry, recorded, rights),
        Observed::Found(found) => existing(entry, found, recorded, rights),
    }
}

/// The step for an entry that does not exist.
fn created(entry: &Entry, recorded: Option<&PushedEntry>, rights: &Rights<'_>) -> Result<Step, Error> {
    check_loss(entry, recorded)?;
    let after = rights.mark.metadata();
    let marking =
        (entry.place.kind == KvType::V2).then(|| Marking { before: BTreeMap::new(), after, version: 0 });
    let update = Some(Update { existing: Values::default() });
    let (operation, reason) = (Operation::Create, "the entry does not exist");
    Ok(Step::Write(Write { marking, update, version: 0, operation, reason, has_values: false }))
}

/// The step for an existing entry.
fn existing(
    entry: &Entry,
    found: Found,
    recorded: Option<&PushedEntry>,
    rights: &Rights<'_>,
) -> Result<Step, Error> {
    let has_values = !matches!(found.content, Content::Missing);
    if has_values && rights.update == UpdatePolicy::IfNotExists {
        let own = is_own(&found, recorded, rights);
        return Ok(if own { Step::Unchanged(found.version) } else { Step::Kept });
    }
    if entry.place.kind == KvType::V1 && recorded.is_none() {
        return unproven(entry, &found);
    }
    let marking = marking(entry, &found, rights)?;
    let version = found.version;
    let update = match found.content {
        Content::Recorded => None,
        Content::Read(values) if entry.matches(&values) => None,
        Content::Read(existing) => Some(Update { existing }),
        Content::Missing => {
            check_loss(entry, recorded)?;
            Some(Update { existing: Values::default() })
        }
    };
    let reason = match (&marking, has_values) {
        (Some(_), _) => "the entry has no owner and is adopted",
        (None, false) => "the latest version of the entry was deleted",
        (None, true) if !entry.expired.is_empty() => "a generated value is older than rotateAfter",
        (None, true) => "the entry differs from the Secret",
    };
    if marking.is_none() && update.is_none() {
        return Ok(Step::Settled(version));
    }
    Ok(Step::Write(Write { marking, update, version, operation: Operation::Update, reason, has_values }))
}

fn is_own(found: &Found, recorded: Option<&PushedEntry>, rights: &Rights<'_>) -> bool {
    found.mark.as_ref() == Some(rights.mark) || recorded.is_some_and(|it| it.type_ == KvType::V1)
}

/// The mark to write. None if the object owns the entry.
///
/// # Errors
/// [`Error::Conflict`] for an entry of another owner.
fn marking(entry: &Entry, found: &Found, rights: &Rights<'_>) -> Result<Option<Marking>, Error> {
    if entry.place.kind == KvType::V1 {
        return Ok(None);
    }
    match claim(rights.mark, found.mark.as_ref(), rights.adopt, rights.exists) {
        Claim::Ours => Ok(None),
        Claim::Foreign => Err(foreign(&entry.place.published(), found.mark.as_ref())),
        Claim::Adopt => {
            let (before, mut after) = (found.custom.clone(), found.custom.clone());
            after.extend(rights.mark.metadata());
            Ok(Some(Marking { before, after, version: found.metadata_version }))
        }
    }
}

/// The step for an existing entry of `kv-v1` that the status does not record. `kv-v1` records no owner: only the status, which is
/// written first, tells which object wrote an entry. An equal entry needs no write.
fn unproven(entry: &Entry, found: &Found) -> Result<Step, Error> {
    if matches!(&found.content, Content::Read(values) if entry.matches(values)) {
        return Ok(Step::Equal);
    }
    Err(Error::Conflict(format!(
        "{} exists in OpenBao, and kv-v1 records no owner: delete it, choose another path, or use kv-v2",
        entry.place.published()
    )))
}

/// A generated value is never replaced silently: it may be the password of a running system.
fn check_loss(entry: &Entry, recorded: Option<&PushedEntry>) -> Result<(), Error> {
    if entry.generated.is_empty() || recorded.is_none() {
        return Ok(());
    }
    Err(problem::lost(&entry.place))
}
