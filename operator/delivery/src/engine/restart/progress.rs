//! State of the rollout of a workload.

use serde_json::Value;
use steamer_api::WorkloadKind;

/// State of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All pods run the current template.
    RolledOut,
    /// Pods are being replaced.
    Rolling,
    /// The workload is paused: its pods are replaced when it is resumed.
    Paused,
}

/// The state of the rollout of an object with this generation. With `OnDelete`, the user replaces the pods, and nothing waits for it.
pub(super) fn progress(kind: WorkloadKind, generation: i64, object: &Value) -> Progress {
    let strategy = &object["spec"]["updateStrategy"]["type"];
    let is_done = match kind {
        WorkloadKind::Deployment if object["spec"]["paused"] == true => return Progress::Paused,
        WorkloadKind::Deployment => observed(object, generation) && deployment(object),
        // Argo Rollouts copies the time when all pods are restarted.
        WorkloadKind::ArgoRollout => object["status"]["restartedAt"] == object["spec"]["restartAt"],
        _ if strategy == "OnDelete" => true,
        WorkloadKind::StatefulSet => observed(object, generation) && stateful_set(object),
        WorkloadKind::DaemonSet => observed(object, generation) && daemon_set(object),
    };
    if is_done { Progress::RolledOut } else { Progress::Rolling }
}

/// Returns true if no pod of an object with this generation runs a former template. Pods that the user replaces, with `OnDelete` or
/// behind a partition, count: a revoked value would end their access.
pub(super) fn is_replaced(kind: WorkloadKind, generation: i64, object: &Value) -> bool {
    match kind {
        WorkloadKind::StatefulSet => observed(object, generation) && all_updated(object),
        WorkloadKind::DaemonSet => observed(object, generation) && daemon_set(object),
        WorkloadKind::Deployment | WorkloadKind::ArgoRollout => {
            progress(kind, generation, object) == Progress::RolledOut
        }
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// Returns true if the controller of the workload has seen the current spec.
fn observed(object: &Value, generation: i64) -> bool {
    number(&object["status"]["observedGeneration"]) >= generation
}

fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn deployment(object: &Value) -> bool {
    let (status, wanted) = (&object["status"], replicas(object));
    ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|field| number(&status[*field]) == wanted)
}

fn stateful_set(object: &Value) -> bool {
    let (status, wanted) = (&object["status"], replicas(object));
    let kept = number(&object["spec"]["updateStrategy"]["rollingUpdate"]["partition"]);
    number(&status["updatedReplicas"]) >= wanted - kept && number(&status["readyReplicas"]) == wanted
}

/// Returns true if all pods of a StatefulSet have its current template, also those that its partition keeps.
fn all_updated(object: &Value) -> bool {
    let (status, wanted) = (&object["status"], replicas(object));
    number(&status["updatedReplicas"]) >= wanted
        && number(&status["readyReplicas"]) == wanted
        && number(&status["replicas"]) <= wanted
}

fn daemon_set(object: &Value) -> bool {
    let (status, wanted) = (&object["status"], &object["status"]["desiredNumberScheduled"]);
    ["updatedNumberScheduled", "numberAvailable"]
        .iter()
        .all(|field| number(&status[*field]) >= number(wanted))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn done(kind: WorkloadKind) -> Value {
        let spec = json!({"replicas": 3});
        let status = match kind {
            WorkloadKind::Deployment => {
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3})
            }
            WorkloadKind::StatefulSet => {
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3})
            }
            WorkloadKind::DaemonSet => json!({
                "observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3,
            }),
            WorkloadKind::ArgoRollout => json!({}),
        };
        json!({"spec": spec, "status": status})
    }

    #[rstest]
    #[case::deployment(WorkloadKind::Deployment, "/", json!(null), Progress::RolledOut)]
    #[case::not_observed(WorkloadKind::Deployment, "/status/observedGeneration", json!(1), Progress::Rolling)]
    #[case::old_pods(WorkloadKind::Deployment, "/status/replicas", json!(4), Progress::Rolling)]
    #[case::not_updated(WorkloadKind::Deployment, "/status/updatedReplicas", json!(2), Progress::Rolling)]
    #[case::not_available(WorkloadKind::Deployment, "/status/availableReplicas", json!(2), Progress::Rolling)]
    #[case::paused(WorkloadKind::Deployment, "/spec/paused", json!(true), Progress::Paused)]
    #[case::stateful_set(WorkloadKind::StatefulSet, "/", json!(null), Progress::RolledOut)]
    #[case::not_ready(WorkloadKind::StatefulSet, "/status/readyReplicas", json!(2), Progress::Rolling)]
    #[case::on_delete(WorkloadKind::StatefulSet, "/spec/updateStrategy", json!({"type": "OnDelete"}), Progress::RolledOut)]
    #[case::partition(WorkloadKind::StatefulSet, "/spec/updateStrategy", json!({"rollingUpdate": {"partition": 9}}), Progress::RolledOut)]
    #[case::daemon_set(WorkloadKind::DaemonSet, "/", json!(null), Progress::RolledOut)]
    #[case::old_daemon(WorkloadKind::DaemonSet, "/status/updatedNumberScheduled", json!(2), Progress::Rolling)]
    #[case::rollout(WorkloadKind::ArgoRollout, "/", json!(null), Progress::RolledOut)]
    #[case::rollout_restarts(WorkloadKind::ArgoRollout, "/spec/restartAt", json!("2026-01-02T03:04:05Z"), Progress::Rolling)]
    fn a_rollout_is_complete_when_all_pods_are_new(
        #[case] kind: WorkloadKind,
        #[case] field: &str,
        #[case] value: Value,
        #[case] expected: Progress,
    ) {
        assert_eq!(progress(kind, 2, &changed(kind, field, value)), expected);
    }

    #[rstest]
    #[case::stateful_set(WorkloadKind::StatefulSet, "/", json!(null), true)]
    #[case::partition(WorkloadKind::StatefulSet, "/status/updatedReplicas", json!(2), false)]
    #[case::scaled_down(WorkloadKind::StatefulSet, "/status/replicas", json!(4), false)]
    #[case::not_ready(WorkloadKind::StatefulSet, "/status/readyReplicas", json!(2), false)]
    #[case::not_observed(WorkloadKind::StatefulSet, "/status/observedGeneration", json!(1), false)]
    #[case::daemon_set(WorkloadKind::DaemonSet, "/", json!(null), true)]
    #[case::old_daemon(WorkloadKind::DaemonSet, "/status/updatedNumberScheduled", json!(2), false)]
    #[case::deployment(WorkloadKind::Deployment, "/", json!(null), true)]
    #[case::paused(WorkloadKind::Deployment, "/spec/paused", json!(true), false)]
    #[case::rollout_restarts(WorkloadKind::ArgoRollout, "/spec/restartAt", json!("2026-01-02T03:04:05Z"), false)]
    fn a_former_value_is_in_use_until_the_user_has_replaced_all_pods(
        #[case] kind: WorkloadKind,
        #[case] field: &str,
        #[case] value: Value,
        #[case] expected: bool,
        #[values("RollingUpdate", "OnDelete")] strategy: &str,
    ) {
        let mut object = changed(kind, field, value);
        object["spec"]["updateStrategy"] = json!({"type": strategy, "rollingUpdate": {"partition": 2}});
        assert_eq!(is_replaced(kind, 2, &object), expected);
    }

    /// A workload that is rolled out, with another value of a field.
    fn changed(kind: WorkloadKind, field: &str, value: Value) -> Value {
        let mut object = done(kind);
        if let Some((parent, name)) = field.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            object.pointer_mut(parent).unwrap()[name] = value;
        }
        object
    }
}
