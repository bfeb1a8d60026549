//! Custom metadata of a secret before and after a change of its value. Pure.

use jiff::Timestamp;
use steamer_runtime::conditions::whole_second;

use super::entry::{Entry, time};
use super::keys::{
    COMPLETED, CREATED, Custom, EXPIRES_AT, OF_VALUE, ORIGIN, PENDING, REQUEST, ROTATED_AT, STARTED, VERSION,
    foreign,
};
use super::step::{Due, GENERATED, Step, origin_of};
use super::wanted::{Source, Wanted, rotated};

/// The metadata of a complete secret. `due` is the step that completes it.
pub(super) fn at_rest(wanted: &Wanted, entry: &Entry, due: Option<&Due>, now: Timestamp) -> Custom {
    let mut custom = foreign(entry.custom(), &wanted.described);
    custom.extend(wanted.described.clone());
    custom.extend(progress(wanted, entry, due, now));
    custom.extend(value(wanted, entry, due, now));
    custom
}

/// The metadata while a step runs. They state what the value was before, and which version the step writes: the step can fail at
/// any point.
pub(super) fn meanwhile(
    mut custom: Custom,
    entry: &Entry,
    pending: Option<String>,
    now: Timestamp,
) -> Custom {
    for key in OF_VALUE {
        custom.remove(key);
    }
    custom.extend(kept(entry, &OF_VALUE));
    custom.extend(kept(entry, &[PENDING]));
    custom.extend(pending.map(|text| pair(PENDING, text)));
    if entry.is_created() {
        custom.insert(STARTED.to_owned(), now.to_string());
        custom.remove(COMPLETED);
    } else {
        custom.remove(CREATED);
    }
    custom
}

/// Pairs of the entry with these keys.
fn kept(entry: &Entry, keys: &[&str]) -> Vec<(String, String)> {
    let pair = |key: &&str| Some(((*key).to_owned(), entry.custom().get(*key)?.clone()));
    keys.iter().filter_map(pair).collect()
}

fn pair(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

/// The times of the creation and of the last replacement. Without a step, only a value that needs no confirmation is complete:
/// that of a person, and a confirmed one.
fn progress(wanted: &Wanted, entry: &Entry, due: Option<&Due>, now: Timestamp) -> Vec<(String, String)> {
    let now_text = now.to_string();
    let is_confirmed = is_confirmed(wanted, entry, now);
    if !entry.is_created() {
        let is_accepted = matches!(wanted.source, Source::Person) && entry.has_value(now);
        let is_complete = due.is_some() || is_confirmed || is_accepted;
        return is_complete.then(|| pair(CREATED, now_text)).into_iter().collect();
    }
    let mut pairs = kept(entry, &[CREATED]);
    if due.is_some() {
        pairs.extend([pair(STARTED, now_text.clone()), pair(COMPLETED, now_text)]);
    } else if is_confirmed && !entry.is_completed() {
        pairs.extend(kept(entry, &[STARTED]));
        pairs.push(pair(COMPLETED, now_text));
    } else {
        pairs.extend(kept(entry, &[STARTED, COMPLETED]));
    }
    pairs
}

/// Returns true for a generated value, which is never replaced, and for the version of an interrupted rollback.
fn is_confirmed(wanted: &Wanted, entry: &Entry, now: Timestamp) -> bool {
    match wanted.rollback_to {
        Some(version) => entry.is_pending(&origin_of(version)),
        None => matches!(wanted.source, Source::Generated(_)) && entry.has_value(now),
    }
}

/// What the metadata state about the value.
fn value(wanted: &Wanted, entry: &Entry, due: Option<&Due>, now: Timestamp) -> Vec<(String, String)> {
    let version = due.map_or(entry.current(), |due| due.version(entry));
    let mut pairs = match (wanted.rollback_to, &wanted.source) {
        (Some(rollback), _) => rolled_back(rollback, entry, due, now),
        (None, Source::Kept) => kept(entry, &[VERSION, ORIGIN, ROTATED_AT, REQUEST, PENDING]),
        (None, Source::Person) => Vec::new(),
        (None, Source::Secret { origin, .. }) => {
            // The repair of a value is no rotation.
            let rotated = time(entry.custom(), ROTATED_AT).filter(|_| entry.origin() == Some(origin));
            let rotated = second(rotated.unwrap_or(now));
            vec![pair(VERSION, version.to_string()), pair(ORIGIN, origin.clone()), pair(ROTATED_AT, rotated)]
        }
        (None, Source::Generated(_)) => generated(wanted, entry, due, now),
    };
    pairs.extend(wanted.expires_at.map(|at| pair(EXPIRES_AT, at.to_string())));
    pairs
}

/// A rollback is no rotation: the value has the age of its first version.
fn rolled_back(rollback: i64, entry: &Entry, due: Option<&Due>, now: Timestamp) -> Vec<(String, String)> {
    let is_new = matches!(due, Some(Due { step: Step::Copy(_), .. }));
    if !is_new && !entry.is_pending(&origin_of(rollback)) {
        return kept(entry, &[VERSION, ORIGIN, ROTATED_AT, REQUEST]);
    }
    let version = entry.current() + i64::from(is_new);
    let rotated = second(entry.created(rollback).unwrap_or(now));
    let pairs = [(VERSION, version.to_string()), (ORIGIN, origin_of(rollback)), (ROTATED_AT, rotated)];
    let pairs = pairs.into_iter().map(|(key, value)| pair(key, value));
    pairs.chain(kept(entry, &[REQUEST])).collect()
}

fn generated(wanted: &Wanted, entry: &Entry, due: Option<&Due>, now: Timestamp) -> Vec<(String, String)> {
    let version = due.map_or(entry.current(), |due| due.version(entry));
    let is_new = matches!(due, Some(Due { step: Step::Generate(_), .. }));
    let is_kept = !is_new && !wanted.adopts(entry);
    let at = second(rotated(entry).filter(|_| is_kept).unwrap_or(now));
    let request = wanted.request.as_ref().or(entry.request()).map(|it| pair(REQUEST, it.clone()));
    let pairs = [(VERSION, version.to_string()), (ORIGIN, GENERATED.to_owned()), (ROTATED_AT, at)];
    pairs.into_iter().map(|(key, value)| pair(key, value)).chain(request).collect()
}

/// A time in whole seconds.
fn second(at: Timestamp) -> String {
    whole_second(at).to_string()
}
