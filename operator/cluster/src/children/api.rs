//! Reads and writes the objects that Steamer creates for one cluster.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use steamer_core::{Error, Stores};
use steamer_runtime::write_limit::{Write, WriteLimit};
use steamer_runtime::{Object, ObjectName};

use crate::cluster::CLUSTER_LABEL;
use crate::difference::repair;

/// Field manager of server-side apply.
const MANAGER: &str = "steamer";

/// A type of objects that Steamer creates for clusters.
pub(crate) trait Child: Object {}

/// Cluster that an object belongs to.
pub(super) fn cluster_of<K: Resource>(object: &K) -> Option<ObjectName> {
    let label = object.labels().get(CLUSTER_LABEL)?;
    Some(ObjectName::new(object.namespace().unwrap_or_default(), label))
}

/// Returns true if an object belongs to the cluster.
pub(crate) fn is_of<K: Resource>(object: &K, cluster: &ObjectName) -> bool {
    cluster_of(object).as_ref() == Some(cluster)
}

/// Returns true if a pod is one of a StatefulSet of this name.
fn is_node(pod: &Pod, set: &str) -> bool {
    let name = pod.name_any();
    let ordinal = name.strip_prefix(set).and_then(|rest| rest.strip_prefix('-'));
    let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    ordinal.is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
        && controller.is_none_or(|owner| owner.kind == "StatefulSet" && owner.name == set)
}

fn is_of_job(pod: &Pod) -> bool {
    pod.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.kind == "Job")
}

/// Reads and writes the objects of one cluster.
pub(crate) struct ChildApi<'a> {
    pub(crate) client: Client,
    pub(crate) stores: &'a Stores,
    pub(crate) cluster: ObjectName,
    pub(crate) limit: &'a WriteLimit,
}

impl ChildApi<'_> {
    /// All objects of a kind that belong to the cluster, sorted by name.
    pub(crate) fn all<K: Child>(&self) -> Vec<Arc<K>> {
        self.stores.of::<K>().group(cluster_of::<K>, &self.cluster)
    }

    /// The pods of the nodes: others can have the label of the cluster. A pod that a deleted StatefulSet has left is a
    /// node.
    pub(crate) fn nodes(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.all::<Pod>();
        pods.retain(|pod| is_node(pod, &self.cluster.name));
        pods
    }

    /// The pods that can use the database: those of Jobs cannot.
    pub(crate) fn servers(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.all::<Pod>();
        pods.retain(|pod| !is_of_job(pod));
        pods
    }

    /// The object of a name, if it belongs to the cluster.
    pub(crate) fn get<K: Child>(&self, name: &str) -> Option<Arc<K>> {
        let name = ObjectName::new(&self.cluster.namespace, name);
        self.stores.of::<K>().get(&name).filter(|object| is_of(&**object, &self.cluster))
    }

    /// The same, but read from the API server if the watch has not seen it: for objects that must not be created twice.
    pub(crate) async fn read<K: Child>(&self, name: &str) -> Result<Option<Arc<K>>, Error> {
        if let Some(seen) = self.get::<K>(name) {
            return Ok(Some(seen));
        }
        let found = self.api::<K>().get_opt(name).await?;
        Ok(found.filter(|object| is_of(object, &self.cluster)).map(Arc::new))
    }

    pub(crate) fn api<K: Object>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.cluster.namespace)
    }

    /// Applies an object if its live state differs from the desired one. Returns true if this changed it.
    pub(crate) async fn keep<K: Child>(&self, desired: &K) -> Result<bool, Error> {
        let (name, remedy) = (desired.name_any(), "rename the cluster");
        if let Some(live) = self.get::<K>(&name) {
            return self.apply(Some(&*live), desired, remedy).await;
        }
        // The watch does not see objects without the cluster label.
        let live = self.api::<K>().get_opt(&name).await?;
        self.apply(live.as_ref(), desired, remedy).await
    }

    /// Applies an object if it differs from the given live one. Returns true if this changed it. An object that does
    /// not belong to the cluster is a conflict: `remedy` is what to do besides deleting it.
    pub(crate) async fn apply<K: Object>(
        &self,
        live: Option<&K>,
        desired: &K,
        remedy: &str,
    ) -> Result<bool, Error> {
        if let Some(foreign) = live.filter(|live| !is_of(*live, &self.cluster)) {
            return Err(conflict(foreign, remedy));
        }
        let Some(write) = repair(live, desired)? else { return Ok(false) };
        let (name, parameters) = (desired.name_any(), PatchParams::apply(MANAGER).force());
        let resource = format!("{} {name}", K::kind(&()));
        self.limited(&resource, write, async {
            let written = self.api::<K>().patch(&name, &parameters, &Patch::Apply(desired)).await?;
            Ok(is_changed(live, &written))
        })
        .await
    }

    /// Makes a write, except if another client undid it several times. `action` returns true if it changed something:
    /// only such a write counts.
    pub(crate) async fn limited(
        &self,
        resource: &str,
        write: Write,
        action: impl Future<Output = Result<bool, Error>> + Send,
    ) -> Result<bool, Error> {
        let admitted = self.limit.admit(&self.cluster, write, Instant::now());
        admitted.map_err(|pause| Error::Repeated(undone(resource), pause))?;
        let is_changed = action.await?;
        if is_changed {
            self.limit.record(&self.cluster, write, Instant::now());
        }
        Ok(is_changed)
    }

    /// Deletes an object that belongs to the cluster, if it exists.
    pub(crate) async fn remove<K: Child>(&self, name: &str) -> Result<(), Error> {
        let Some(live) = self.get::<K>(name) else { return Ok(()) };
        delete(&self.api::<K>(), name, &only(&*live)).await
    }

    /// Deletes a pod, gracefully or at once.
    pub(crate) async fn end_pod(&self, name: &str, uid: &str, ending: Ending) -> Result<(), Error> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            grace_period_seconds: ending.grace_period(),
            ..DeleteParams::default()
        };
        delete(&self.api::<Pod>(), name, &parameters).await
    }
}

/// Returns true if a write changed the live object. A write that a mutating webhook reverts in the same request does
/// not.
pub(crate) fn is_changed<K: Resource>(live: Option<&K>, written: &K) -> bool {
    live.is_none_or(|live| live.resource_version() != written.resource_version())
}

/// Parameters that delete this object, and not another one that was created under its name since.
pub(crate) fn only<K: Resource>(live: &K) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: live.meta().uid.clone(), resource_version: None }),
        ..DeleteParams::background()
    }
}

/// Deletes an object. Succeeds if it does not exist, or if another object has its name.
pub(crate) async fn delete<K>(api: &Api<K>, name: &str, parameters: &DeleteParams) -> Result<(), Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    match api.delete(name, parameters).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Termination of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With SIGTERM and the grace period of the pod.
    Graceful,
    /// With SIGTERM and a grace period in seconds.
    Within(u32),
    /// With SIGTERM and one second. The kubelet confirms the end.
    Prompt,
    /// Without confirmation by the kubelet.
    AtOnce,
}

impl Ending {
    /// The same with another grace period for a process that ends gracefully, in seconds. None: that of the pod.
    pub(crate) fn within(self, grace: Option<u32>) -> Self {
        match (self, grace) {
            (Self::Graceful, Some(seconds)) => Self::Within(seconds),
            (ending, _) => ending,
        }
    }

    /// Grace period in seconds. None: that of the pod.
    fn grace_period(self) -> Option<u32> {
        match self {
            Self::Graceful => None,
            Self::Within(seconds) => Some(seconds),
            Self::Prompt => Some(1),
            Self::AtOnce => Some(0),
        }
    }
}

fn undone(resource: &str) -> String {
    format!(
        "another client undoes each change of {resource}: find it in metadata.managedFields or among the mutating webhooks, \
         and stop it"
    )
}

fn conflict<K: Object>(foreign: &K, remedy: &str) -> Error {
    Error::Conflict(format!(
        "{} {} already exists and does not belong to this cluster: delete it or {remedy}",
        K::kind(&()),
        foreign.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::tests::kubernetes::Fake;

    #[rstest]
    #[case::mutating_webhook("7", true)]
    #[case::client_that_undoes_each_write("8", false)]
    #[tokio::test]
    async fn only_a_write_that_changes_the_object_counts(#[case] written: &str, #[case] expected: bool) {
        let (stores, limit) = (Stores::default(), WriteLimit::default());
        let metadata = json!({"name": "x", "namespace": "ns", "resourceVersion": written});
        let fake = Fake::answering(move |_| (200, json!({"metadata": metadata})));
        let cluster = ObjectName::new("ns", "main");
        let child_api = ChildApi { client: fake.client(), stores: &stores, cluster, limit: &limit };
        let mut live = config_map("a");
        live.metadata.resource_version = Some("7".to_owned());
        let mut result = Ok(false);
        for _ in 0..50 {
            result = result.and(child_api.apply(Some(&live), &config_map("b"), "").await);
        }
        assert_eq!(result.is_ok(), expected);
    }

    fn config_map(text: &str) -> ConfigMap {
        let json = json!({
            "metadata": {"name": "x", "namespace": "ns", "labels": {CLUSTER_LABEL: "main"}}, "data": {"key": text},
        });
        serde_json::from_value(json).unwrap()
    }

    #[rstest]
    #[case::of_the_pod(Ending::Graceful, None, None)]
    #[case::longer(Ending::Graceful, Some(220), Some(220))]
    #[case::hanging_process(Ending::Prompt, Some(220), Some(1))]
    #[case::lost_machine(Ending::AtOnce, Some(220), Some(0))]
    fn only_a_process_that_ends_gracefully_gets_another_grace_period(
        #[case] ending: Ending,
        #[case] grace: Option<u32>,
        #[case] expected: Option<u32>,
    ) {
        assert_eq!(ending.within(grace).grace_period(), expected);
    }

    #[test]
    fn an_object_of_another_owner_is_reported_with_the_ways_out() {
        insta::assert_snapshot!(conflict(&config_map("a"), "rename the cluster"));
    }

    #[test]
    fn an_object_belongs_to_the_cluster_of_its_label_and_namespace() {
        assert!(is_of(&config_map("a"), &ObjectName::new("ns", "main")));
        assert!(!is_of(&config_map("a"), &ObjectName::new("ns", "other")));
        assert!(!is_of(&config_map("a"), &ObjectName::new("other", "main")));
        assert!(!is_of(&ConfigMap::default(), &ObjectName::new("ns", "main")));
    }

    #[rstest]
    #[case::node("main-0", Some("StatefulSet"), true)]
    #[case::orphan_of_a_deleted_set("main-12", None, true)]
    #[case::job("main-0", Some("Job"), false)]
    #[case::debug_copy("main-0-debug", None, false)]
    #[case::another("other", Some("StatefulSet"), false)]
    fn a_pod_is_a_node_by_its_name_and_its_controller(
        #[case] name: &str,
        #[case] controller: Option<&str>,
        #[case] expected: bool,
    ) {
        let owner = |kind| json!([{"apiVersion": "v1", "kind": kind, "name": "main", "uid": "u", "controller": true}]);
        let metadata = json!({"name": name, "ownerReferences": controller.map(owner)});
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        assert_eq!(is_node(&pod, "main"), expected);
    }
}
