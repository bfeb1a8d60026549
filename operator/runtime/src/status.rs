//! Writes statuses: only the fields that differ, and nothing if none does.

use std::collections::HashMap;

use crate::Locked;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Map, Value, json};

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
        let Some(patch) = merge_patch(&last, &next) else {
            return Ok(Changes { ready: None });
        };
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let patch = json!({"metadata": {"uid": object.uid()}, "status": patch});
        let answer = match api
            .patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Ok(answer) => answer,
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                return Ok(Changes { ready: None });
            }
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

/// Returns the JSON merge patch (RFC 7386) from `last` to `next`, or `None` if they are equal.
#[must_use]
pub fn merge_patch(last: &Value, next: &Value) -> Option<Value> {
    match (last, next) {
        (Value::Object(last), Value::Object(next)) => {
            let mut patch = Map::new();
            for (key, value) in next {
                match last.get(key) {
                    Some(old) => {
                        drop(merge_patch(old, value).map(|change| patch.insert(key.clone(), change)))
                    }
                    None => drop(patch.insert(key.clone(), value.clone())),
                }
            }
            for key in last.keys().filter(|key| !next.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        _ => (last != next).then(|| next.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_contains_only_differences() {
        let last = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
        let next = json!({"a": 1, "b": {"c": 4}, "e": [1, 2]});
        assert_eq!(merge_patch(&last, &next), Some(json!({"b": {"c": 4, "d": null}, "e": [1, 2]})));
        assert_eq!(merge_patch(&last, &last), None);
        assert_eq!(merge_patch(&Value::Null, &json!({"a": 1})), Some(json!({"a": 1})));
    }
}
