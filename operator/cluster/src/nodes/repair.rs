//! The one procedure that repairs a node. Pure.
//!
//! A node that does not serve although it could is replaced: its login is blocked if its process may still write, then its
//! pod is deleted, by force only if its Kubernetes node does not confirm the end. One node at a time, with pauses that
//! double.

use crate::nodes::fault::Fault;
use crate::nodes::node::{Goal, Node};
use crate::waits::Waits;

/// The node to repair now.
pub(crate) fn next<'a>(nodes: &'a [Node], goal: &Goal) -> Option<(&'a Node, Fault)> {
    if !goal.can_start() {
        return None;
    }
    let faulty = nodes.iter().filter(|node| !node.pausing).filter_map(|node| Some((node, node.fault?)));
    // A stale node may answer with a withdrawn secret: it does not wait for others.
    let stale =
        faulty.clone().find(|(_, fault)| *fault == Fault::Stale && nodes.iter().any(|node| node.leads));
    let lost = faulty.clone().find(|(_, fault)| *fault == Fault::Unconfirmed);
    stale.or(lost).or_else(|| {
        faulty.filter(|(_, fault)| *fault != Fault::Stale).find(|(node, fault)| {
            let others = || nodes.iter().filter(|other| other.uid != node.uid);
            let works = goal.template_works || others().any(|other| other.updated && other.serves);
            let waits_for_other = others().any(|other| is_coming(other, goal.waits));
            node.updated && (works || !fault.depends_on_template()) && !waits_for_other
        })
    })
}

/// Returns true for a node that ends or starts: one node is repaired at a time.
fn is_coming(node: &Node, waits: Waits) -> bool {
    node.fault.is_none() && (node.ending || !node.serves && node.unready_for <= waits.problem())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    fn node(pod: usize, state: &str) -> Node {
        let fault = match state.trim_end_matches('*') {
            "Stale" => Some(Fault::Stale),
            "LeaderUnknown" => Some(Fault::LeaderUnknown),
            "NotListening" => Some(Fault::NotListening),
            "NoStorage" => Some(Fault::NoStorage),
            "Silent" => Some(Fault::Silent),
            "Unconfirmed" => Some(Fault::Unconfirmed),
            _ => None,
        };
        let is = |name| state.trim_end_matches('*') == name;
        Node {
            pod: format!("main-{pod}"),
            uid: format!("u{pod}"),
            updated: !is("Outdated"),
            serves: is("leads") || is("serves"),
            leads: is("leads"),
            sealed: false,
            refuses_connections: is("NotListening"),
            ending: is("ends") || is("Unconfirmed"),
            fenced: false,
            fault,
            pausing: state.ends_with('*'),
            unready_for: Duration::from_secs(if is("starts") { 5 } else { 600 }),
            trouble: None,
        }
    }

    fn repaired(states: &str, goal: &Goal) -> Option<String> {
        let nodes: Vec<Node> = states.split(' ').enumerate().map(|(pod, state)| node(pod, state)).collect();
        next(&nodes, goal).map(|(node, fault)| format!("{} {fault:?}", node.pod))
    }

    #[rstest]
    #[case::terminating_others_serve("leads serves Unconfirmed", Some("main-2 Unconfirmed"))]
    #[case::terminating_none_serves("silent silent Unconfirmed", Some("main-2 Unconfirmed"))]
    #[case::silent_others_serve("leads serves Silent", Some("main-2 Silent"))]
    #[case::silent_none_serves("Silent Silent Silent", Some("main-0 Silent"))]
    #[case::no_storage_others_serve("leads serves NoStorage", Some("main-2 NoStorage"))]
    #[case::no_storage_none_serves("NoStorage NoStorage NoStorage", Some("main-0 NoStorage"))]
    #[case::refused_others_serve("leads serves NotListening", Some("main-2 NotListening"))]
    #[case::refused_none_serves("NotListening NotListening NotListening", Some("main-0 NotListening"))]
    #[case::one_replica("NotListening", Some("main-0 NotListening"))]
    #[case::another_starts("leads starts Silent", None)]
    #[case::another_ends("leads ends Silent", None)]
    #[case::another_does_not_start("leads missing Silent", Some("main-2 Silent"))]
    #[case::another_is_repaired("leads Silent* Silent", Some("main-2 Silent"))]
    #[case::pausing("leads serves Silent*", None)]
    #[case::stale_while_another_starts("leads starts Stale", Some("main-2 Stale"))]
    #[case::stale_without_a_leader("serves serves Stale", None)]
    #[case::leader_unknown_while_another_starts("leads starts LeaderUnknown", None)]
    #[case::leader_unknown_beside_a_missing_one("leads missing LeaderUnknown", Some("main-2 LeaderUnknown"))]
    #[case::lost_before_others("leads Silent Unconfirmed", Some("main-2 Unconfirmed"))]
    #[case::healthy("leads serves serves", None)]
    fn one_node_that_does_not_serve_is_repaired(#[case] states: &str, #[case] expected: Option<&str>) {
        assert_eq!(repaired(states, &Goal::sample()).as_deref(), expected);
    }

    #[rstest]
    #[case::none_serves("Silent Silent Silent", None)]
    #[case::others_serve("leads serves Silent", Some("main-2 Silent"))]
    #[case::terminating("Silent Silent Unconfirmed", Some("main-2 Unconfirmed"))]
    fn a_template_that_never_served_is_not_repaired(#[case] states: &str, #[case] expected: Option<&str>) {
        assert_eq!(repaired(states, &Goal { template_works: false, ..Goal::sample() }).as_deref(), expected);
    }

    #[rstest]
    #[case::seal_closed(Goal { seal_reachable: false, ..Goal::sample() })]
    #[case::no_data(Goal { initialized: false, ..Goal::sample() })]
    fn no_node_is_repaired_that_could_not_start(#[case] goal: Goal) {
        for states in ["leads serves Silent", "leads serves Unconfirmed", "leads serves Stale"] {
            assert_eq!(repaired(states, &goal), None);
        }
    }

    #[test]
    fn only_a_process_that_may_write_loses_its_login_and_only_a_lost_machine_needs_force() {
        let facts = |fault: Fault| (fault.may_write(), fault.ending());
        assert_eq!(facts(Fault::Silent), (true, crate::children::Ending::Prompt));
        assert_eq!(facts(Fault::NoStorage), (true, crate::children::Ending::Prompt));
        assert_eq!(facts(Fault::Unconfirmed), (true, crate::children::Ending::AtOnce));
        assert_eq!(facts(Fault::NotListening), (false, crate::children::Ending::Prompt));
        assert_eq!(facts(Fault::LeaderUnknown), (false, crate::children::Ending::Graceful));
    }
}
