//! Writes statuses: only the fields that differ, and nothing if none does.

use std::collections::HashMap;

use crate::Locked;
use http::Request;
use http::header::CONTENT_TYPE;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Object, ObjectName};

/// Writer of statuses. Remembers the last written ones, so that a stale watch cache does not cause another write.
pub struct Statuses {
    client: Client,
    written: Locked<HashMap<(String, ObjectName), Written>>,
}

struct Written {
    uid: Option<String>,
    resource_version: u64,
    status: Value,
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
        Self { client, written: Locked::default() }
    }

    /// Returns the latest known status, or null if there is none.
    pub fn last<K: Resource<DynamicType = ()> + Serialize>(&self, object: &K) -> Value {
        let seen = object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0_u64);
        let written = self.written.lock();
        match written.get(&key::<K>(ObjectName::of(object))) {
            Some(last) if last.uid == object.uid() && last.resource_version > seen => last.status.clone(),
            _ => serde_json::to_value(object)
                .ok()
                .and_then(|mut value| value.get_mut("status").map(Value::take))
                .unwrap_or_default(),
        }
    }

    /// Writes a status if it differs from the last one.
    ///
    /// # Errors
    /// Any error of the API server, except that the object was deleted or recreated in the meantime.
    pub async fn write<K: Object>(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<Changes, kube::Error> {
        let last = self.last(object);
        let next = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        if last == next {
            return Ok(Changes { ready: None });
        }
        let patch = patch(object.uid().as_deref(), &last, &next);
        let answer: K = match self.client.request(request(object, &patch)?).await {
            Ok(answer) => answer,
            Err(kube::Error::Api(status)) if is_replaced(&status) => return Ok(Changes { ready: None }),
            Err(error) => return Err(error),
        };
        let changes = Changes { ready: changed_ready(&last, &next) };
        self.remember(&answer, next);
        Ok(changes)
    }

    /// Discards the remembered status of a deleted object.
    pub fn forget<K: Resource<DynamicType = ()>>(&self, name: &ObjectName) {
        self.written.lock().remove(&key::<K>(name.clone()));
    }

    fn remember<K: Resource<DynamicType = ()>>(&self, answer: &K, status: Value) {
        let version = answer.resource_version().and_then(|version| version.parse().ok());
        if let Some(resource_version) = version {
            let mut written = self.written.lock();
            let last = Written { uid: answer.uid(), resource_version, status };
            written.insert(key::<K>(ObjectName::of(answer)), last);
        }
    }
}

/// Returns a JSON patch (RFC 6902) of the fields that differ. It tests the uid first: the API server ignores a uid in a
/// merge patch of a status, so a merge patch would write into an object that was recreated under the same name.
fn patch(uid: Option<&str>, last: &Value, next: &Value) -> Value {
    let test = json!({"op": "test", "path": "/metadata/uid", "value": uid});
    let (Value::Object(last), Value::Object(next)) = (last, next) else {
        return json!([test, {"op": "add", "path": "/status", "value": next}]);
    };
    let set = next.iter().filter(|(field, value)| last.get(*field) != Some(value));
    let set = set.map(|(field, value)| json!({"op": "add", "path": pointer(field), "value": value}));
    // `remove` fails if the field does not exist: `add` makes sure that it does.
    let gone = last.keys().filter(|field| !next.contains_key(*field)).flat_map(|field| {
        let path = pointer(field);
        [json!({"op": "add", "path": path, "value": null}), json!({"op": "remove", "path": path})]
    });
    Value::Array(std::iter::once(test).chain(set).chain(gone).collect())
}

fn pointer(field: &str) -> String {
    format!("/status/{}", field.replace('~', "~0").replace('/', "~1"))
}

fn request<K: Object>(object: &K, patch: &Value) -> Result<Request<Vec<u8>>, kube::Error> {
    let path = K::url_path(&(), object.namespace().as_deref());
    let body = serde_json::to_vec(patch).map_err(kube::Error::SerdeError)?;
    Request::patch(format!("{path}/{}/status", object.name_any()))
        .header(CONTENT_TYPE, "application/json-patch+json")
        .body(body)
        .map_err(kube::Error::HttpError)
}

/// Returns whether the object was deleted or recreated. The API server answers a failed test of a patch with status 422
/// and no causes; an invalid value has causes.
fn is_replaced(status: &kube::core::Status) -> bool {
    let has_causes = status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
    status.is_not_found() || status.is_conflict() || (status.code == 422 && !has_causes)
}

fn key<K: Resource<DynamicType = ()>>(name: ObjectName) -> (String, ObjectName) {
    (K::kind(&()).into_owned(), name)
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
    use k8s_openapi::api::core::v1::ConfigMap;

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

    #[test]
    fn a_status_patch_contains_only_fields_that_differ() {
        let last = json!({"a": 1, "b": {"c": 2}, "e/~": [1]});
        let next = json!({"a": 1, "b": {"c": 4}, "d": true});
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "add", "path": "/status/b", "value": {"c": 4}},
            {"op": "add", "path": "/status/d", "value": true},
            {"op": "add", "path": "/status/e~1~0", "value": null},
            {"op": "remove", "path": "/status/e~1~0"},
        ]);
        assert_eq!(patch(Some("u"), &last, &next), expected);
        let whole = patch(Some("u"), &Value::Null, &next);
        assert_eq!(whole[1], json!({"op": "add", "path": "/status", "value": next}));
    }
}
