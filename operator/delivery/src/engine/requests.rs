//! Requests for credentials that are not complete: OpenBao may have granted a lease that neither a Secret nor a status states. The
//! login of a request is recorded before the request is made, so that its token can be revoked, and with it the lease.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use steamer_openbao::{Session, TokenLife};
use steamer_runtime::{Key, Locked};

use super::accessors::Accessor;

/// The time now, and how long OpenBao may execute a request.
pub(super) type Clock = (Timestamp, Duration);

/// How long after its record an earlier process can have made a request.
const UNSENT: Duration = Duration::from_secs(45);

/// A session with a token of its own, which a value will depend on.
pub(crate) struct Dedicated {
    pub(crate) session: Session,
    pub(crate) life: TokenLife,
    /// Accessor of the token. None if it need not be recorded, or if no session may use it.
    pub(crate) accessor: Option<Accessor>,
    /// Number of the request that is made with it.
    pub(crate) request: u64,
}

/// Answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None arrived. OpenBao may still execute the request.
    Missing,
    /// It granted nothing that is used.
    Unused,
    /// It granted the lease with this ID, which is not written yet.
    Granted(String),
}

/// A request that is not complete.
#[derive(Clone)]
pub(super) struct OpenRequest {
    number: u64,
    /// None: it was made by an earlier process.
    pub(super) session: Option<Session>,
    pub(super) accessor: Option<Accessor>,
    /// When it was recorded, or when its response was lost.
    at: Timestamp,
    answer: Answer,
}

/// A request in a status.
#[derive(Serialize, Deserialize)]
struct Record {
    accessor: Accessor,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    at: Timestamp,
}

/// Requests of one object.
#[derive(Default)]
struct Open {
    requests: Vec<OpenRequest>,
    /// Accessors of revoked tokens that the status still contains.
    closed: Vec<Accessor>,
}

/// Requests of all objects that are not complete.
#[derive(Default)]
pub(crate) struct OpenRequests {
    objects: Locked<HashMap<Key, Open>>,
    last: AtomicU64,
}

impl OpenRequest {
    /// Time until the token is revoked. None: the lease is used.
    fn left(&self, (now, limit): Clock) -> Option<Duration> {
        match self.answer {
            Answer::Granted(_) => None,
            Answer::Unused => Some(Duration::ZERO),
            Answer::Missing => {
                let passed = Duration::try_from(now.duration_since(self.at)).unwrap_or_default();
                let unsent = if self.session.is_none() { UNSENT } else { Duration::ZERO };
                Some(limit.saturating_add(unsent).saturating_sub(passed))
            }
        }
    }
}

impl OpenRequests {
    /// Adds a request that is made next. Returns its number.
    pub(super) fn open(&self, owner: &Key, dedicated: &Dedicated, at: Timestamp) -> u64 {
        let number = self.number();
        let (session, accessor) = (Some(dedicated.session.clone()), dedicated.accessor.clone());
        let request = OpenRequest { number, session, accessor, at, answer: Answer::Missing };
        self.objects.lock().entry(owner.clone()).or_default().requests.push(request);
        number
    }

    fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds the requests of an earlier process that a status records. `is_lost`: whether the token belongs to the object, and
    /// no known lease depends on it. Requests that were added earlier are removed if they are not lost: the stamp of the Secret can be
    /// read later than the status.
    pub(super) fn restore(&self, owner: &Key, text: Option<&str>, is_lost: impl Fn(&Accessor) -> bool) {
        let records: Vec<Record> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut objects = self.objects.lock();
        if records.is_empty() && !objects.contains_key(owner) {
            return;
        }
        let Open { requests, closed } = objects.entry(owner.clone()).or_default();
        closed.retain(|accessor| records.iter().any(|record| record.accessor == *accessor));
        requests
            .retain(|request| request.session.is_some() || request.accessor.as_ref().is_none_or(&is_lost));
        for Record { accessor, at } in records.into_iter().filter(|record| is_lost(&record.accessor)) {
            let is_known = requests.iter().any(|request| request.accessor.as_ref() == Some(&accessor));
            if !is_known && !closed.contains(&accessor) {
                let (number, accessor) = (self.number(), Some(accessor));
                requests.push(OpenRequest { number, session: None, accessor, at, answer: Answer::Missing });
            }
        }
    }

    /// Records the answer to a request.
    pub(crate) fn answered(&self, owner: &Key, number: u64, answer: Answer) {
        let mut objects = self.objects.lock();
        let mut requests = objects.get_mut(owner).into_iter().flat_map(|open| &mut open.requests);
        if let Some(request) = requests.find(|request| request.number == number) {
            request.answer = answer;
        }
    }

    /// Records that the response to a request is lost. Its record can be older than the request.
    pub(crate) fn lost(&self, owner: &Key, number: u64, at: Timestamp) {
        let mut objects = self.objects.lock();
        let mut requests = objects.get_mut(owner).into_iter().flat_map(|open| &mut open.requests);
        if let Some(request) = requests.find(|request| request.number == number) {
            request.at = at;
        }
    }

    /// Removes the requests that granted these leases: a stamp states them.
    pub(super) fn complete(&self, owner: &Key, leases: &[&str]) {
        let is_written =
            |answer: &Answer| matches!(answer, Answer::Granted(id) if leases.contains(&id.as_str()));
        if let Some(open) = self.objects.lock().get_mut(owner) {
            open.requests.retain(|request| !is_written(&request.answer));
        }
    }

    /// Requests whose tokens are to be revoked now.
    pub(super) fn due(&self, owner: &Key, clock: Clock) -> Vec<OpenRequest> {
        let is_due = |request: &&OpenRequest| request.left(clock).is_some_and(|left| left.is_zero());
        let objects = self.objects.lock();
        objects
            .get(owner)
            .map(|open| open.requests.iter().filter(is_due).cloned().collect())
            .unwrap_or_default()
    }

    /// Removes a request whose token is revoked.
    pub(super) fn close(&self, owner: &Key, request: OpenRequest) {
        if let Some(open) = self.objects.lock().get_mut(owner) {
            open.requests.retain(|other| other.number != request.number);
            open.closed.extend(request.accessor);
        }
    }

    /// Time until the next token is revoked. None if none is.
    pub(super) fn next(&self, owner: &Key, clock: Clock) -> Option<Duration> {
        let objects = self.objects.lock();
        objects.get(owner)?.requests.iter().filter_map(|request| request.left(clock)).min()
    }

    /// Number of requests whose tokens remain to be revoked.
    pub(super) fn count(&self, owner: &Key) -> usize {
        let is_lost = |request: &&OpenRequest| !matches!(request.answer, Answer::Granted(_));
        self.objects.lock().get(owner).map_or(0, |open| open.requests.iter().filter(is_lost).count())
    }

    /// The requests for the status. None if there are none.
    pub(super) fn text(&self, owner: &Key) -> Option<String> {
        let objects = self.objects.lock();
        let recorded = objects
            .get(owner)?
            .requests
            .iter()
            .filter_map(|request| Some(Record { accessor: request.accessor.clone()?, at: request.at }));
        let records: Vec<Record> = recorded.collect();
        if records.is_empty() { None } else { serde_json::to_string(&records).ok() }
    }

    /// Discards the requests of an object, and revokes no token.
    pub(super) fn forget(&self, owner: &Key) {
        self.objects.lock().remove(owner);
    }
}

#[cfg(test)]
mod tests {
    use steamer_core::mac::Mac;
    use steamer_openbao::{Client, Identity, Settings};
    use steamer_runtime::ObjectName;

    use super::super::accessors::sample;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(100);

    fn owner() -> Key {
        Key::new("BaoDynamicSecret", ObjectName::new("web", "app"))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn accessor(id: &str) -> Accessor {
        sample(id, &Mac::new(&[7; 32]))
    }

    fn dedicated(id: &str) -> Dedicated {
        let session = Client::new(&Settings::default()).unwrap().session(Identity::Anonymous);
        let life = TokenLife { duration: Duration::from_secs(60), renewable: true };
        Dedicated { session, life, accessor: Some(accessor(id)), request: 0 }
    }

    fn due(requests: &OpenRequests, second: i64) -> Vec<Option<Accessor>> {
        requests.due(&owner(), (at(second), LIMIT)).into_iter().map(|request| request.accessor).collect()
    }

    #[test]
    fn the_token_of_a_request_without_an_answer_is_revoked_when_openbao_has_ended_it() {
        let (requests, owner) = (OpenRequests::default(), owner());
        requests.open(&owner, &dedicated("a"), at(0));
        assert_eq!(due(&requests, 99), []);
        assert_eq!(requests.next(&owner, (at(60), LIMIT)), Some(Duration::from_secs(40)));
        assert_eq!(requests.next(&owner, (at(-60), LIMIT)), Some(LIMIT), "the clock was set back");
        assert_eq!(due(&requests, 100), [Some(accessor("a"))]);
        assert_eq!(requests.count(&owner), 1);
    }

    #[test]
    fn the_time_of_a_request_counts_from_the_loss_of_its_response() {
        let (requests, owner) = (OpenRequests::default(), owner());
        let number = requests.open(&owner, &dedicated("a"), at(0));
        requests.lost(&owner, number, at(30));
        assert_eq!(due(&requests, 129), []);
        assert_eq!(due(&requests, 130), [Some(accessor("a"))]);
    }

    #[test]
    fn the_token_of_a_request_that_was_answered_is_revoked_at_once_unless_its_lease_is_used() {
        let (requests, owner) = (OpenRequests::default(), owner());
        let [unused, granted] = ["a", "b"].map(|id| requests.open(&owner, &dedicated(id), at(0)));
        requests.answered(&owner, unused, Answer::Unused);
        requests.answered(&owner, granted, Answer::Granted("lease".to_owned()));
        assert_eq!(due(&requests, 0), [Some(accessor("a"))]);
        assert_eq!(due(&requests, 1000), [Some(accessor("a"))]);
        for request in requests.due(&owner, (at(0), LIMIT)) {
            requests.close(&owner, request);
        }
        assert_eq!((requests.count(&owner), requests.next(&owner, (at(0), LIMIT))), (0, None));
        assert!(requests.text(&owner).unwrap().contains("\"b\""), "the lease is not written yet");
        requests.complete(&owner, &["lease"]);
        assert_eq!(requests.text(&owner), None);
    }

    #[test]
    fn a_request_survives_a_crash() {
        let (before, owner) = (OpenRequests::default(), owner());
        for id in ["written", "lost", "forged"] {
            before.open(&owner, &dedicated(id), at(0));
        }
        let text = before.text(&owner);
        let after = OpenRequests::default();
        let restore = || after.restore(&owner, text.as_deref(), |it| *it == accessor("lost"));
        restore();
        restore();
        assert_eq!(due(&after, 144), []);
        assert_eq!(due(&after, 145), [Some(accessor("lost"))]);
        assert!(after.due(&owner, (at(145), LIMIT)).iter().all(|request| request.session.is_none()));
        for request in after.due(&owner, (at(145), LIMIT)) {
            after.close(&owner, request);
        }
        // The status was not written since.
        restore();
        assert_eq!((due(&after, 1000), after.text(&owner)), (vec![], None));
        after.restore(&owner, Some("not JSON"), |_| true);
        assert_eq!(due(&after, 1000), []);
    }

    #[test]
    fn a_request_whose_lease_is_found_in_the_secret_later_is_not_lost() {
        let (before, after, owner) = (OpenRequests::default(), OpenRequests::default(), owner());
        before.open(&owner, &dedicated("a"), at(0));
        let text = before.text(&owner);
        after.restore(&owner, text.as_deref(), |_| true);
        assert_eq!(after.count(&owner), 1);
        after.restore(&owner, text.as_deref(), |_| false);
        assert_eq!((after.count(&owner), after.text(&owner)), (0, None));
        before.restore(&owner, text.as_deref(), |_| false);
        assert_eq!(before.count(&owner), 1, "the request of this process is open");
    }

    #[test]
    fn requests_of_other_objects_are_separate() {
        let (requests, other) = (OpenRequests::default(), Key::new("VaultDynamicSecret", owner().name));
        requests.open(&owner(), &dedicated("a"), at(0));
        assert_eq!((requests.count(&owner()), requests.count(&other)), (1, 0));
        requests.forget(&owner());
        assert_eq!(requests.count(&owner()), 0);
    }
}
