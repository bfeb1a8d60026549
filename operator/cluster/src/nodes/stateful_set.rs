//! Write of the StatefulSet of the nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PropagationPolicy};
use serde_json::json;
use steamer_core::error::Error;

use crate::children::{delete, only};
use crate::effects::Effects;
use crate::objects::audit_volume::differ;

/// Start of the annotations of Steamer.
const OWN: &str = "steamer.dev/";
/// Interval between two looks at a StatefulSet that is being deleted.
const INTERVAL: Duration = Duration::from_millis(100);
/// Number of looks before the next reconcile continues.
const LOOKS: usize = 50;

/// Applies the StatefulSet. Kubernetes permits no change of its claims: with other claims, it is recreated around its pods.
/// If Steamer stops between the deletion and the creation, the notes are lost: for example, a step-down is carried out again.
/// Returns true if this changed it.
pub(crate) async fn keep(effects: &Effects<'_>, desired: &StatefulSet) -> Result<bool, Error> {
    let live = effects.child_api.get::<StatefulSet>(&desired.name_any());
    match live.filter(|live| differ(live, desired)) {
        None => effects.child_api.keep(desired).await,
        Some(live) => recreate(effects, &live, desired).await,
    }
}

async fn recreate(effects: &Effects<'_>, live: &StatefulSet, desired: &StatefulSet) -> Result<bool, Error> {
    let (api, name) = (effects.child_api.api::<StatefulSet>(), desired.name_any());
    tracing::info!(cluster = %effects.child_api.cluster, "recreating the StatefulSet with other volumes");
    let parameters = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..only(live) };
    delete(&api, &name, &parameters).await?;
    gone(&api, live).await?;
    let changed = effects.child_api.apply(None, desired, "rename the cluster").await?;
    // As they were written: the next apply removes annotations that only an earlier one contained.
    let notes = notes(live, desired);
    if !notes.is_empty() {
        effects.patch_nodes(&json!({"metadata": {"annotations": notes}})).await?;
    }
    Ok(changed)
}

/// Annotations of Steamer that are no part of the desired object.
fn notes<'a>(live: &'a StatefulSet, desired: &StatefulSet) -> BTreeMap<&'a str, &'a str> {
    let others = live.annotations().iter().filter(|(key, _)| !desired.annotations().contains_key(*key));
    others
        .filter(|(key, _)| key.starts_with(OWN))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
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
    use super::*;

    fn set(annotations: serde_json::Value) -> StatefulSet {
        serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
    }

    #[test]
    fn only_notes_of_steamer_that_are_not_applied_are_written_again() {
        let live = set(json!({"steamer.dev/stepped-down": "a", "steamer.dev/cause": "old", "other": "b"}));
        let desired = set(json!({"steamer.dev/cause": "new"}));
        assert_eq!(notes(&live, &desired), BTreeMap::from([("steamer.dev/stepped-down", "a")]));
    }
}
