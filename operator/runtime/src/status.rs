//! Writing a status: only what differs, and not at all when nothing does.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::Name;

/// The statuses written last: a cache that lags behind a write does not make it be written again.
pub struct Statuses {
    client: Client,
    written: Mutex<HashMap<(String, Name), Written>>,
}

struct Written {
    uid: Option<String>,
    resource_version: u64,
    status: Value,
}

/// What a status write changed.
pub struct Changes {
    /// The `Ready` condition, if its status or reason is another now.
    pub(crate) ready: Option<Condition>,
}

impl Statuses {
    /// Writes with this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, written: Mutex::default() }
    }

    /// The status in force as far as is known; null when there is none.
    pub fn last<K: Resource<DynamicType = ()> + Serialize>(&self, object: &K) -> Value {
        let seen = object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0_u64);
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get(&key::<K>(Name::of(object))) {
            Some(last) if last.uid == object.uid() && last.resource_version > seen => last.status.clone(),
            _ => serde_json::to_value(object)
                .ok()
                .and_then(|mut value| value.get_mut("status").map(Value::take))
                .unwrap_or_default(),
        }
    }

    /// Writes a status if it differs from the last.
    ///
    /// # Errors
    /// What the API server answers; an object that is gone meanwhile is no error.
    pub async fn write<K>(&self, object: &K, status: &impl Serialize) -> Result<Changes, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
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

    /// Forgets an object that is gone.
    pub fn forget<K: Resource<DynamicType = ()>>(&self, name: &Name) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&key::<K>(name.clone()));
    }

    fn remember<K: Resource<DynamicType = ()>>(&self, answer: &K, status: Value) {
        let version = answer.resource_version().and_then(|version| version.parse().ok());
        if let Some(resource_version) = version {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let last = Written { uid: answer.uid(), resource_version, status };
            written.insert(key::<K>(Name::of(answer)), last);
        }
    }
}

fn key<K: Resource<DynamicType = ()>>(name: Name) -> (String, Name) {
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

/// The JSON merge patch (RFC 7386) that makes `next` of `last`; none when they are the same.
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
    fn a_patch_says_only_what_differs() {
        let last = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
        let next = json!({"a": 1, "b": {"c": 4}, "e": [1, 2]});
        assert_eq!(merge_patch(&last, &next), Some(json!({"b": {"c": 4, "d": null}, "e": [1, 2]})));
        assert_eq!(merge_patch(&last, &last), None);
        assert_eq!(merge_patch(&Value::Null, &json!({"a": 1})), Some(json!({"a": 1})));
    }
}
