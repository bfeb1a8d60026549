//! An object of a watch that may be unreadable.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::panic::caught;

/// An object, or the reason why it cannot be parsed. One unreadable object must not end the watch of all others, and a
/// panic of its parser must not end the process.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<K, Unreadable>);

/// An object that cannot be parsed.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Name, namespace and resource version.
    pub metadata: ObjectMeta,
    /// Cause.
    pub cause: Cause,
}

/// Cause of an unreadable object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The parser returned an error.
    Invalid(String),
    /// The parser panicked.
    Panicked,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let cause = match caught(|| K::deserialize(&value)) {
            Ok(Ok(object)) => return Ok(Self(Ok(object))),
            Ok(Err(error)) => Cause::Invalid(error.to_string()),
            Err(_) => Cause::Panicked,
        };
        Ok(Self(Err(Unreadable { metadata: identity(&value), cause })))
    }
}

/// Returns the metadata that a watch needs. Other metadata can be what is unreadable.
fn identity(object: &Value) -> ObjectMeta {
    let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use kube::core::ObjectList;
    use serde_json::json;

    use super::*;

    /// An object with a parser that panics.
    #[derive(Clone, Debug)]
    struct Poison;

    impl<'de> Deserialize<'de> for Poison {
        #[allow(clippy::panic)]
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("poison")
        }
    }

    #[test]
    fn a_panic_of_a_parser_leaves_the_name_of_the_object() {
        let object = json!({"metadata": {"name": "a", "namespace": "b", "creationTimestamp": 7}});
        let Guarded::<Poison>(parsed) = serde_json::from_value(object).unwrap();
        let Unreadable { metadata, cause } = parsed.unwrap_err();
        assert_eq!((metadata.name.as_deref(), metadata.namespace.as_deref()), (Some("a"), Some("b")));
        assert_eq!(cause, Cause::Panicked);
    }

    #[test]
    fn one_unreadable_object_of_a_list_leaves_all_others() {
        let list = json!({"metadata": {}, "items": [
            {"metadata": {"name": "good"}, "data": {"key": "value"}},
            {"metadata": {"name": "bad"}, "data": 7},
        ]});
        let list: ObjectList<Guarded<ConfigMap>> = serde_json::from_value(list).unwrap();
        let names: Vec<(String, bool)> =
            list.items.iter().map(|object| (object.name_any(), object.0.is_ok())).collect();
        assert_eq!(names, [("good".to_owned(), true), ("bad".to_owned(), false)]);
    }
}
