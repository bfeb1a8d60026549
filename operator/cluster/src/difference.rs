//! Difference between the desired and the live state of a Kubernetes object.

use std::time::Duration;

use serde_json::{Value, to_value};
use steamer_core::Error;
use steamer_runtime::Object;
use steamer_runtime::write_limit::{Write, digest};

/// The write that brings the live state to the desired one. None if the live state contains the desired one.
pub(crate) fn repair<K: Object>(live: Option<&K>, desired: &K) -> Result<Option<Write>, Error> {
    let resource = digest(&(K::kind(&()), &desired.meta().name));
    let live = live.map(to_value).transpose().map_err(Error::internal)?;
    let desired = to_value(desired).map_err(Error::internal)?;
    if live.as_ref().is_some_and(|live| holds(live, &desired)) {
        return Ok(None);
    }
    let before = live.as_ref().map(|live| shared(live, &desired).to_string());
    let desired = digest(&lasting(desired).to_string());
    Ok(Some(Write { resource, desired, before: digest(&before), interval: Duration::ZERO }))
}

/// The desired state without the data of a Secret: a certificate or password that replaces a lost one is another one each
/// time, and must not end the limit.
fn lasting(mut desired: Value) -> Value {
    if let Some(secret) =
        desired.as_object_mut().filter(|object| object.get("kind") == Some(&"Secret".into()))
    {
        secret.retain(|field, _| !["data", "stringData"].contains(&field.as_str()));
    }
    desired
}

/// Returns true if the live value contains the desired one. Fields that the API server added are ignored.
fn holds(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, desired)| {
            live.get(key).map_or_else(|| is_omitted(desired), |live| holds(live, desired))
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live.iter().zip(desired).all(|(live, desired)| holds(live, desired))
        }
        (live, desired) => live == desired,
    }
}

/// Returns true for a value that the API server leaves out of its response.
fn is_omitted(desired: &Value) -> bool {
    match desired {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The part of the live value that the desired one determines: without versions, times and the fields of other clients.
fn shared(live: &Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            let both = desired.iter().filter_map(|(key, desired)| Some((key, live.get(key)?, desired)));
            both.map(|(key, live, desired)| (key.clone(), shared(live, desired))).collect()
        }
        (Value::Array(live), Value::Array(desired)) if live.len() == desired.len() => {
            live.iter().zip(desired).map(|(live, desired)| shared(live, desired)).collect()
        }
        (live, _) => live.clone(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"a": 1, "b": {"c": 2, "d": 3}}), json!({"b": {"c": 2}}), true)]
    #[case(json!({"a": [{"x": 1, "default": true}]}), json!({"a": [{"x": 1}]}), true)]
    #[case(json!({"a": [{"x": 1}, {"x": 2}]}), json!({"a": [{"x": 1}]}), false)]
    #[case(json!({"a": 1}), json!({"a": 2}), false)]
    #[case(json!({"a": 1}), json!({"a": 1, "b": {}, "c": false}), true)]
    #[case(json!({"a": 1}), json!({"a": 1, "b": true}), false)]
    fn added_fields_are_ignored_and_removed_ones_are_not(
        #[case] live: Value,
        #[case] desired: Value,
        #[case] expected: bool,
    ) {
        assert_eq!(holds(&live, &desired), expected);
        // Only a part that differs makes a write.
        assert_eq!(holds(&shared(&live, &desired), &desired), expected);
    }

    fn config_map(text: &str, version: &str) -> ConfigMap {
        let metadata = json!({"name": "x", "namespace": "ns", "resourceVersion": version, "annotations": {"at": version}});
        serde_json::from_value(json!({"metadata": metadata, "data": {"key": text}})).unwrap()
    }

    fn desired(text: &str) -> ConfigMap {
        let metadata = json!({"name": "x", "namespace": "ns"});
        serde_json::from_value(json!({"metadata": metadata, "data": {"key": text}})).unwrap()
    }

    #[test]
    fn an_object_is_written_if_it_is_missing_or_differs() {
        assert!(repair(None, &desired("a")).unwrap().is_some());
        assert!(repair(Some(&config_map("a", "7")), &desired("a")).unwrap().is_none());
        assert!(repair(Some(&config_map("a", "7")), &desired("b")).unwrap().is_some());
    }

    #[test]
    fn new_random_data_of_a_secret_is_no_other_desired_state() {
        let secret = |data: &str| {
            let metadata = json!({"name": "x", "namespace": "ns"});
            serde_json::from_value::<Secret>(json!({"metadata": metadata, "data": {"tls.key": data}}))
                .unwrap()
        };
        let write = |data: &str| repair(None, &secret(data)).unwrap().unwrap();
        assert_eq!(write("YQ=="), write("Yg=="));
    }

    #[test]
    fn the_same_change_is_the_same_write_at_every_version() {
        let write = |live: &ConfigMap, wanted: &str| repair(Some(live), &desired(wanted)).unwrap().unwrap();
        let first = write(&config_map("stolen", "7"), "a");
        assert_eq!(first, write(&config_map("stolen", "8"), "a"));
        let other_change = write(&config_map("other", "8"), "a");
        assert_eq!((first.resource, first.desired), (other_change.resource, other_change.desired));
        assert_ne!(first.before, other_change.before);
        assert_ne!(first.desired, write(&config_map("stolen", "8"), "b").desired);
    }
}
