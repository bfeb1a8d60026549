//! What Steamer has made for clusters, as watches see it, and how it is kept as it should be.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use steamer_core::access::managed::ca_key;
use steamer_core::tasks::{Tasks, Watched};
use steamer_core::{Error, Stores};
use steamer_runtime::{Edges, Key, Object, ObjectName};

use crate::cluster::CLUSTER_LABEL;

/// Owns the fields that Steamer sets.
pub(crate) const MANAGER: &str = "steamer";

/// A type of objects that Steamer creates for clusters.
pub(crate) trait Child: Object {}

macro_rules! children {
    ($($kind:ident with $edges:ident),+ $(,)?) => {
        $(impl Child for $kind {})+

        /// Adds the watches of the objects that Steamer creates for clusters: only those with the cluster label.
        pub(crate) fn watch(tasks: &mut Tasks) {
            let stores = tasks.context().cluster_objects.clone();
            $(tasks.watch(Watched::new(stores.of::<$kind>(), $edges).labelled(CLUSTER_LABEL));)+
        }
    };
}
children! {
    Pod with edges,
    StatefulSet with edges,
    Service with edges,
    ConfigMap with config_map_edges,
    Secret with edges,
    ServiceAccount with edges,
    PodDisruptionBudget with edges,
    NetworkPolicy with edges,
}

/// The key of all objects of a cluster: a change requeues the cluster.
pub(crate) fn children_of(cluster: ObjectName) -> Key {
    Key::new("ClusterChildren", cluster)
}

/// The cluster that an object was made for.
fn cluster_of<K: Resource>(object: &K) -> Option<ObjectName> {
    let label = object.labels().get(CLUSTER_LABEL)?;
    Some(ObjectName::new(object.namespace().unwrap_or_default(), label))
}

/// Whether an object was made for a cluster.
pub(crate) fn is_of<K: Resource>(object: &K, cluster: &ObjectName) -> bool {
    cluster_of(object).as_ref() == Some(cluster)
}

/// Wakes the cluster.
pub(crate) fn edges<K: Resource>(object: &K) -> Edges {
    Edges { by_any_change: cluster_of(object).map(children_of).into_iter().collect(), by_spec: Vec::new() }
}

/// And those who have the CA from it.
pub(crate) fn config_map_edges(object: &ConfigMap) -> Edges {
    let mut edges = edges(object);
    edges.by_any_change.extend(cluster_of(object).map(ca_key));
    edges
}

/// Writes of one cluster's objects.
pub(crate) struct ChildApi<'a> {
    pub(crate) client: Client,
    pub(crate) stores: &'a Stores,
    pub(crate) cluster: ObjectName,
}

impl ChildApi<'_> {
    /// All objects of a kind that were made for the cluster.
    pub(crate) fn all<K: Child>(&self) -> Vec<Arc<K>> {
        let of = |object: &K| is_of(object, &self.cluster);
        let mut all = self.stores.of::<K>().filter(of);
        all.sort_by_key(|object| object.name_any());
        all
    }

    /// The object of a name, if it was made for the cluster.
    pub(crate) fn get<K: Child>(&self, name: &str) -> Option<Arc<K>> {
        let name = ObjectName::new(&self.cluster.namespace, name);
        self.stores.of::<K>().get(&name).filter(|object| is_of(&**object, &self.cluster))
    }

    /// The same, asked of the API server while no watch has seen it: for what may not be made twice.
    pub(crate) async fn read<K: Child>(&self, name: &str) -> Result<Option<Arc<K>>, Error> {
        if let Some(seen) = self.get::<K>(name) {
            return Ok(Some(seen));
        }
        let found = self.api::<K>().get_opt(name).await?;
        Ok(found.filter(|object| is_of(object, &self.cluster)).map(Arc::new))
    }

    pub(crate) fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.cluster.namespace)
    }

    /// Makes an object what it should be; whether anything had to be written.
    pub(crate) async fn keep<K: Child>(&self, desired: &Value) -> Result<bool, Error> {
        let name = desired["metadata"]["name"].as_str().unwrap_or_default();
        let live = self.get::<K>(name);
        match &live {
            Some(live) => {
                let live = serde_json::to_value(&**live).unwrap_or_default();
                // Type and version are not part of what is read back of a list.
                let mut wanted = desired.clone();
                if let Some(wanted) = wanted.as_object_mut() {
                    wanted.remove("apiVersion");
                    wanted.remove("kind");
                }
                if holds(&live, &wanted) {
                    return Ok(false);
                }
            }
            None => self.refuse_foreign::<K>(name).await?,
        }
        let parameters = PatchParams::apply(MANAGER).force();
        self.api::<K>().patch(name, &parameters, &Patch::Apply(desired)).await?;
        Ok(true)
    }

    /// An object of the name that was not made for the cluster is somebody's.
    async fn refuse_foreign<K: Child>(&self, name: &str) -> Result<(), Error> {
        match self.api::<K>().get_opt(name).await? {
            Some(found) if !is_of(&found, &self.cluster) => Err(Error::Conflict(format!(
                "{} {name} is there already and was not made for this cluster: delete it, or name the cluster otherwise",
                K::kind(&())
            ))),
            _ => Ok(()),
        }
    }

    /// Deletes an object that was made for the cluster. Nothing happens where there is none.
    pub(crate) async fn remove<K: Child>(&self, name: &str) -> Result<(), Error> {
        let Some(live) = self.get::<K>(name) else { return Ok(()) };
        delete(&self.api::<K>(), name, &only(&*live)).await
    }

    /// Ends a pod: in its own time, or at once.
    pub(crate) async fn end_pod(&self, name: &str, uid: &str, at_once: Ending) -> Result<(), Error> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            grace_period_seconds: matches!(at_once, Ending::AtOnce).then_some(0),
            ..DeleteParams::default()
        };
        delete(&self.api::<Pod>(), name, &parameters).await
    }
}

/// Deletes an object as it was seen, and never another that has its name by now.
pub(crate) fn only<K: Resource>(live: &K) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: live.meta().uid.clone(), resource_version: None }),
        ..DeleteParams::background()
    }
}

/// Deletes an object; one that is gone, or another by now, is what was wanted.
pub(crate) async fn delete<K>(api: &Api<K>, name: &str, parameters: &DeleteParams) -> Result<(), Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    match api.delete(name, parameters).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// How a pod ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By SIGTERM, in its own time.
    Graceful,
    /// Without waiting for its machine to say so.
    AtOnce,
}

/// Whether everything that is wanted is there; what the API server has added does not matter.
pub(crate) fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| live.get(key).map_or_else(|| nothing(wanted), |live| holds(live, wanted))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// What is left out when it is read back.
fn nothing(wanted: &Value) -> bool {
    match wanted {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
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
    fn what_someone_added_does_not_matter_and_what_someone_took_does(
        #[case] live: Value,
        #[case] wanted: Value,
        #[case] expected: bool,
    ) {
        assert_eq!(holds(&live, &wanted), expected);
    }
}
