//! The age of generated values. The status records when they were generated.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steamer_api::{BaoPushSecretSpec, Mode, PushedEntry, UpdatePolicy};
use steamer_core::ownership::Mark;
use steamer_runtime::conditions::whole_second;

use super::entry::Entry;
use super::observed::Observed;

/// Times by property.
type Times = BTreeMap<String, String>;

/// The entry with the values that are too old. A value of unknown age is not.
pub(super) fn aged(entry: Entry, recorded: Option<&PushedEntry>, now: Timestamp) -> Entry {
    let expired =
        due(&entry.rotations, recorded).filter(|(_, at)| *at <= now).map(|(property, _)| property.clone());
    let expired = expired.collect();
    Entry { expired, ..entry }
}

/// Whether values that are too old are replaced: `mode: Observe` and `updatePolicy: IfNotExists` keep all values.
pub(super) fn is_enforced(spec: &BaoPushSecretSpec) -> bool {
    spec.lifecycle.mode == Mode::Enforce && spec.update_policy == UpdatePolicy::Replace
}

/// The entry to compare. Its values are not too old if the object wrote a later version than the status records: the operator
/// was killed after it replaced them, and the new ones may be in use.
pub(super) fn compared<'a>(
    entry: &'a Entry,
    observed: &Observed,
    recorded: Option<&PushedEntry>,
    mark: &Mark,
) -> Cow<'a, Entry> {
    let version = recorded.and_then(|recorded| recorded.version);
    match observed {
        Observed::Found(found)
            if !entry.expired.is_empty()
                && found.mark.as_ref() == Some(mark)
                && version.is_some_and(|version| version < found.version) =>
        {
            Cow::Owned(Entry { expired: BTreeSet::new(), ..entry.clone() })
        }
        _ => Cow::Borrowed(entry),
    }
}

/// Time until the next value is too old.
pub(super) fn next(entries: &[Entry], recorded: &[PushedEntry], now: Timestamp) -> Option<Duration> {
    let of = |entry: &Entry| due(&entry.rotations, entry.place.record_in(recorded)).map(|(_, at)| at).min();
    let next = entries.iter().filter_map(of).min()?;
    Some(Duration::try_from(next.duration_since(now)).unwrap_or_default())
}

/// When the values of known age are too old.
fn due<'a>(
    rotations: &'a BTreeMap<String, SignedDuration>,
    recorded: Option<&'a PushedEntry>,
) -> impl Iterator<Item = (&'a String, Timestamp)> {
    let generated = move |property: &String| recorded?.generated_at.get(property)?.parse::<Timestamp>().ok();
    rotations
        .iter()
        .filter_map(move |(property, age)| Some((property, generated(property)?.checked_add(*age).ok()?)))
}

/// The times to record after a check at which the values of `generated` were generated.
pub(super) fn times(
    entry: &Entry,
    recorded: Option<&PushedEntry>,
    (generated, now): (&[String], Timestamp),
) -> Times {
    let time = |property: &String| {
        let known = recorded.and_then(|recorded| recorded.generated_at.get(property));
        known.filter(|_| !generated.contains(property)).cloned().unwrap_or_else(|| second(now))
    };
    entry.rotations.keys().map(|property| (property.clone(), time(property))).collect()
}

fn second(now: Timestamp) -> String {
    whole_second(now).to_string()
}
