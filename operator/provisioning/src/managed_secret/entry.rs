//! An entry of a KV engine that is a secret: its versions, and its state, which its custom metadata contain.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steamer_api::SecretState;
use steamer_core::ownership::Mark;
use steamer_openbao::{KvMetadata, KvVersionState};

use super::keys::{COMPLETED, CREATED, Custom, EXPIRES_AT, ORIGIN, PENDING, REQUEST, STARTED, VERSION};

/// Time after which an unfinished change is stale, as in GitLab Secrets Manager.
const STALE: Duration = Duration::from_secs(30);

/// Largest difference between the clocks of the operator and of OpenBao.
const SKEW: SignedDuration = SignedDuration::from_secs(300);

/// An entry in OpenBao. The default is one without metadata and versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry(pub(super) KvMetadata);

impl Entry {
    /// Number of the current version. 0: there is none.
    pub(super) fn current(&self) -> i64 {
        self.0.current_version
    }

    pub(super) fn custom(&self) -> &Custom {
        &self.0.custom_metadata
    }

    pub(super) fn mark(&self) -> Option<Mark> {
        Mark::of_metadata(self.custom())
    }

    /// Number of the version that Steamer has written or accepted. 0: none.
    pub(super) fn recorded(&self) -> i64 {
        self.custom().get(VERSION).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    pub(super) fn origin(&self) -> Option<&str> {
        self.custom().get(ORIGIN).map(String::as_str)
    }

    pub(super) fn request(&self) -> Option<&String> {
        self.custom().get(REQUEST)
    }

    /// Returns true if the current version is the one that Steamer was writing on this occasion when it was interrupted.
    pub(super) fn is_pending(&self, occasion: &str) -> bool {
        self.custom().get(PENDING).is_some_and(|found| *found == pending(self.current(), occasion))
    }

    /// Numbers of the versions whose values exist, the oldest first.
    pub(super) fn versions(&self) -> Vec<i64> {
        let existing = self.0.versions.iter().filter(|(_, version)| !version.destroyed);
        let mut numbers: Vec<i64> = existing.filter_map(|(number, _)| number.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn version(&self, number: i64) -> Option<&KvVersionState> {
        self.0.versions.get(&number.to_string()).filter(|version| !version.destroyed)
    }

    /// Returns true if a version can be read.
    pub(super) fn is_available(&self, number: i64, now: Timestamp) -> bool {
        self.version(number).is_some() && self.deletion(number).is_none_or(|at| at > now)
    }

    /// Returns true if the current version can be read.
    pub(super) fn has_value(&self, now: Timestamp) -> bool {
        self.is_available(self.current(), now)
    }

    /// Time of the creation of a version.
    pub(super) fn created(&self, number: i64) -> Option<Timestamp> {
        self.version(number)?.created_time.parse().ok()
    }

    /// Time of the deletion of a version, which can be in the future.
    pub(super) fn deletion(&self, number: i64) -> Option<Timestamp> {
        self.version(number)?.deletion_time.parse().ok()
    }

    /// Returns true if the deletion of the current version, past or scheduled, is that of an earlier `expiresAt`.
    pub(super) fn ends_by_expiration(&self) -> bool {
        let deletion = self.deletion(self.current());
        let earliest = self.expiration().and_then(|expiration| expiration.checked_sub(SKEW).ok());
        earliest.zip(deletion).is_some_and(|(earliest, deletion)| deletion >= earliest)
    }

    /// Returns true if the current version remains readable after a time.
    pub(super) fn outlasts(&self, end: Timestamp) -> bool {
        let latest = end.checked_add(SKEW).unwrap_or(Timestamp::MAX);
        self.deletion(self.current()).is_none_or(|deletion| deletion > latest)
    }

    /// Expiration that the current version is scheduled for.
    pub(super) fn expiration(&self) -> Option<Timestamp> {
        time(self.custom(), EXPIRES_AT)
    }

    /// Returns true if the secret has had a complete value.
    pub(super) fn is_created(&self) -> bool {
        self.custom().contains_key(CREATED)
    }

    /// Returns true if the metadata state that the value is complete.
    pub(super) fn is_completed(&self) -> bool {
        self.is_created() && !is_unfinished(self.custom())
    }

    /// The state.
    pub(super) fn state(&self, now: Timestamp) -> SecretState {
        state(self.custom(), self.0.created_time.parse().ok(), now)
    }
}

/// The metadata about a version that is being written.
pub(super) fn pending(version: i64, occasion: &str) -> String {
    format!("{version} {occasion}")
}

/// A time in the metadata.
pub(super) fn time(custom: &Custom, key: &str) -> Option<Timestamp> {
    custom.get(key)?.parse().ok()
}

/// The state that metadata contain. `created` is the creation of the entry.
pub(super) fn state(custom: &Custom, created: Option<Timestamp>, now: Timestamp) -> SecretState {
    if !custom.contains_key(CREATED) {
        let stale = is_stale(created, now);
        return if stale { SecretState::CreateStale } else { SecretState::CreateInProgress };
    }
    if !is_unfinished(custom) {
        return SecretState::Completed;
    }
    let stale = is_stale(time(custom, STARTED), now);
    if stale { SecretState::UpdateStale } else { SecretState::UpdateInProgress }
}

/// Returns true if a replacement of the value has begun and not ended.
fn is_unfinished(custom: &Custom) -> bool {
    let Some(started) = custom.get(STARTED) else { return false };
    let ended = time(custom, COMPLETED).zip(started.parse::<Timestamp>().ok());
    ended.is_none_or(|(completed, started)| completed < started)
}

/// A change of unknown age is stale.
fn is_stale(since: Option<Timestamp>, now: Timestamp) -> bool {
    let age = since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
    // A time in the future is that of a clock that differs.
    since.is_none() || age.is_some_and(|age| age >= STALE)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn custom(pairs: &[(&str, i64)]) -> Custom {
        pairs.iter().map(|(key, second)| ((*key).to_owned(), at(*second).to_string())).collect()
    }

    #[rstest]
    #[case::new(&[], Some(80), SecretState::CreateInProgress)]
    #[case::abandoned(&[], Some(70), SecretState::CreateStale)]
    #[case::of_unknown_age(&[], None, SecretState::CreateStale)]
    #[case::created(&[(CREATED, 1)], Some(1), SecretState::Completed)]
    #[case::updating(&[(CREATED, 1), (STARTED, 90)], Some(1), SecretState::UpdateInProgress)]
    #[case::updating_again(&[(CREATED, 1), (STARTED, 90), (COMPLETED, 50)], Some(1), SecretState::UpdateInProgress)]
    #[case::update_abandoned(&[(CREATED, 1), (STARTED, 60), (COMPLETED, 50)], Some(1), SecretState::UpdateStale)]
    #[case::updated(&[(CREATED, 1), (STARTED, 60), (COMPLETED, 60)], Some(1), SecretState::Completed)]
    #[case::clock_of_another_client(&[(CREATED, 1), (STARTED, 500)], Some(1), SecretState::UpdateInProgress)]
    fn the_metadata_contain_the_state(
        #[case] pairs: &[(&str, i64)],
        #[case] created: Option<i64>,
        #[case] expected: SecretState,
    ) {
        assert_eq!(state(&custom(pairs), created.map(at), at(100)), expected);
    }

    #[test]
    fn a_time_that_cannot_be_parsed_is_unfinished() {
        let mut found = custom(&[(CREATED, 1), (COMPLETED, 50)]);
        found.insert(STARTED.to_owned(), "yesterday".to_owned());
        assert_eq!(state(&found, None, at(100)), SecretState::UpdateStale);
    }

    /// Deletion time in seconds of a version, or none, and whether it is destroyed.
    fn entry(deletion: Option<i64>, destroyed: bool, expires_at: Option<i64>) -> Entry {
        let deletion = deletion.map(|second| at(second).to_string()).unwrap_or_default();
        let version = json!({"created_time": "1970-01-01T00:00:05Z", "deletion_time": deletion, "destroyed": destroyed});
        let expires_at = expires_at.map(|second| at(second).to_string());
        let custom: Custom = expires_at.into_iter().map(|at| (EXPIRES_AT.to_owned(), at)).collect();
        let metadata = json!({"current_version": 3, "versions": {"3": version}, "custom_metadata": custom});
        Entry(serde_json::from_value(metadata).unwrap())
    }

    #[rstest]
    #[case::readable(entry(None, false, None), true, false)]
    #[case::scheduled(entry(Some(200), false, Some(200)), true, true)]
    #[case::ended(entry(Some(90), false, Some(90)), false, true)]
    #[case::ended_by_another_clock(entry(Some(80), false, Some(90)), false, true)]
    #[case::deleted_before_its_end(entry(Some(80), false, Some(400)), false, false)]
    #[case::deleted(entry(Some(80), false, None), false, false)]
    #[case::destroyed(entry(None, true, Some(90)), false, false)]
    fn a_version_is_readable_until_it_is_deleted(
        #[case] entry: Entry,
        #[case] readable: bool,
        #[case] ends_by_expiration: bool,
    ) {
        assert_eq!((entry.has_value(at(100)), entry.ends_by_expiration()), (readable, ends_by_expiration));
        assert!(!entry.is_available(2, at(100)));
    }

    #[rstest]
    #[case::never_deleted(None, true)]
    #[case::at_the_end(Some(1000), false)]
    #[case::by_another_clock(Some(1300), false)]
    #[case::later(Some(1301), true)]
    fn a_version_outlasts_its_end_if_its_deletion_is_later(
        #[case] deletion: Option<i64>,
        #[case] expected: bool,
    ) {
        assert_eq!(entry(deletion, false, None).outlasts(at(1000)), expected);
    }

    #[test]
    fn a_pending_version_has_a_number_and_an_occasion() {
        let mut entry = entry(None, false, None);
        entry.0.custom_metadata.insert(PENDING.to_owned(), pending(3, "generated"));
        assert!(entry.is_pending("generated") && !entry.is_pending("version:1"));
        entry.0.current_version = 4;
        assert!(!entry.is_pending("generated"));
    }

    #[test]
    fn an_entry_without_versions_has_no_value() {
        let entry = Entry::default();
        assert!(!entry.has_value(at(1)) && entry.versions().is_empty());
        assert_eq!((entry.current(), entry.recorded(), entry.created(0)), (0, 0, None));
    }
}
