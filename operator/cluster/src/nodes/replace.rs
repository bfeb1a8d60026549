//! The next step of a rollout for the observed nodes, and its execution.

use std::time::Instant;

use jiff::Timestamp;
use steamer_core::error::Error;

use crate::children::Ending;
use crate::cluster::{Cluster, Version};
use crate::database::repair;
use crate::effects::Effects;
use crate::nodes::fault::{Fault, fault};
use crate::nodes::members::{Answer, Member};
use crate::nodes::node::{Goal, Node};
use crate::nodes::rollout;
use crate::nodes::rollout::Step;
use crate::waits::Waits;

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
    /// Version of the nodes. None: any, for a StatefulSet that is not the desired one.
    pub(crate) version: Option<Version>,
    /// A seal migration is in progress.
    pub(crate) migrating: bool,
}

/// The next step towards a target.
pub(crate) fn plan(members: &[Member], target: Target<'_>, goal: &Goal, now: Timestamp) -> Rollout {
    let nodes = nodes(members, target, goal, now);
    Rollout { step: rollout::next(&nodes, goal), updated: count_serving(&nodes) }
}

/// The next step towards a target of which no node is repaired.
pub(crate) fn without_repair(members: &[Member], target: Target<'_>, goal: &Goal, now: Timestamp) -> Step {
    rollout::without_repair(&nodes(members, target, goal, now), goal)
}

/// The repair of a node of a template that is not changed now. None if no node needs a repair.
pub(crate) fn repair(members: &[Member], target: Target<'_>, goal: &Goal, now: Timestamp) -> Option<Step> {
    rollout::repaired(&nodes(members, target, goal, now), goal)
}

fn nodes(members: &[Member], target: Target<'_>, goal: &Goal, now: Timestamp) -> Vec<Node> {
    members.iter().map(|member| node(member, target, goal.waits, now)).collect()
}

fn count_serving(nodes: &[Node]) -> usize {
    nodes.iter().filter(|node| node.updated && node.serves).count()
}

/// Executes the step of a rollout.
pub(crate) async fn carry_out(effects: &Effects<'_>, cluster: &Cluster, step: &Step) -> Result<(), Error> {
    match step {
        Step::Replace { pod, uid, why, ending } => {
            tracing::info!(cluster = %cluster.name, pod, why, "replacing a node");
            if *ending == Ending::Prompt {
                repair::replace_refused_login(effects, cluster, (pod, uid)).await?;
            }
            end(effects, (pod, uid), *ending).await
        }
        Step::Repair { pod, uid, fault } => {
            tracing::warn!(cluster = %cluster.name, pod, why = fault.why(), "repairing a node");
            block(effects, cluster, (pod, uid), *fault).await?;
            effects.guard_target.unhealthy.lock().repaired(pod, waits(effects), Instant::now());
            end(effects, (pod, uid), fault.ending()).await
        }
        Step::Settled | Step::Wait(_) | Step::Stop(_) => Ok(()),
    }
}

fn waits(effects: &Effects<'_>) -> Waits {
    effects.guard_target.lasting.takeovers.waits()
}

/// Deletes a pod.
async fn end(effects: &Effects<'_>, (pod, uid): (&str, &str), ending: Ending) -> Result<(), Error> {
    effects.child_api.end_pod(pod, uid, ending.within(waits(effects).grace())).await
}

/// Blocks the access of a node to the database if its process may still write. Otherwise replaces a login that the database
/// refuses.
async fn block(
    effects: &Effects<'_>,
    cluster: &Cluster,
    (pod, uid): (&str, &str),
    fault: Fault,
) -> Result<(), Error> {
    if !fault.may_write() {
        return repair::replace_refused_login(effects, cluster, (pod, uid)).await;
    }
    let is_blocked = repair::block(effects, cluster, (pod, uid), fault.why()).await?;
    if is_blocked || fault.ending() != Ending::AtOnce {
        return Ok(());
    }
    Err(Error::Waiting(format!(
        "the end of pod {pod} is not confirmed, and its node has no database role that can be blocked: delete the pod with \
         --force once its machine is off"
    )))
}

/// Number of nodes of a revision that serve.
pub(crate) fn count_updated(members: &[Member], revision: &str) -> usize {
    members.iter().filter(|member| member.revision() == Some(revision) && member.serves()).count()
}

fn node(member: &Member, target: Target<'_>, waits: Waits, now: Timestamp) -> Node {
    let updated = member.revision() == Some(target.revision);
    // A node that does not answer has no version.
    let wrong_version = updated
        && member.answer != Answer::Migrating
        && member.version().is_some_and(|version| target.version.is_some_and(|target| version != target));
    Node {
        pod: member.name(),
        uid: member.uid(),
        updated,
        serves: member.serves() && !wrong_version,
        leads: member.answer.is_active(),
        sealed: member.answer.is_sealed(),
        refuses_connections: member.answer == Answer::Refused,
        ending: member.is_ending(),
        fenced: member.is_fenced,
        fault: fault(member, waits, now),
        pausing: member.is_pausing,
        // A node of the wrong version is ready for Kubernetes.
        unready_for: if wrong_version {
            member.running_for(now).unwrap_or_default()
        } else {
            member.unready_for(now)
        },
        trouble: match &member.answer {
            Answer::Health(health) if wrong_version => {
                let version = target.version.map(|version| version.to_string()).unwrap_or_default();
                Some(format!("it runs version {}, not {version}", health.version))
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

    const TIMEOUT: Duration = Duration::from_secs(40);

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
        let target = Target { revision: TEMPLATE, version: "2.7.2".parse().ok(), migrating: false };
        let goal = Goal {
            replicas: 2,
            hold: None,
            seal_reachable: true,
            initialized: true,
            template_works: false,
            node_timeout: TIMEOUT,
            waits: Waits::default(),
            lacking: Vec::new(),
        };
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
        assert!(matches!(&late, Step::Stop(why) if why.contains("within 40 s")), "{late:?}");
    }
}
