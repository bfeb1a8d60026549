//! The next step of a rollout. Pure.
//!
//! Standbys are replaced first, each is verified before the next, and the leader is last: the leader changes once, and
//! no node of the old version leads after one of the new version.

use crate::children::Ending;
use crate::nodes::fault::Fault;
use crate::nodes::node::{Goal, Node};
use crate::nodes::repair;

/// Next step of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Every node is in the desired state.
    Settled,
    /// Progress is awaited.
    Wait(String),
    /// This pod is deleted, so that the StatefulSet recreates it.
    Replace { pod: String, uid: String, why: String, ending: Ending },
    /// This node is repaired: its pod is deleted, if necessary after its login was blocked.
    Repair { pod: String, uid: String, fault: Fault },
    /// The change fails.
    Stop(String),
}

pub(crate) fn next(nodes: &[Node], goal: &Goal) -> Step {
    repaired(nodes, goal).unwrap_or_else(|| without_repair(nodes, goal))
}

/// Next step of a rollout that repairs no node.
pub(crate) fn without_repair(nodes: &[Node], goal: &Goal) -> Step {
    if let Some(node) = nodes.iter().find(|node| node.ending) {
        return Step::Wait(format!("{} terminates", node.pod));
    }
    if let Some(step) = verified(nodes, goal) {
        return step;
    }
    if nodes.len() < goal.replicas {
        return Step::Wait(format!("{} of {} pods exist", nodes.len(), goal.replicas));
    }
    let outdated: Vec<&Node> = nodes.iter().filter(|node| !node.updated).collect();
    if outdated.is_empty() {
        return Step::Settled;
    }
    if let Some(hold) = &goal.hold {
        return Step::Wait(hold.clone());
    }
    replaced(nodes, &outdated, goal)
}

/// Repair of a node, or of a StatefulSet that recreates no pod.
pub(crate) fn repaired(nodes: &[Node], goal: &Goal) -> Option<Step> {
    match repair::next(nodes, goal) {
        Some((Node { pod, uid, .. }, fault)) => {
            Some(Step::Repair { pod: pod.clone(), uid: uid.clone(), fault })
        }
        None => unblocked(nodes, goal),
    }
}

/// Replaces the lowest pod that lacks a volume while a pod is missing: Kubernetes recreates no pod of a higher ordinal before
/// it. No reason to wait applies to this.
fn unblocked(nodes: &[Node], goal: &Goal) -> Option<Step> {
    let lacks = |node: &Node| goal.lacking.contains(&node.pod);
    let is_coming = |node: &Node| {
        !node.serves && !node.fenced && !lacks(node) && node.unready_for <= goal.patience(nodes)
    };
    if nodes.len() >= goal.replicas || nodes.iter().any(|node| node.ending || is_coming(node)) {
        return None;
    }
    let node = nodes.iter().find(|node| lacks(node)).filter(|node| has_other(nodes, node))?;
    Some(replace(node, "a pod is missing, and Kubernetes does not recreate it while this one lacks a volume"))
}

/// Returns true if another node serves.
fn has_other(nodes: &[Node], node: &Node) -> bool {
    nodes.iter().any(|other| other.serves && other.pod != node.pod)
}

/// Waits for replaced nodes, up to the timeout.
fn verified(nodes: &[Node], goal: &Goal) -> Option<Step> {
    let coming = nodes.iter().filter(|node| node.updated && !node.serves && !node.fenced);
    let late = coming.clone().find(|node| node.unready_for > goal.patience(nodes));
    if let Some(node) = late
        && goal.seal_reachable
    {
        let trouble = node.trouble.clone().unwrap_or_else(|| {
            if node.sealed { "it stays sealed".to_owned() } else { "it does not serve".to_owned() }
        });
        let seconds = goal.patience(nodes).as_secs();
        return Some(Step::Stop(format!(
            "{} does not come up within {seconds} s ({trouble}); correct or revert the spec",
            node.pod
        )))
        .filter(|_| goal.initialized);
    }
    let node = coming.clone().next()?;
    // An outdated node that does not serve is not awaited: the change may repair it.
    let trouble = node.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    Some(Step::Wait(format!("{} starts{trouble}", node.pod)))
}

fn replaced(nodes: &[Node], outdated: &[&Node], goal: &Goal) -> Step {
    if let Some(node) = outdated.first().filter(|_| !goal.lacking.is_empty()) {
        if (node.leads || node.serves) && !has_other(nodes, node) {
            return Step::Wait(format!("{} lacks a volume, and no other node serves", node.pod));
        }
        return replace(node, "it is outdated and lacks a volume");
    }
    if let Some(node) = outdated.iter().rev().find(|node| !node.serves) {
        return replace(node, "it does not serve and is outdated");
    }
    if let Some(node) = outdated.iter().rev().find(|node| !node.leads) {
        return replace(node, "it is outdated");
    }
    let others = nodes.iter().filter(|node| !node.leads).count();
    match outdated.first() {
        Some(leader) if others + 1 >= goal.replicas => {
            replace(leader, "it is outdated and leads; all others are ready")
        }
        _ => Step::Wait("no standby is available to take over from the leader".to_owned()),
    }
}

fn replace(node: &Node, why: &str) -> Step {
    // A node that waits for its database does not stop gracefully.
    let ending = if node.refuses_connections { Ending::Prompt } else { Ending::Graceful };
    Step::Replace { pod: node.pod.clone(), uid: node.uid.clone(), why: why.to_owned(), ending }
}

impl Step {
    /// Text for a status, unless all nodes are in the desired state.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Settled => None,
            Self::Wait(what) => Some(what.clone()),
            Self::Replace { pod, why, .. } => Some(format!("{pod} is replaced: {why}")),
            Self::Repair { pod, fault, .. } => Some(format!("{pod} is replaced: {}", fault.why())),
            Self::Stop(why) => Some(format!("stopped: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::waits::Waits;

    /// `n` updated, `o` outdated; then `l` leads, `s` follows, `x` does not serve, `a` has no known leader, `t` answers
    /// from before, `z` sealed,
    /// `e` terminating, `d` refuses connections, `b` in the restart delay, `!` for a long time.
    fn node((index, text): (usize, &str)) -> Node {
        let has = |letter| text.contains(letter);
        Node {
            pod: format!("main-{index}"),
            uid: format!("u{index}"),
            updated: has('n'),
            serves: has('l') || has('s'),
            leads: has('l'),
            sealed: has('z'),
            refuses_connections: has('d'),
            ending: has('e'),
            fenced: has('f'),
            fault: fault(text).filter(|_| !has('e')),
            pausing: false,
            unready_for: Duration::from_secs(if has('!') { 600 } else { 5 }),
            trouble: has('b').then(|| "Error configuring seal \"kmip\": connection refused".to_owned()),
        }
    }

    fn fault(text: &str) -> Option<Fault> {
        let has = |letter| text.contains(letter);
        let faults = [
            ('t', Fault::Stale, true),
            ('a', Fault::LeaderUnknown, true),
            ('b', Fault::FailedAtSeal, true),
            ('z', Fault::Sealed, has('!')),
            ('d', Fault::NotListening, has('!')),
        ];
        faults.into_iter().find(|(letter, _, lasts)| has(*letter) && *lasts).map(|(_, fault, _)| fault)
    }

    fn goal(hold: Option<&str>, seal_reachable: bool) -> Goal {
        let hold = hold.map(str::to_owned);
        Goal {
            replicas: 3,
            hold,
            seal_reachable,
            initialized: true,
            template_works: false,
            node_timeout: Duration::from_secs(120),
            waits: Waits::default(),
            lacking: Vec::new(),
        }
    }

    /// All outdated nodes lack a volume.
    fn lacking(nodes: &str, goal: Goal) -> Goal {
        let outdated = nodes.split(' ').enumerate().filter(|(_, text)| text.contains('o'));
        Goal { lacking: outdated.map(|(index, _)| format!("main-{index}")).collect(), ..goal }
    }

    fn said(nodes: &str, goal: &Goal) -> String {
        let nodes: Vec<Node> = nodes.split(' ').enumerate().map(node).collect();
        match next(&nodes, goal) {
            Step::Settled => "settled".to_owned(),
            Step::Wait(what) => format!("wait: {what}"),
            Step::Replace { pod, why, .. } => format!("replace {pod}: {why}"),
            Step::Repair { pod, fault, .. } => format!("replace {pod}: {}", fault.why()),
            Step::Stop(why) => format!("stop: {why}"),
        }
    }

    #[rstest]
    #[case("nl ns ns", "settled")]
    #[case("ol os os", "replace main-2: it is outdated")]
    #[case("ol os nx", "wait: main-2 starts")]
    #[case("ol os ns", "replace main-1: it is outdated")]
    #[case("ol ns ns", "replace main-0: it is outdated and leads; all others are ready")]
    #[case("os ol ns", "replace main-0: it is outdated")]
    #[case("ole ns ns", "wait: main-0 terminates")]
    #[case("ns nl", "wait: 2 of 3 pods exist")]
    #[case(
        "ol os nx!",
        "stop: main-2 does not come up within 120 s (it does not serve); correct or revert the spec"
    )]
    #[case("ol os ox", "replace main-2: it does not serve and is outdated")]
    #[case("nl ns nz!", "replace main-2: it stays sealed although its seal opens")]
    #[case("nl ns nz", "wait: main-2 starts")]
    #[case("nl ns nxf!", "settled")]
    #[case("nl ns nxd!", "replace main-2: it does not listen, although database and seal are reachable")]
    #[case("nl ns nxd", "wait: main-2 starts")]
    #[case(
        "ol os nxd!",
        "stop: main-2 does not come up within 120 s (it does not serve); correct or revert the spec"
    )]
    #[case("nl ns nxb", "replace main-2: its seal opens again")]
    #[case("nl na ns", "replace main-1: it has not discovered the leader and fails every request")]
    #[case("nl na na", "replace main-1: it has not discovered the leader and fails every request")]
    #[case("nl nx na", "wait: main-1 starts")]
    #[case("nl nt ns", "replace main-1: it answers reads and does not follow the leader")]
    #[case("nl nte nt", "replace main-2: it answers reads and does not follow the leader")]
    #[case("nl nx nt", "replace main-2: it answers reads and does not follow the leader")]
    #[case("nl nte ns", "wait: main-1 terminates")]
    #[case("ns nt ns", "wait: main-1 starts")]
    fn standbys_are_replaced_first_and_one_at_a_time(#[case] nodes: &str, #[case] expected: &str) {
        assert_eq!(said(nodes, &goal(None, true)), expected);
    }

    #[rstest]
    #[case("ol os os", "wait: paused")]
    #[case("nl ns ns", "settled")]
    fn no_node_is_replaced_while_the_change_is_on_hold(#[case] nodes: &str, #[case] expected: &str) {
        assert_eq!(said(nodes, &goal(Some("paused"), true)), expected);
    }

    #[rstest]
    #[case("ol os os", "replace main-0: it is outdated and lacks a volume")]
    #[case("os ol ox", "replace main-0: it is outdated and lacks a volume")]
    #[case("ol os ox", "replace main-0: it is outdated and lacks a volume")]
    #[case("ol ox ox", "wait: main-0 lacks a volume, and no other node serves")]
    #[case("ns ol os", "replace main-1: it is outdated and lacks a volume")]
    #[case("nx ol os", "wait: main-0 starts")]
    #[case("ns ns nl", "settled")]
    fn nodes_that_lack_a_volume_are_replaced_in_order(#[case] nodes: &str, #[case] expected: &str) {
        assert_eq!(said(nodes, &lacking(nodes, goal(None, true))), expected);
    }

    #[rstest]
    #[case("ol os", "replace main-0: a pod is missing")]
    #[case("ns ol", "replace main-1: a pod is missing")]
    #[case("nx ol", "wait: main-0 starts")]
    #[case("ol ox", "wait: 2 of 3 pods exist")]
    #[case("ole os", "wait: main-0 terminates")]
    #[case("ns nl", "wait: 2 of 3 pods exist")]
    fn a_lost_pod_returns_while_volumes_are_added(#[case] nodes: &str, #[case] expected: &str) {
        for hold in [None, Some("paused")] {
            let text = said(nodes, &lacking(nodes, goal(hold, true)));
            assert!(text.starts_with(expected), "{text}");
        }
    }

    /// With a takeover of 110 s, a node that does not answer is repaired after 220 s.
    #[rstest]
    #[case::short_takeovers(0, 121, "stop: main-2 does not come up within 120 s")]
    #[case::before_the_repair(110, 219, "wait: main-2 starts")]
    #[case::after_the_repair(110, 221, "stop: main-2 does not come up within 220 s")]
    fn a_rollout_does_not_stop_before_a_node_is_repaired(
        #[case] takeover: u64,
        #[case] seconds: u64,
        #[case] expected: &str,
    ) {
        let mut nodes: Vec<Node> = "nl ns nx".split(' ').enumerate().map(node).collect();
        nodes[2].unready_for = Duration::from_secs(seconds);
        let goal = Goal { waits: Waits::of(Duration::from_secs(takeover)), ..goal(None, true) };
        let step = next(&nodes, &goal);
        let said = match &step {
            Step::Wait(what) => format!("wait: {what}"),
            Step::Stop(why) => format!("stop: {why}"),
            _ => format!("{step:?}"),
        };
        assert!(said.starts_with(expected), "{said}");
    }

    #[rstest]
    #[case("nl ns nxb!")]
    #[case("nl ns nz!")]
    fn the_rollout_waits_for_a_seal_that_does_not_open(#[case] nodes: &str) {
        assert!(said(nodes, &goal(None, false)).starts_with("wait: main-2 starts"));
    }

    proptest! {
        /// From any mixture of nodes, a rollout ends after at most one change of the leader, and no outdated node leads
        /// after an updated one.
        #[test]
        fn a_rollout_ends_with_one_change_of_the_leader(updated in proptest::collection::vec(any::<bool>(), 3), leader in 0_usize..3) {
            // An updated node leads only if all nodes are updated: the order of earlier steps.
            prop_assume!(!updated[leader] || updated.iter().all(|updated| *updated));
            let text = |index: usize, updated: bool| format!("{}{}", if updated { 'n' } else { 'o' }, if index == leader { 'l' } else { 's' });
            let mut nodes: Vec<Node> = updated.iter().enumerate().map(|(index, updated)| node((index, &text(index, *updated)))).collect();
            let mut changes = 0;
            for _ in 0..10 {
                match next(&nodes, &goal(None, true)) {
                    Step::Settled => break,
                    Step::Replace { pod, .. } => {
                        let at = nodes.iter().position(|node| node.pod == pod).unwrap();
                        if nodes[at].leads {
                            changes += 1;
                            nodes[at].leads = false;
                            let next_leader = (at + 1) % 3;
                            prop_assert!(nodes[next_leader].updated);
                            nodes[next_leader].leads = true;
                        }
                        nodes[at].updated = true;
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert!(nodes.iter().all(|node| node.updated));
            prop_assert!(changes <= 1);
        }
    }
}
