//! Writes statuses: only the fields that differ, and nothing if none does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use crate::patch::{patch, status_request};
use crate::translation::Translation;
use crate::write_limit::{Write, WriteLimit, digest};
use crate::{AnyObject, Locked, ObjectName};

/// Writer of statuses. Remembers the last written ones, so that a stale watch cache does not cause another write, and so
/// that a status of another client is recognized.
pub struct Statuses {
    client: Client,
    written: Locked<HashMap<(String, ObjectName), Written>>,
    limit: WriteLimit,
    translation: Option<Translation>,
}

struct Written {
    uid: Option<String>,
    resource_version: u64,
    /// JSON text: a parsed status takes several times its memory, for each object.
    status: String,
    /// Digests of the status as it was written, and as the API server stored it.
    digests: [u64; 2],
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
    /// The `Ready` condition, if its status or reason changed.
    pub(crate) ready: Option<Condition>,
}

impl Statuses {
    /// Returns a writer that uses this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, written: Locked::default(), limit: WriteLimit::default(), translation: None }
    }

    /// Translates the statuses of the objects of another API.
    #[must_use]
    pub fn translated(self, translation: Translation) -> Self {
        Self { translation: Some(translation), ..self }
    }

    /// Returns the latest known status, or null if there is none.
    pub fn last<K: Resource<DynamicType = ()> + Serialize>(&self, object: &K) -> Value {
        match self.unseen(object) {
            Some(text) => serde_json::from_str(&text).unwrap_or_default(),
            None => status_of(object),
        }
    }

    /// Returns the last written status as JSON, if the object is older than it: the watch is late.
    pub fn unseen<K: Resource<DynamicType = ()>>(&self, object: &K) -> Option<String> {
        let seen = object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0_u64);
        let written = self.written.lock();
        let last = written.get(&key::<K>(ObjectName::of(object)))?;
        (last.uid == object.uid() && last.resource_version > seen).then(|| last.status.clone())
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
        let last = self.last(object);
        let next = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        if last == next {
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

    /// Counts a write over a status of another client. Writes over the own status are never limited.
    fn admit<K: AnyObject>(&self, step: Step, object: &K, last: &Value) -> Result<(), StatusError> {
        let name = ObjectName::of(object);
        let is_foreign = self.written.lock().get(&key::<K>(name.clone())).is_some_and(|written| {
            written.uid == object.uid() && !written.digests.contains(&digest(&last.to_string()))
        });
        if is_foreign {
            let (resource, before) = (digest(&(K::kind(&()), step)), digest(&timeless(last).to_string()));
            let (write, now) = (Write { resource, desired: 0, before }, Instant::now());
            self.limit.admit(&name, write, now).map_err(StatusError::Contested)?;
            self.limit.record(&name, write, now);
        }
        Ok(())
    }

    /// Discards the remembered status of a deleted object.
    pub fn forget<K: Resource<DynamicType = ()>>(&self, name: &ObjectName) {
        self.written.lock().remove(&key::<K>(name.clone()));
    }

    fn remember<K: Resource<DynamicType = ()> + Serialize>(&self, answer: &K, status: &Value) {
        let version = answer.resource_version().and_then(|version| version.parse().ok());
        if let Some(resource_version) = version {
            let mut written = self.written.lock();
            let (status, stored) = (status.to_string(), status_of(answer).to_string());
            let digests = [digest(&status), digest(&stored)];
            let last = Written { uid: answer.uid(), resource_version, status, digests };
            written.insert(key::<K>(ObjectName::of(answer)), last);
        }
    }
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

/// Returns whether the object was deleted or recreated. The API server answers a failed test of a patch with status 422
/// and no causes; an invalid value has causes.
fn is_replaced(status: &kube::core::Status) -> bool {
    let has_causes = status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
    status.is_not_found() || status.is_conflict() || (status.code == 422 && !has_causes)
}

fn key<K: Resource<DynamicType = ()>>(name: ObjectName) -> (String, ObjectName) {
    // Two groups can have kinds of one name.
    (format!("{}.{}", K::kind(&()), K::group(&())), name)
}

fn changed_ready(last: &Value, next: &Value) -> Option<Condition> {
    let ready = |status: &Value| -> Option<Condition> {
        let list: Vec<Condition> = serde_json::from_value(status.get("conditions")?.clone()).ok()?;
        list.into_iter().find(|condition| condition.type_ == "Ready")
    };
    let (last, next) = (ready(last), ready(next)?);
    let same = last.is_some_and(|last| last.status == next.status && last.reason == next.reason);
    (!same).then_some(next)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Pod};
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
}
