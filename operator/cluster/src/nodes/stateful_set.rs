//! The StatefulSet of the nodes.
//!
//! Kubernetes permits no change of its claims: with other claims, it is recreated around its pods. Meanwhile a ConfigMap
//! contains the one before, which is also what a reconcile finds if Steamer stopped in between. Otherwise the notes in its
//! annotations would be lost, and for example a step-down would be carried out again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PropagationPolicy};
use serde_json::json;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::children::{ChildApi, delete, only};
use crate::cluster::Cluster;
use crate::effects::Effects;
use crate::objects::audit_volume::differ;
use crate::objects::config_map::with_entry;

/// Start of the annotations of Steamer.
const OWN: &str = "steamer.dev/";
/// Suffix of the name of the ConfigMap with the StatefulSet that is being recreated.
const SUFFIX: &str = "-recreation";
/// Entry of the ConfigMap.
const ENTRY: &str = "statefulset.json";
/// Interval between two looks at a StatefulSet that is being deleted.
const INTERVAL: Duration = Duration::from_millis(100);
/// Number of looks before the next reconcile continues.
const LOOKS: usize = 50;

/// The StatefulSet of a cluster, or the one before while it is being recreated. `uid` is that of the cluster.
pub(crate) fn live(child_api: &ChildApi<'_>, uid: &str) -> Option<Arc<StatefulSet>> {
    child_api.get(&child_api.cluster.name).or_else(|| before(child_api, uid).map(Arc::new))
}

/// The StatefulSet that is being recreated.
fn before(child_api: &ChildApi<'_>, uid: &str) -> Option<StatefulSet> {
    let copy = child_api.get::<ConfigMap>(&copy_name(&child_api.cluster))?;
    kept_in(&copy, uid)
}

/// The same, as the API server knows it: the watch can still contain a copy whose notes were deleted since.
async fn read_before(child_api: &ChildApi<'_>, uid: &str) -> Result<Option<StatefulSet>, Error> {
    if before(child_api, uid).is_none() {
        return Ok(None);
    }
    let map = child_api.api::<ConfigMap>().get_opt(&copy_name(&child_api.cluster)).await?;
    Ok(map.and_then(|map| kept_in(&map, uid)))
}

fn kept_in(map: &ConfigMap, uid: &str) -> Option<StatefulSet> {
    // That of a deleted cluster with this name is not used.
    let is_own = map.owner_references().iter().any(|owner| owner.uid == uid);
    serde_json::from_str(map.data.as_ref().filter(|_| is_own)?.get(ENTRY)?).ok()
}

/// Applies the StatefulSet. Returns true if this changed it.
pub(crate) async fn keep(
    effects: &Effects<'_>,
    cluster: &Cluster,
    desired: &StatefulSet,
) -> Result<bool, Error> {
    let live = effects.child_api.get::<StatefulSet>(&desired.name_any());
    if let Some(live) = live.filter(|live| differ(live, desired)) {
        return recreate(effects, cluster, &live, desired).await;
    }
    let changed = effects.child_api.keep(desired).await?;
    if let Some(before) = read_before(effects.child_api, &cluster.uid).await? {
        let sets = effects.child_api.api::<StatefulSet>();
        let live = sets.get_opt(&desired.name_any()).await?.unwrap_or_default();
        complete(effects, notes(&before, &[desired, &live])).await?;
    }
    Ok(changed)
}

async fn recreate(
    effects: &Effects<'_>,
    cluster: &Cluster,
    live: &StatefulSet,
    desired: &StatefulSet,
) -> Result<bool, Error> {
    let (api, name) = (effects.child_api.api::<StatefulSet>(), desired.name_any());
    tracing::info!(cluster = %effects.child_api.cluster, "recreating the StatefulSet with other volumes");
    effects.child_api.keep(&copy(cluster, live)).await?;
    let parameters = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..only(live) };
    delete(&api, &name, &parameters).await?;
    gone(&api, live).await?;
    let changed = effects.child_api.apply(None, desired, "rename the cluster").await?;
    complete(effects, notes(live, &[desired])).await?;
    Ok(changed)
}

/// Writes the notes of the StatefulSet before, and deletes the copy of it.
async fn complete(effects: &Effects<'_>, notes: BTreeMap<&str, &str>) -> Result<(), Error> {
    // As they were written: the next apply removes annotations that only an earlier one contained.
    if !notes.is_empty() {
        effects.patch_nodes(&json!({"metadata": {"annotations": notes}})).await?;
    }
    let (api, name) = (effects.child_api.api::<ConfigMap>(), copy_name(&effects.child_api.cluster));
    delete(&api, &name, &DeleteParams::default()).await
}

fn copy_name(cluster: &ObjectName) -> String {
    format!("{}{SUFFIX}", cluster.name)
}

/// The ConfigMap with a StatefulSet.
fn copy(cluster: &Cluster, live: &StatefulSet) -> ConfigMap {
    let ObjectMeta { name, labels, annotations, .. } = live.metadata.clone();
    let metadata = ObjectMeta { name, labels, annotations, ..ObjectMeta::default() };
    let kept = StatefulSet { metadata, spec: live.spec.clone(), status: None };
    with_entry(cluster, &copy_name(&cluster.name), ENTRY, json!(kept).to_string())
}

/// Annotations of Steamer that none of the other objects has.
fn notes<'a>(before: &'a StatefulSet, others: &[&StatefulSet]) -> BTreeMap<&'a str, &'a str> {
    let is_known = |key: &String| others.iter().any(|other| other.annotations().contains_key(key));
    let own = before.annotations().iter().filter(|(key, _)| key.starts_with(OWN) && !is_known(key));
    own.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// Waits until the pods are released. A later reconcile creates the StatefulSet if this takes long.
async fn gone(api: &Api<StatefulSet>, live: &StatefulSet) -> Result<(), Error> {
    for _ in 0..LOOKS {
        match api.get_opt(&live.name_any()).await? {
            Some(found) if found.metadata.uid == live.metadata.uid => tokio::time::sleep(INTERVAL).await,
            _ => return Ok(()),
        }
    }
    Err(Error::Waiting("the StatefulSet is being recreated with other volumes".to_owned()))
}

#[cfg(test)]
mod tests {
    use steamer_core::context::Context;

    use super::*;
    use crate::guard::registry::Guards;
    use crate::tests::kubernetes::{Access, Fake, context, missing};
    use crate::tests::{cluster, cluster_with, nodes_of};

    fn set(annotations: serde_json::Value) -> StatefulSet {
        serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
    }

    #[test]
    fn only_notes_of_steamer_that_are_missing_are_written_again() {
        let before = set(json!({"steamer.dev/stepped-down": "a", "steamer.dev/cause": "old", "other": "b"}));
        let (desired, live) =
            (set(json!({"steamer.dev/cause": "new"})), set(json!({"steamer.dev/stepped-down": "c"})));
        assert_eq!(notes(&before, &[&desired]), BTreeMap::from([("steamer.dev/stepped-down", "a")]));
        assert!(notes(&before, &[&desired, &live]).is_empty(), "a later note");
    }

    /// The StatefulSet of the nodes with a note, and the desired one with a volume.
    fn sets() -> (StatefulSet, StatefulSet) {
        let (mut live, _) = nodes_of(&cluster());
        live.metadata.uid = Some("before".to_owned());
        live.annotations_mut().insert("steamer.dev/stepped-down".to_owned(), "a".to_owned());
        let device = json!({"name": "durable", "description": "d", "file": {"volume": {"size": "1Gi"}}});
        (live, nodes_of(&cluster_with(json!({"audit": [device]}))).0)
    }

    /// Applies the desired StatefulSet.
    async fn kept(context: &Arc<Context>, desired: &StatefulSet) -> Result<bool, Error> {
        let cluster = cluster();
        let access = Access::new(context, &cluster, &Guards::default().target(context, None, &cluster));
        let child_api = access.child_api();
        keep(&access.effects(&child_api), &cluster, desired).await
    }

    /// A server that refuses to create a StatefulSet while `is_down`, and the copy that it has.
    fn refusing(is_down: bool, copy: Option<ConfigMap>) -> Fake {
        Fake::answering(move |received| match (received.method.as_str(), received.subject().as_str()) {
            ("GET", "configmaps/main-recreation") => {
                copy.as_ref().map_or_else(|| (404, missing()), |copy| (200, json!(copy)))
            }
            ("GET", _) => (404, missing()),
            ("PATCH", "statefulsets/main") if is_down => (503, json!({"kind": "Status", "code": 503})),
            ("DELETE", _) => (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
            _ => (200, received.body.clone()),
        })
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("openbao", name)
    }

    #[tokio::test]
    async fn the_notes_outlive_an_interrupted_recreation() {
        let (before, desired) = sets();
        let fake = refusing(true, None);
        let stopped = context(&fake).await;
        stopped.cluster_objects.of().insert(name("main"), Arc::new(before.clone()));
        assert!(kept(&stopped, &desired).await.is_err());
        let writes =
            ["PATCH configmaps/main-recreation", "DELETE statefulsets/main", "PATCH statefulsets/main"];
        assert_eq!(fake.writes(), writes, "the copy is written first");
        // A Steamer that starts finds only the copy.
        let fake = refusing(false, Some(copy(&cluster(), &before)));
        let started = context(&fake).await;
        started.cluster_objects.of().insert(name("main-recreation"), Arc::new(copy(&cluster(), &before)));
        let target = Guards::default().target(&started, None, &cluster());
        let access = Access::new(&started, &cluster(), &target);
        let found = live(&access.child_api(), "uid").unwrap();
        assert_eq!((found.annotations(), &found.spec), (before.annotations(), &before.spec));
        assert!(live(&access.child_api(), "another").is_none(), "that of a deleted cluster");
        kept(&started, &desired).await.unwrap();
        let writes =
            ["PATCH statefulsets/main", "PATCH statefulsets/main", "DELETE configmaps/main-recreation"];
        assert_eq!(fake.writes(), writes);
        let notes = fake.requests().into_iter().rfind(|request| request.method == "PATCH").unwrap().body;
        assert_eq!(notes, json!({"metadata": {"annotations": {"steamer.dev/stepped-down": "a"}}}));
    }

    #[tokio::test]
    async fn a_copy_that_only_the_watch_still_contains_restores_no_notes() {
        let (before, desired) = sets();
        let fake = refusing(false, None);
        let context = context(&fake).await;
        context.cluster_objects.of().insert(name("main-recreation"), Arc::new(copy(&cluster(), &before)));
        kept(&context, &desired).await.unwrap();
        assert_eq!(fake.writes(), ["PATCH statefulsets/main"]);
    }

    #[tokio::test]
    async fn a_recreation_leaves_no_copy_and_a_settled_set_costs_no_request() {
        let (before, desired) = sets();
        let fake = refusing(false, None);
        let context = context(&fake).await;
        context.cluster_objects.of().insert(name("main"), Arc::new(before));
        kept(&context, &desired).await.unwrap();
        assert_eq!(fake.writes().last().unwrap(), "DELETE configmaps/main-recreation");
        context.cluster_objects.of().insert(name("main"), Arc::new(desired.clone()));
        let before = fake.requests().len();
        kept(&context, &desired).await.unwrap();
        assert_eq!(fake.requests().len(), before);
    }
}
