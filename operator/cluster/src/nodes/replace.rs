//! The next step of a rollout, from what nodes say, and carried out.

use jiff::Timestamp;
use steamer_core::error::Error;

use crate::children::Ending;
use crate::managed::apply::{Done, Work};
use crate::nodes::members::{Answer, Member};
use crate::nodes::rollout;
use crate::nodes::rollout::{Goal, Node as Rolled, Step};

/// How many nodes serve that were made from a revision.
pub(crate) fn are_updated(members: &[Member], revision: &str) -> usize {
    members.iter().filter(|member| member.revision() == Some(revision) && member.serves()).count()
}

impl Work<'_> {
    /// Decides and carries out the next step of a rollout.
    pub(crate) async fn rolled(&self, done: &mut Done, revision: &str) -> Result<(), Error> {
        let now = Timestamp::now();
        let nodes: Vec<Rolled> =
            done.members.iter().map(|member| self.rolled_node(member, (revision, done), now)).collect();
        done.updated = nodes.iter().filter(|node| node.updated && node.serves).count();
        let goal = self.goal(done);
        done.step = rollout::next(&nodes, &goal);
        if let Step::Replace { pod, uid, why } = &done.step {
            tracing::info!(cluster = %self.cluster.name, pod, why, "replacing a node");
            // One that waits for its database does not end in its own time.
            let refuses_connections = nodes.iter().any(|node| node.pod == *pod && node.refuses_connections);
            if refuses_connections {
                self.login_again(pod, uid).await?;
            }
            let ending = if refuses_connections { Ending::AtOnce } else { Ending::Graceful };
            self.child_api.end_pod(pod, uid, ending).await?;
        }
        Ok(())
    }

    fn rolled_node(&self, member: &Member, (revision, done): (&str, &Done), now: Timestamp) -> Rolled {
        let updated = member.revision() == Some(revision);
        let right_version =
            !updated || member.answer == Answer::Migrating || member.version() == Some(self.cluster.version);
        Rolled {
            pod: member.name(),
            uid: member.uid(),
            updated,
            serves: member.serves() && right_version,
            leads: member.answer.is_active(),
            sealed: member.answer.is_sealed(),
            refuses_connections: member.answer == Answer::Refused,
            leader_unknown: member.is_astray(),
            unhealthy_for: member.unhealthy_for,
            ending: member.is_ending(),
            backs_off: member.backs_off(),
            age: member.age(now),
            running: member.running_for(now),
            trouble: match (&member.answer, right_version) {
                (Answer::Health(health), false) => {
                    Some(format!("it runs version {}, not {}", health.version, self.cluster.version))
                }
                (answer, _) if done.migrating && answer.is_sealed() => {
                    Some("it waits for recovery keys: `bao operator unseal -migrate`".to_owned())
                }
                _ => member.trouble(),
            },
        }
    }

    fn goal(&self, done: &Done) -> Goal {
        let spec = &self.cluster.spec;
        let hold = if spec.upgrade.paused {
            Some("a change waits: upgrade.paused".to_owned())
        } else if !done.seal.opens() {
            Some(format!("a change waits for the seal: {}", done.seal.text()))
        } else {
            done.storage.as_ref().err().map(|_| "a change waits for the database".to_owned())
        };
        Goal {
            replicas: usize::try_from(spec.replicas).unwrap_or(3),
            hold,
            // While a node waits for recovery keys it is sealed for a reason.
            seal_reachable: done.seal.opens() && done.storage.is_ok() && !done.migrating,
            initialized: done.storage.as_ref().is_ok_and(|storage| storage.contents.initialized),
            node_timeout: spec.upgrade.node_timeout.get(),
        }
    }
}
