//! The next step of a rollout for the observed nodes, and its execution.

use jiff::Timestamp;
use steamer_core::error::Error;

use crate::children::Ending;
use crate::cluster::{Cluster, Version};
use crate::database::repair::replace_refused_login;
use crate::effects::Effects;
use crate::nodes::members::{Answer, Member};
use crate::nodes::rollout;
use crate::nodes::rollout::{Goal, Node, Step};

/// Progress of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rollout {
    pub(crate) step: Step,
    /// Number of updated nodes that serve.
    pub(crate) updated: usize,
}

impl Rollout {
    /// A rollout that awaits progress.
    pub(crate) fn waiting(what: &str) -> Self {
        Self { step: Step::Wait(what.to_owned()), updated: 0 }
    }
}

/// Desired state of each node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Revision of the StatefulSet.
    pub(crate) revision: &'a str,
    pub(crate) version: Version,
    /// A seal migration is in progress.
    pub(crate) migrating: bool,
}

/// The next step towards a target.
pub(crate) fn plan(members: &[Member], target: Target<'_>, goal: &Goal, now: Timestamp) -> Rollout {
    let nodes: Vec<Node> = members.iter().map(|member| node(member, target, now)).collect();
    let updated = nodes.iter().filter(|node| node.updated && node.serves).count();
    Rollout { step: rollout::next(&nodes, goal), updated }
}

/// Executes the step of a rollout.
pub(crate) async fn carry_out(effects: &Effects<'_>, cluster: &Cluster, step: &Step) -> Result<(), Error> {
    let Step::Replace { pod, uid, why, ending } = step else { return Ok(()) };
    tracing::info!(cluster = %cluster.name, pod, why, "replacing a node");
    if *ending == Ending::AtOnce {
        replace_refused_login(effects, cluster, pod, uid).await?;
    }
    effects.child_api.end_pod(pod, uid, *ending).await
}

/// Number of nodes of a revision that serve.
pub(crate) fn count_updated(members: &[Member], revision: &str) -> usize {
    members.iter().filter(|member| member.revision() == Some(revision) && member.serves()).count()
}

fn node(member: &Member, target: Target<'_>, now: Timestamp) -> Node {
    let updated = member.revision() == Some(target.revision);
    // A node that does not answer has no version.
    let wrong_version = updated
        && member.answer != Answer::Migrating
        && member.version().is_some_and(|version| version != target.version);
    Node {
        pod: member.name(),
        uid: member.uid(),
        updated,
        serves: member.serves() && !wrong_version,
        leads: member.answer.is_active(),
        sealed: member.answer.is_sealed(),
        refuses_connections: member.answer == Answer::Refused,
        leader_unknown: member.is_leader_unknown(),
        stale: member.is_stale,
        unhealthy_for: member.unhealthy_for,
        ending: member.is_ending(),
        backs_off: member.backs_off(),
        // A node of the wrong version is ready for Kubernetes.
        unready_for: if wrong_version {
            member.running_for(now).unwrap_or_default()
        } else {
            member.unready_for(now)
        },
        running: member.running_for(now),
        trouble: match &member.answer {
            Answer::Health(health) if wrong_version => {
                Some(format!("it runs version {}, not {}", health.version, target.version))
            }
            answer if target.migrating && answer.is_sealed() => {
                Some("it waits for recovery keys: `bao operator unseal -migrate`".to_owned())
            }
            _ => member.trouble(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Pod;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::{TEMPLATE, member};

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Returns the step for a leader and a new standby whose container is in `state`.
    fn step(answer: char, state: &Value, unready: Duration) -> Step {
        let now = Timestamp::now();
        let mut new = member((1, answer));
        let mut pod: Value = json!(*new.pod);
        pod["status"]["containerStatuses"][0]["state"] = state.clone();
        pod["status"]["conditions"] = json!([{
            "type": "Ready", "status": "False", "lastTransitionTime": now - unready,
        }]);
        new.pod = Arc::new(serde_json::from_value::<Pod>(pod).unwrap());
        let target = Target { revision: TEMPLATE, version: "2.7.2".parse().unwrap(), migrating: false };
        let goal =
            Goal { replicas: 2, hold: None, seal_reachable: true, initialized: true, node_timeout: TIMEOUT };
        plan(&[member((0, 'l')), new], target, &goal, now).step
    }

    #[rstest]
    #[case::its_image_does_not_exist('x', json!({"waiting": {"reason": "ErrImageNeverPull"}}))]
    #[case::its_process_ended('x', json!({"terminated": {"exitCode": 1}}))]
    #[case::it_does_not_answer('x', json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}))]
    #[case::it_is_sealed('z', json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}))]
    fn a_node_that_does_not_come_up_stops_the_rollout_after_the_timeout(
        #[case] answer: char,
        #[case] state: Value,
    ) {
        let early = step(answer, &state, TIMEOUT - Duration::from_secs(2));
        assert!(matches!(early, Step::Wait(_)), "{early:?}");
        let late = step(answer, &state, TIMEOUT + Duration::from_secs(2));
        assert!(matches!(&late, Step::Stop(why) if why.contains("within 10 s")), "{late:?}");
    }
}
