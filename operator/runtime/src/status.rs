//! Writes statuses: only the fields that differ, and nothing if none does.

use std::any::TypeId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use crate::patch::{is_failed_test, patch, status_request};
use crate::translation::Translation;
use crate::write_limit::{Write, WriteLimit, digest};
use crate::{AnyObject, Locked, ObjectName};

/// Writer of statuses. Remembers a written one until the watch shows it, so that a stale watch cache does not cause another
/// write, and digests, so that a status of another client is recognized and an equal one needs no comparison.
pub struct Statuses {
    client: Client,
    known: Locked<HashMap<TypeId, HashMap<ObjectName, Known>>>,
    limit: WriteLimit,
    translation: Option<Translation>,
}

/// What is known about the status of an object.
#[derive(Default)]
struct Known {
    /// Digest of the uid of the object.
    uid: u64,
    /// The last write of this process.
    written: Option<Written>,
    /// Version of the object, and digest of a status that equals that of the version.
    equal: Option<(u64, u64)>,
}

struct Written {
    resource_version: u64,
    /// The status, until the watch shows it. JSON text: a parsed status takes several times its memory.
    unseen: Option<Box<str>>,
    /// Digests of the status as it was written, and as the API server stored it.
    digests: [u64; 2],
}

impl Known {
    /// Returns whether the object is older than the last written status.
    fn is_newer_than(&self, seen: u64) -> bool {
        self.written.as_ref().is_some_and(|written| written.resource_version > seen)
    }
}

/// A status that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Another client, such as a second operator, overwrites each status. Tried again after the duration.
    #[error("another client overwrites each status of this object: stop it")]
    Contested(Duration),
    /// Any error of the API server.
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
}

/// Part of a reconcile that writes a status. Each has its own limit, so that a contested status can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The reconcile.
    Reconcile,
    /// The report of its failure.
    Failure,
}

/// Changes of a status write.
pub struct Changes {
    /// The `Ready` condition, if its status or reason changed. The first success is no change: the status states it.
    pub(crate) ready: Option<Condition>,
}

impl Statuses {
    /// Returns a writer that uses this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Locked::default(), limit: WriteLimit::default(), translation: None }
    }

    /// Translates the statuses of the objects of another API.
    #[must_use]
    pub fn translated(self, translation: Translation) -> Self {
        Self { translation: Some(translation), ..self }
    }

    /// Returns the latest known status, or null if there is none.
    pub fn last<K: AnyObject>(&self, object: &K) -> Value {
        match self.unseen(object) {
            Some(text) => serde_json::from_str(&text).unwrap_or_default(),
            None => status_of(object),
        }
    }

    /// Returns the last written status as JSON, if the object is older than it: the watch is late.
    pub fn unseen<K: AnyObject>(&self, object: &K) -> Option<String> {
        self.with(object, |known| {
            let written = known.written.as_ref().filter(|written| written.resource_version > version(object));
            written.and_then(|written| written.unseen.as_deref().map(str::to_owned))
        })?
    }

    /// Drops the text of the written status if the watch shows it: only its digests are needed from now on. Only for an object
    /// whose reconcile starts: a running one may hold an earlier version, and would fall back to its status.
    pub(crate) fn started<K: AnyObject>(&self, object: &K) {
        self.with(object, |known| {
            if !known.is_newer_than(version(object))
                && let Some(written) = &mut known.written
            {
                written.unseen = None;
            }
        });
    }

    /// Calls a function with what is known about this object. An earlier object of the same name has another uid.
    fn with<K: AnyObject, T>(&self, object: &K, call: impl FnOnce(&mut Known) -> T) -> Option<T> {
        let mut known = self.known.lock();
        let known = known.get_mut(&TypeId::of::<K>())?.get_mut(&ObjectName::of(object))?;
        (known.uid == uid(object)).then(|| call(known))
    }

    /// Writes a status if it differs from the last one.
    ///
    /// # Errors
    /// Any error of the API server, except that the object was deleted or recreated in the meantime.
    /// [`StatusError::Contested`] if another client has overwritten several statuses.
    pub async fn write<K: AnyObject>(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<Changes, StatusError> {
        self.write_in(Step::Reconcile, object, status).await
    }

    /// Same as [`Statuses::write`], with the limit of a step.
    pub(crate) async fn write_in<K: AnyObject>(
        &self,
        step: Step,
        object: &K,
        status: &impl Serialize,
    ) -> Result<Changes, StatusError> {
        // A settled object is compared by digests: its status is not parsed, and the rest of the object not serialized.
        let form = digest(&serde_json::to_vec(status).map_err(kube::Error::SerdeError)?);
        if self.is_equal(object, form) {
            return Ok(Changes { ready: None });
        }
        let last = self.last(object);
        let next = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        if last == next {
            self.equal(object, form);
            return Ok(Changes { ready: None });
        }
        self.admit(step, object, &last)?;
        let answer: K = match self.send(object, &last, &next).await {
            Ok(answer) => answer,
            Err(kube::Error::Api(status)) if is_replaced(&status) => return Ok(Changes { ready: None }),
            Err(error) => return Err(error.into()),
        };
        let changes = Changes { ready: changed_ready(&last, &next) };
        self.remember(&answer, &next);
        Ok(changes)
    }

    async fn send<K: AnyObject>(&self, object: &K, last: &Value, next: &Value) -> Result<K, kube::Error> {
        match self.translation.filter(|translation| translation.group == K::group(&())) {
            Some(translation) => translation.write(&self.client, object, next).await,
            None => {
                let patch = patch(object.uid().as_deref(), last, next);
                self.client.request(status_request(object, &patch)?).await
            }
        }
    }

    /// Returns whether a status with this digest was compared with that of the same version of the object.
    fn is_equal<K: AnyObject>(&self, object: &K, form: u64) -> bool {
        let seen = version(object);
        let is_equal = |known: &mut Known| known.equal == Some((seen, form)) && !known.is_newer_than(seen);
        seen > 0 && self.with(object, is_equal).unwrap_or_default()
    }

    /// Remembers that a status with this digest equals that of the object.
    fn equal<K: AnyObject>(&self, object: &K, form: u64) {
        let (uid, seen) = (uid(object), version(object));
        let mut known = self.known.lock();
        let known = known.entry(TypeId::of::<K>()).or_default().entry(ObjectName::of(object)).or_default();
        if known.uid != uid {
            *known = Known { uid, ..Known::default() };
        }
        // The comparison was with the written status.
        if !known.is_newer_than(seen) {
            known.equal = Some((seen, form));
        }
    }

    /// Counts a write over a status of another client. Writes over the own status are never limited.
    fn admit<K: AnyObject>(&self, step: Step, object: &K, last: &Value) -> Result<(), StatusError> {
        let is_foreign = |known: &mut Known| {
            known.written.as_ref().is_some_and(|it| !it.digests.contains(&digest(&last.to_string())))
        };
        if self.with(object, is_foreign).unwrap_or_default() {
            let (resource, before) = (digest(&(K::kind(&()), step)), digest(&timeless(last).to_string()));
            let write = Write { resource, desired: 0, before, interval: Duration::ZERO };
            let (name, now) = (ObjectName::of(object), Instant::now());
            self.limit.admit(&name, write, now).map_err(StatusError::Contested)?;
            self.limit.record(&name, write, now);
        }
        Ok(())
    }

    /// Discards the remembered status of a deleted object.
    pub fn forget<K: AnyObject>(&self, name: &ObjectName) {
        if let Some(known) = self.known.lock().get_mut(&TypeId::of::<K>()) {
            known.remove(name);
        }
    }

    fn remember<K: AnyObject>(&self, answer: &K, status: &Value) {
        let resource_version = version(answer);
        if resource_version == 0 {
            return;
        }
        let (status, stored) = (status.to_string(), status_of(answer).to_string());
        let digests = [digest(&status), digest(&stored)];
        let written = Some(Written { resource_version, unseen: Some(status.into()), digests });
        let mut known = self.known.lock();
        let known = known.entry(TypeId::of::<K>()).or_default().entry(ObjectName::of(answer)).or_default();
        // The answers of two writes can arrive in another order.
        if known.uid != uid(answer) || !known.is_newer_than(resource_version) {
            *known = Known { uid: uid(answer), written, equal: None };
        }
    }
}

/// Returns the version of the object. 0: it has none.
fn version<K: Resource>(object: &K) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn uid<K: Resource>(object: &K) -> u64 {
    digest(&object.meta().uid)
}

fn status_of(object: &impl Serialize) -> Value {
    let object = serde_json::to_value(object).ok();
    object.and_then(|mut value| value.get_mut("status").map(Value::take)).unwrap_or_default()
}

/// Returns the value without times, which differ in each status.
fn timeless(value: &Value) -> Value {
    let is_time = |text: &String| text.parse::<jiff::Timestamp>().is_ok();
    match value {
        Value::String(text) if is_time(text) => Value::Null,
        Value::Array(list) => list.iter().map(timeless).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), timeless(value))).collect(),
        value => value.clone(),
    }
}

/// Returns whether the object was deleted or recreated.
fn is_replaced(status: &kube::core::Status) -> bool {
    status.is_not_found() || status.is_conflict() || is_failed_test(status)
}

fn changed_ready(last: &Value, next: &Value) -> Option<Condition> {
    let ready = |status: &Value| -> Option<Condition> {
        let list: Vec<Condition> = serde_json::from_value(status.get("conditions")?.clone()).ok()?;
        list.into_iter().find(|condition| condition.type_ == "Ready")
    };
    let (last, next) = (ready(last), ready(next)?);
    let is_news = match last {
        Some(last) => last.status != next.status || last.reason != next.reason,
        None => next.status != "True",
    };
    is_news.then_some(next)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::fake::Fake;

    fn object() -> ConfigMap {
        let json =
            json!({"metadata": {"name": "a", "namespace": "b", "uid": "first", "resourceVersion": "1"}});
        serde_json::from_value(json).unwrap()
    }

    #[tokio::test]
    async fn a_status_is_never_written_into_an_object_with_another_uid() {
        let fake = Fake::answering(|request| {
            assert!(request.path.ends_with("/namespaces/b/configmaps/a/status"), "{}", request.path);
            let is_first =
                request.body[0] == json!({"op": "test", "path": "/metadata/uid", "value": "first"});
            assert!(is_first, "the first operation tests the uid");
            let problem = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422,
                "message": "the server rejected our request due to an error in our request", "details": {},
            });
            (422, problem)
        });
        let statuses = Statuses::new(fake.client());
        let changes = statuses.write(&object(), &json!({"a": 1})).await.unwrap();
        assert!(changes.ready.is_none());
        assert_eq!(statuses.last(&object()), Value::Null, "the rejected status is not remembered");
        assert_eq!(fake.requests().len(), 1);
    }

    /// An object of version `version` with that status.
    fn with_status(version: u64, status: &Value) -> Pod {
        let metadata =
            json!({"name": "a", "namespace": "b", "uid": "first", "resourceVersion": version.to_string()});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    /// Status writes of `attempts` reconciles, each of which finds the status of another client.
    async fn contested(attempts: u64, foreign: fn(u64) -> Value) -> (Statuses, usize) {
        let version = std::sync::atomic::AtomicU64::new(1);
        let fake = Fake::answering(move |request| {
            let version = version.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
            let status = request.body.as_array().unwrap().iter().find_map(|change| {
                let value = change["value"].clone();
                match change["path"].as_str().unwrap() {
                    "/status" => Some(value),
                    "/status/phase" => Some(json!({"phase": value})),
                    _ => None,
                }
            });
            (200, serde_json::to_value(with_status(version, &status.unwrap())).unwrap())
        });
        let statuses = Statuses::new(fake.client());
        for number in 0..attempts {
            let _ =
                statuses.write(&with_status(number * 2, &foreign(number)), &json!({"phase": "Own"})).await;
        }
        (statuses, fake.requests().len())
    }

    #[tokio::test]
    async fn a_status_that_another_client_overwrites_is_written_a_few_times_and_then_reported() {
        let foreign =
            |number: u64| json!({"phase": "Foreign", "startTime": format!("2026-01-01T00:00:{number:02}Z")});
        let (statuses, writes) = contested(50, foreign).await;
        // The first one is not known to be foreign.
        assert_eq!(writes, 6);
        let object = with_status(1000, &foreign(0));
        let refused = statuses.write(&object, &json!({"phase": "Other"})).await;
        assert!(matches!(refused, Err(StatusError::Contested(_))));
        let reported = statuses.write_in(Step::Failure, &object, &json!({"phase": "Conflict"})).await;
        assert!(reported.is_ok());
    }

    #[tokio::test]
    async fn own_statuses_are_never_limited() {
        let (_, writes) =
            contested(50, |number| if number == 0 { Value::Null } else { json!({"phase": "Own"}) }).await;
        assert_eq!(writes, 1, "a settled status is not written again");
        let fake = Fake::answering(|_| (200, serde_json::to_value(with_status(9, &Value::Null)).unwrap()));
        let statuses = Statuses::new(fake.client());
        for number in 0..50 {
            // The watch is late: the object has an old version.
            let next = json!({"phase": number.to_string()});
            let written = statuses.write(&with_status(1, &Value::Null), &next).await;
            assert!(written.is_ok());
        }
        assert_eq!(fake.requests().len(), 50);
    }

    #[tokio::test]
    async fn a_written_status_is_kept_until_the_watch_shows_it_and_then_compared_by_its_digest() {
        let (own, other) = (json!({"phase": "Own"}), json!({"phase": "Other"}));
        let answer = serde_json::to_value(with_status(5, &own)).unwrap();
        let fake = Fake::answering(move |_| (200, answer.clone()));
        let statuses = Statuses::new(fake.client());
        let late = with_status(1, &Value::Null);
        for _ in 0..2 {
            statuses.write(&late, &own).await.unwrap();
            assert_eq!(statuses.last(&late), own);
        }
        assert_eq!(fake.requests().len(), 1);
        let shown = with_status(5, &own);
        statuses.started(&shown);
        for _ in 0..2 {
            statuses.write(&shown, &own).await.unwrap();
        }
        assert_eq!(fake.requests().len(), 1);
        let state = |known: &mut Known| {
            let is_kept = known.written.as_ref().is_some_and(|written| written.unseen.is_some());
            (is_kept, known.equal.is_some())
        };
        assert_eq!(statuses.with(&shown, state), Some((false, true)));
        // Another version, or another status, is compared.
        statuses.write(&with_status(6, &other), &own).await.unwrap();
        statuses.write(&shown, &other).await.unwrap();
        assert_eq!(fake.requests().len(), 3);
    }

    #[tokio::test]
    async fn a_reconcile_with_an_earlier_version_still_sees_the_written_status() {
        let own = json!({"phase": "Own"});
        let answer = serde_json::to_value(with_status(5, &own)).unwrap();
        let fake = Fake::answering(move |_| (200, answer.clone()));
        let statuses = Statuses::new(fake.client());
        let (early, shown) = (with_status(1, &Value::Null), with_status(5, &own));
        statuses.write(&early, &own).await.unwrap();
        // Another task reads the newer version meanwhile.
        assert_eq!(statuses.last(&shown)["phase"], "Own");
        assert_eq!(statuses.last(&early), own);
    }

    #[rstest]
    #[case::first_success(None, ("True", "Applied"), false)]
    #[case::first_failure(None, ("False", "Sealed"), true)]
    #[case::success_after_a_failure(Some(("False", "Sealed")), ("True", "Applied"), true)]
    #[case::failure_after_a_success(Some(("True", "Applied")), ("False", "Sealed"), true)]
    #[case::another_reason(Some(("False", "Sealed")), ("False", "Invalid"), true)]
    #[case::nothing(Some(("True", "Applied")), ("True", "Applied"), false)]
    fn a_change_of_ready_is_published_except_for_the_first_success(
        #[case] last: Option<(&str, &str)>,
        #[case] next: (&str, &str),
        #[case] expected: bool,
    ) {
        let status = |(status, reason): (&str, &str)| {
            let time = "2026-01-01T00:00:00Z";
            json!({"conditions": [{
                "type": "Ready", "status": status, "reason": reason, "message": "m", "lastTransitionTime": time,
            }]})
        };
        let last = last.map_or(Value::Null, status);
        assert_eq!(changed_ready(&last, &status(next)).is_some(), expected);
    }
}
