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
    let right_version =
        !updated || member.answer == Answer::Migrating || member.version() == Some(target.version);
    Node {
        pod: member.name(),
        uid: member.uid(),
        updated,
        serves: member.serves() && right_version,
        leads: member.answer.is_active(),
        sealed: member.answer.is_sealed(),
        refuses_connections: member.answer == Answer::Refused,
        leader_unknown: member.is_leader_unknown(),
        stale: member.is_stale,
        unhealthy_for: member.unhealthy_for,
        ending: member.is_ending(),
        backs_off: member.backs_off(),
        // A node of the wrong version is ready for Kubernetes.
        unready_for: if right_version {
            member.unready_for(now)
        } else {
            member.running_for(now).unwrap_or_default()
        },
        running: member.running_for(now),
        trouble: match &member.answer {
            Answer::Health(health) if !right_version => {
                Some(format!("it runs version {}, not {}", health.version, target.version))
            }
            answer if target.migrating && answer.is_sealed() => {
                Some("it waits for recovery keys: `bao operator unseal -migrate`".to_owned())
            }
            _ => member.trouble(),
        },
    }
}
