//! Properties of an object that its controller depends on.

use kube::{Resource, ResourceExt};

use crate::Lane;

/// Properties whose change requeues the object in its own controller: spec, deletion, nudges. Not the status.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Mark {
    uid: Option<String>,
    generation: Option<i64>,
    deleting: bool,
    nudges: Vec<(String, String)>,
    finalizers: usize,
}

impl Mark {
    /// Returns the properties of an object. An annotation that starts with `nudge` requests a reconcile.
    pub(super) fn of<K: Resource>(object: &K, nudge: &str) -> Self {
        let nudges = object.annotations().iter().filter(|(key, _)| key.starts_with(nudge));
        Self {
            uid: object.uid(),
            generation: object.meta().generation,
            deleting: object.meta().deletion_timestamp.is_some(),
            nudges: nudges.map(|(key, value)| (key.clone(), value.clone())).collect(),
            finalizers: object.finalizers().len(),
        }
    }

    /// Returns the priority of a change from `last`. A user can change annotations without end: that must not delay
    /// the changes of other objects.
    pub(super) fn lane_after(&self, last: &Self) -> Lane {
        let is_nudge = *self == Self { nudges: self.nudges.clone(), ..last.clone() };
        if is_nudge { Lane::Background } else { Lane::Changed }
    }

    /// Returns whether the change from `last` requires a reconcile. An added finalizer does not: the running reconcile
    /// added it.
    pub(super) fn asks_for_a_pass_after(&self, last: &Self) -> bool {
        *self != Self { finalizers: last.finalizers.max(self.finalizers), ..last.clone() }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn mark(annotations: &Value) -> Mark {
        let object = json!({"metadata": {"uid": "u", "annotations": annotations}});
        Mark::of(&serde_json::from_value::<ConfigMap>(object).unwrap(), "steamer.dev/")
    }

    #[rstest]
    #[case::added(json!({"steamer.dev/step-down": "1"}), true)]
    #[case::changed(json!({"steamer.dev/restoring": "2", "note": "x"}), true)]
    #[case::of_another_tool(json!({"steamer.dev/restoring": "1", "note": "y"}), false)]
    #[case::removed(json!({"note": "x"}), true)]
    fn a_change_of_an_own_annotation_requeues_the_object(#[case] now: Value, #[case] expected: bool) {
        let last = mark(&json!({"steamer.dev/restoring": "1", "note": "x"}));
        let kept = mark(&json!({"steamer.dev/restoring": "1", "note": "x"}));
        assert!(!kept.asks_for_a_pass_after(&last));
        let mut now = now;
        if now.get("steamer.dev/step-down").is_some() {
            now["steamer.dev/restoring"] = json!("1");
        }
        let now = mark(&now);
        assert_eq!(now.asks_for_a_pass_after(&last), expected);
        if expected {
            assert!(matches!(now.lane_after(&last), Lane::Background), "other objects are not delayed");
        }
    }
}
