//! Steps of operations, from the status of a cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use steamer_api::{LeaderStatus, OpenBaoCluster};

use crate::progress::Step;
use crate::style::line;

/// Condition of a cluster.
pub(crate) fn condition<'a>(cluster: &'a OpenBaoCluster, kind: &str) -> Option<&'a Condition> {
    let conditions = cluster.status.as_ref().map(|status| status.common.conditions.as_slice());
    conditions.unwrap_or_default().iter().find(|condition| condition.type_ == kind)
}

fn leader(cluster: &OpenBaoCluster) -> Option<&LeaderStatus> {
    cluster.status.as_ref()?.leader.as_ref()
}

fn serving(cluster: &OpenBaoCluster) -> String {
    let members = cluster.status.as_ref().map(|status| status.members.as_slice()).unwrap_or_default();
    let serving = members.iter().filter(|member| member.ready).count();
    format!("{serving} of {} nodes serve", members.len())
}

/// A rollout, which begins some time after the request.
#[derive(Default)]
pub(super) struct Rollout {
    has_begun: bool,
}

impl Rollout {
    pub(super) fn step(&mut self, cluster: &OpenBaoCluster) -> Step {
        match condition(cluster, "UpgradeInProgress") {
            Some(condition) => {
                self.has_begun |= condition.status == "True";
                Step::Wait(line(&condition.message))
            }
            None if self.has_begun => Step::Done(format!("every node was replaced; {}", serving(cluster))),
            None => Step::Wait("waits for the operator to begin".to_owned()),
        }
    }
}

/// Whether another node leads than before, or the same one again.
pub(super) fn moved(before: &OpenBaoCluster, now: &OpenBaoCluster) -> Step {
    match (leader(before), leader(now)) {
        (Some(old), Some(new)) if (&old.pod, &old.since) == (&new.pod, &new.since) => {
            Step::Wait(format!("{} leads, and was requested to step down", old.pod))
        }
        (_, Some(new)) => Step::Done(format!("{} leads; {}", new.pod, serving(now))),
        (_, None) => Step::Wait("no node leads".to_owned()),
    }
}

/// Whether a node is fenced.
pub(super) fn fenced(pod: &str, cluster: &OpenBaoCluster) -> Step {
    match condition(cluster, "Fenced") {
        Some(condition) if condition.status == "True" && condition.message.contains(pod) => {
            Step::Done(format!("{}; {}", line(&condition.message), serving(cluster)))
        }
        Some(condition) => Step::Wait(line(&condition.message)),
        None => Step::Wait("waits for the operator to begin".to_owned()),
    }
}

/// Whether no node is fenced on request, and all nodes serve.
pub(super) fn released(cluster: &OpenBaoCluster) -> Step {
    let members = cluster.status.as_ref().map(|status| status.members.as_slice()).unwrap_or_default();
    match condition(cluster, "Fenced") {
        Some(condition) => Step::Wait(line(&condition.message)),
        None if members.iter().all(|member| member.ready) => Step::Done(serving(cluster)),
        None => Step::Wait(format!("no node is fenced on request; {}", serving(cluster))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cluster(leader: Value, conditions: Value) -> OpenBaoCluster {
        let members =
            ["main-0", "main-1"].map(|pod| json!({"pod": pod, "role": "Standby", "ready": pod == "main-0"}));
        serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main", "namespace": "openbao"},
            "spec": {}, "status": {"leader": leader, "members": members, "conditions": conditions},
        }))
        .unwrap()
    }

    fn condition(kind: &str, status: &str, message: &str) -> Value {
        json!([{"type": kind, "status": status, "reason": "R", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    }

    fn wait(text: &str) -> Step {
        Step::Wait(text.to_owned())
    }

    fn done(text: &str) -> Step {
        Step::Done(text.to_owned())
    }

    #[test]
    fn a_rollout_ends_after_it_has_begun() {
        let (mut rollout, none) = (Rollout::default(), cluster(json!(null), json!([])));
        let step =
            |status: &str, text: &str| cluster(json!(null), condition("UpgradeInProgress", status, text));
        assert_eq!(rollout.step(&none), wait("waits for the operator to begin"));
        assert_eq!(rollout.step(&step("False", "waits for a window")), wait("waits for a window"));
        assert_eq!(rollout.step(&none), wait("waits for the operator to begin"));
        assert_eq!(rollout.step(&step("True", "replaces main-1")), wait("replaces main-1"));
        assert_eq!(rollout.step(&none), done("every node was replaced; 1 of 2 nodes serve"));
    }

    #[test]
    fn the_leadership_has_moved_when_another_reign_begins() {
        let reign = |pod: &str, since: &str| cluster(json!({"pod": pod, "since": since}), json!([]));
        let before = reign("main-0", "2026-01-01T00:00:00Z");
        assert_eq!(moved(&before, &before), wait("main-0 leads, and was requested to step down"));
        assert_eq!(moved(&before, &cluster(json!(null), json!([]))), wait("no node leads"));
        for pod in ["main-1", "main-0"] {
            let now = reign(pod, "2026-01-01T00:01:00Z");
            assert_eq!(moved(&before, &now), done(&format!("{pod} leads; 1 of 2 nodes serve")));
        }
    }

    #[test]
    fn a_fence_is_in_force_when_the_condition_names_the_node() {
        let fence = |status: &str, text: &str| cluster(json!(null), condition("Fenced", status, text));
        let none = cluster(json!(null), json!([]));
        assert_eq!(fenced("main-1", &none), wait("waits for the operator to begin"));
        assert_eq!(fenced("main-1", &fence("False", "main-1 leads")), wait("main-1 leads"));
        assert_eq!(fenced("main-1", &fence("True", "main-0 is fenced")), wait("main-0 is fenced"));
        let expected = done("main-1 is fenced; 1 of 2 nodes serve");
        assert_eq!(fenced("main-1", &fence("True", "main-1 is fenced")), expected);
        assert_eq!(released(&fence("True", "main-1 is fenced")), wait("main-1 is fenced"));
        assert_eq!(released(&none), wait("no node is fenced on request; 1 of 2 nodes serve"));
    }
}
