//! A workload that is restarted.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use steamer_api::WorkloadKind;
use steamer_core::ownership::secret::CLUSTER_LABEL;
use steamer_runtime::ObjectName;
use steamer_runtime::conditions::whole_second;

use super::marks::{ANNOTATION, Change, Marks};
use super::progress::{Progress, is_replaced, progress};

/// Kind and name of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Workload {
    pub(super) kind: WorkloadKind,
    pub(super) name: ObjectName,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name.name)
    }
}

/// The resource of a kind at the API server.
pub(super) fn resource(kind: WorkloadKind) -> ApiResource {
    let apps = |kind, plural| (GroupVersionKind::gvk("apps", "v1", kind), plural);
    let (gvk, plural) = match kind {
        WorkloadKind::Deployment => apps("Deployment", "deployments"),
        WorkloadKind::StatefulSet => apps("StatefulSet", "statefulsets"),
        WorkloadKind::DaemonSet => apps("DaemonSet", "daemonsets"),
        WorkloadKind::ArgoRollout => {
            (GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout"), "rollouts")
        }
    };
    ApiResource::from_gvk_with_plural(&gvk, plural)
}

/// A workload as the API server returned it.
pub(super) struct Found {
    kind: WorkloadKind,
    object: DynamicObject,
}

impl Found {
    pub(super) fn new(kind: WorkloadKind, object: DynamicObject) -> Self {
        Self { kind, object }
    }

    pub(super) fn is_of_cluster(&self) -> bool {
        is_of_cluster(&self.object)
    }

    /// Whether the workload was restarted for a change.
    pub(super) fn is_restarted(&self, secret: &str, change: &Change) -> bool {
        self.marks().covers(secret, change)
    }

    pub(super) fn progress(&self) -> Progress {
        progress(self.kind, self.object.metadata.generation.unwrap_or_default(), &self.object.data)
    }

    /// Whether no pod runs a former template.
    pub(super) fn is_replaced(&self) -> bool {
        is_replaced(self.kind, self.object.metadata.generation.unwrap_or_default(), &self.object.data)
    }

    /// Time of the restart of an Argo Rollout: later than that of its last restart, and in seconds.
    fn restart_at(&self, now: Timestamp) -> Timestamp {
        let last =
            self.object.data["spec"]["restartAt"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let earliest = last.and_then(|last| last.checked_add(jiff::SignedDuration::from_secs(1)).ok());
        next_second(earliest.map_or(now, |earliest| earliest.max(now)))
    }

    fn marks(&self) -> Marks {
        let text = match self.kind {
            WorkloadKind::ArgoRollout => self.object.annotations().get(ANNOTATION).map(String::as_str),
            _ => self.object.data["spec"]["template"]["metadata"]["annotations"][ANNOTATION].as_str(),
        };
        Marks::parse(text.unwrap_or_default())
    }

    /// The patch that restarts the workload. The API server refuses it if another client changed the workload in the
    /// meantime. An Argo Rollout restarts its pods with `restartAt`: a changed template would start its canary steps.
    pub(super) fn patch(&self, changes: &BTreeMap<String, Change>, now: Timestamp) -> Value {
        let annotations = json!({ANNOTATION: self.marks().with(changes).text()});
        let mut metadata =
            json!({"uid": self.object.uid(), "resourceVersion": self.object.resource_version()});
        let spec = match self.kind {
            WorkloadKind::ArgoRollout => {
                metadata["annotations"] = annotations;
                json!({"restartAt": self.restart_at(now).to_string()})
            }
            _ => json!({"template": {"metadata": {"annotations": annotations}}}),
        };
        json!({"metadata": metadata, "spec": spec})
    }
}

/// Whether a workload belongs to a managed OpenBaoCluster: its controller replaces the pods one by one.
pub(super) fn is_of_cluster(object: &DynamicObject) -> bool {
    object.labels().contains_key(CLUSTER_LABEL)
}

/// The time in seconds, rounded up: pods that started earlier in the same second are restarted, too.
fn next_second(time: Timestamp) -> Timestamp {
    let second = whole_second(time);
    let next = || second.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(second);
    if second < time { next() } else { second }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn found(kind: WorkloadKind, annotations: &Value) -> Found {
        let object = json!({
            "apiVersion": "x/v1", "kind": "X",
            "metadata": {"name": "web", "uid": "u", "resourceVersion": "7", "annotations": annotations},
            "spec": {"template": {"metadata": {"annotations": annotations}}},
        });
        Found::new(kind, serde_json::from_value(object).unwrap())
    }

    #[rstest]
    fn a_restart_is_guarded_changes_only_its_annotation_and_keeps_other_changes(
        #[values(
            WorkloadKind::Deployment,
            WorkloadKind::StatefulSet,
            WorkloadKind::DaemonSet,
            WorkloadKind::ArgoRollout
        )]
        kind: WorkloadKind,
    ) {
        let found = found(kind, &json!({ANNOTATION: r#"{"db":"1/u2"}"#, "other": "x"}));
        let change = Change::new(2, "u1");
        assert!(!found.is_restarted("app", &change));
        let now = Timestamp::from_second(0).unwrap();
        let patch = found.patch(&BTreeMap::from([("app".to_owned(), change)]), now);
        let annotations = json!({ANNOTATION: r#"{"app":"2/u1","db":"1/u2"}"#});
        let metadata = json!({"uid": "u", "resourceVersion": "7"});
        let expected = if kind == WorkloadKind::ArgoRollout {
            let metadata = json!({"uid": "u", "resourceVersion": "7", "annotations": annotations});
            json!({"metadata": metadata, "spec": {"restartAt": "1970-01-01T00:00:00Z"}})
        } else {
            json!({"metadata": metadata, "spec": {"template": {"metadata": {"annotations": annotations}}}})
        };
        assert_eq!(patch, expected);
    }

    #[test]
    fn two_restarts_of_an_argo_rollout_in_one_second_differ() {
        let mut found = found(WorkloadKind::ArgoRollout, &json!({}));
        found.object.data["spec"]["restartAt"] = json!("1970-01-01T00:00:09Z");
        for (now, expected) in [(9_000, 10), (8_000, 10), (9_500, 10), (11_000, 11), (11_001, 12)] {
            let now = Timestamp::from_millisecond(now).unwrap();
            assert_eq!(found.restart_at(now), Timestamp::from_second(expected).unwrap());
        }
    }

    #[rstest]
    fn a_restarted_workload_is_not_restarted_again(
        #[values(WorkloadKind::Deployment, WorkloadKind::ArgoRollout)] kind: WorkloadKind,
    ) {
        let found = found(kind, &json!({ANNOTATION: r#"{"app":"2/u1"}"#}));
        assert!(found.is_restarted("app", &Change::new(2, "u1")));
        assert!(!found.is_restarted("app", &Change::new(3, "u1")));
    }
}
