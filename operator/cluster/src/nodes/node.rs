//! Facts about the nodes, and their desired state.

use std::time::Duration;

use crate::nodes::fault::Fault;
use crate::waits::Waits;

/// Facts about a node that determine the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) pod: String,
    pub(crate) uid: String,
    /// Created from the desired template.
    pub(crate) updated: bool,
    /// Unsealed, leading or following, in the desired version.
    pub(crate) serves: bool,
    pub(crate) leads: bool,
    pub(crate) sealed: bool,
    /// Its address answers, but no process listens.
    pub(crate) refuses_connections: bool,
    pub(crate) ending: bool,
    /// Its login is blocked on request of a user: it is not expected to serve.
    pub(crate) fenced: bool,
    /// Problem that only a replacement removes.
    pub(crate) fault: Option<Fault>,
    /// Its last repair is too recent for another one.
    pub(crate) pausing: bool,
    /// Time for which Kubernetes has not reported it as ready. A container that restarts has been ready before.
    pub(crate) unready_for: Duration,
    /// Reason why it does not run.
    pub(crate) trouble: Option<String>,
}

/// Desired state of the nodes, and conditions of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) replicas: usize,
    /// Reason why a change must wait.
    pub(crate) hold: Option<String>,
    /// The seal can be opened, as a starting node needs.
    pub(crate) seal_reachable: bool,
    /// Storage contains an initialized OpenBao.
    pub(crate) initialized: bool,
    /// Nodes of the StatefulSet's template have served.
    pub(crate) template_works: bool,
    pub(crate) node_timeout: Duration,
    pub(crate) waits: Waits,
    /// Pods that lack a volume: while there is one, nodes are replaced in the order of their ordinals.
    pub(crate) lacking: Vec<String>,
}

impl Goal {
    /// Returns true if a node that is replaced can start again.
    pub(crate) fn can_start(&self) -> bool {
        self.seal_reachable && self.initialized
    }

    /// Time within which a node is expected to come up. Without a rollout, a node with a problem is repaired first.
    pub(crate) fn patience(&self, nodes: &[Node]) -> Duration {
        let is_rollout = nodes.iter().any(|node| !node.updated);
        if is_rollout { self.node_timeout } else { self.node_timeout.max(self.waits.problem()) }
    }
}

#[cfg(test)]
impl Goal {
    /// Goal of three nodes that nothing prevents.
    pub(crate) fn sample() -> Self {
        Self {
            replicas: 3,
            hold: None,
            seal_reachable: true,
            initialized: true,
            template_works: true,
            node_timeout: Duration::from_secs(120),
            waits: Waits::default(),
            lacking: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn node(updated: bool) -> Node {
        Node {
            pod: "main-0".to_owned(),
            uid: "u".to_owned(),
            updated,
            serves: true,
            leads: false,
            sealed: false,
            refuses_connections: false,
            ending: false,
            fenced: false,
            fault: None,
            pausing: false,
            unready_for: Duration::ZERO,
            trouble: None,
        }
    }

    fn goal(node_timeout: u64, takeover: u64) -> Goal {
        let node_timeout = Duration::from_secs(node_timeout);
        Goal { node_timeout, waits: Waits::of(Duration::from_secs(takeover)), ..Goal::sample() }
    }

    /// A node is repaired after two takeovers, or after 30 s if that is longer.
    #[rstest]
    #[case::short_takeovers(&[true, true], 120, 0, 120)]
    #[case::long_takeovers(&[true, true], 120, 110, 220)]
    #[case::long_timeout(&[true, true], 600, 110, 600)]
    #[case::timeout_below_the_lower_bound(&[true, true], 10, 0, 30)]
    #[case::rollout(&[true, false], 120, 110, 120)]
    #[case::rollout_with_a_short_timeout(&[false, false], 10, 0, 10)]
    #[case::no_nodes(&[], 120, 110, 220)]
    fn a_node_has_the_time_until_its_repair_unless_a_rollout_waits_for_it(
        #[case] updated: &[bool],
        #[case] node_timeout: u64,
        #[case] takeover: u64,
        #[case] expected: u64,
    ) {
        let nodes: Vec<Node> = updated.iter().copied().map(node).collect();
        assert_eq!(goal(node_timeout, takeover).patience(&nodes).as_secs(), expected);
    }
}
