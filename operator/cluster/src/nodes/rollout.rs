//! Which pod is replaced next, if any. Pure.
//!
//! Standbys first, each verified before the next, the leader last: the active node changes once, and no node of the old
//! version leads after one of the new.

use std::time::Duration;

/// A node as the rollout sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) pod: String,
    pub(crate) uid: String,
    /// Made from what is wanted now.
    pub(crate) updated: bool,
    /// Open, and following or leading, in the wanted version.
    pub(crate) serves: bool,
    pub(crate) leads: bool,
    pub(crate) sealed: bool,
    /// Its machine answers, and nothing listens there.
    pub(crate) refuses_connections: bool,
    /// It follows, and does not learn whom.
    pub(crate) leader_unknown: bool,
    /// For how long it is sealed, or astray.
    pub(crate) unhealthy_for: Duration,
    pub(crate) ending: bool,
    pub(crate) backs_off: bool,
    pub(crate) age: Duration,
    /// How long its process runs.
    pub(crate) running: Option<Duration>,
    /// What keeps it from running.
    pub(crate) trouble: Option<String>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) replicas: usize,
    /// Why no pod is replaced for a change now.
    pub(crate) hold: Option<String>,
    /// Whether the seal can be opened: a node that starts needs it.
    pub(crate) seal_reachable: bool,
    /// Whether storage holds something to open.
    pub(crate) initialized: bool,
    pub(crate) node_timeout: Duration,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// All is as it should be.
    Settled,
    /// Something is under way.
    Wait(String),
    /// This pod is ended and made anew.
    Replace { pod: String, uid: String, why: String },
    /// The change does not work.
    Stop(String),
}

/// How long a node may stay sealed by itself.
const SEALED: Duration = Duration::from_secs(30);
/// How long one may take until it listens, where others were made from the same and serve. A start is a second's work.
const DEAF: Duration = Duration::from_secs(30);

pub(crate) fn next(nodes: &[Node], goal: &Goal) -> Step {
    if let Some(node) = nodes.iter().find(|node| node.ending) {
        return Step::Wait(format!("{} ends", node.pod));
    }
    if let Some(step) = cure(nodes, goal) {
        return step;
    }
    if let Some(step) = verified(nodes, goal) {
        return step;
    }
    if nodes.len() < goal.replicas {
        return Step::Wait(format!("{} of {} pods are there", nodes.len(), goal.replicas));
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

/// A node that cannot help itself: sealed though the seal opens, kept from starting by the kubelet's pause, waiting for a
/// database that lets in the others (its machine has given it the login of an incarnation before, which was fenced), or not
/// learning who leads. Of the last kind one takes over as well as any: it stays while others are missing.
fn cure(nodes: &[Node], goal: &Goal) -> Option<Step> {
    if !goal.seal_reachable || !goal.initialized {
        return None;
    }
    let stuck = |node: &&Node| {
        let sealed = node.sealed && node.unhealthy_for > SEALED;
        // One whose start fails for another reason would be started again and again.
        let backs_off = node.backs_off && node.trouble.as_deref().is_some_and(of_the_seal);
        let leader_unknown =
            node.leader_unknown && nodes.iter().all(|other| other.serves || other.leader_unknown);
        sealed || backs_off || leader_unknown || refuses_connections(node, nodes)
    };
    let node = nodes.iter().find(stuck)?;
    let why = if node.sealed {
        "it stays sealed though its seal opens"
    } else if node.leader_unknown {
        "it does not learn who leads, and fails whatever it is asked for"
    } else if refuses_connections(node, nodes) {
        "it does not listen, and others that were made like it serve"
    } else {
        "its seal opens again"
    };
    Some(Step::Replace { pod: node.pod.clone(), uid: node.uid.clone(), why: why.to_owned() })
}

fn refuses_connections(node: &Node, nodes: &[Node]) -> bool {
    let works = nodes.iter().any(|other| other.updated && other.serves);
    works && node.updated && node.refuses_connections && node.running.is_some_and(|running| running > DEAF)
}

/// Whether a start failed for what the seal said.
fn of_the_seal(trouble: &str) -> bool {
    ["seal", "wrapper", "kms", "unwrap"].iter().any(|word| trouble.to_lowercase().contains(word))
}

/// Whether those that were replaced have come up.
fn verified(nodes: &[Node], goal: &Goal) -> Option<Step> {
    let coming = nodes.iter().filter(|node| node.updated && !node.serves);
    let late = coming.clone().find(|node| node.age > goal.node_timeout);
    if let Some(node) = late
        && goal.seal_reachable
    {
        let trouble = node.trouble.clone().unwrap_or_else(|| {
            if node.sealed {
                "it stays sealed".to_owned()
            } else {
                "it does not answer as it should".to_owned()
            }
        });
        let seconds = goal.node_timeout.as_secs();
        return Some(Step::Stop(format!(
            "{} does not come up within {seconds} s ({trouble}); change the spec, or put it back",
            node.pod
        )))
        .filter(|_| goal.initialized);
    }
    let node = coming.clone().next()?;
    // An outdated node that does not serve is no reason to wait for: it is replaced by what may put things right.
    let trouble = node.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    Some(Step::Wait(format!("{} starts{trouble}", node.pod)))
}

fn replaced(nodes: &[Node], outdated: &[&Node], goal: &Goal) -> Step {
    let replace = |node: &Node, why: &str| Step::Replace {
        pod: node.pod.clone(),
        uid: node.uid.clone(),
        why: why.to_owned(),
    };
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
        _ => Step::Wait("a standby is missing to take over from the leader".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// `n` updated, `o` outdated; then `l` leads, `s` follows, `x` does not serve, `a` knows no leader, `z` sealed, `e` ending.
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
            leader_unknown: has('a'),
            unhealthy_for: Duration::from_secs(if has('!') { 600 } else { 5 }),
            ending: has('e'),
            backs_off: has('b'),
            age: Duration::from_secs(if has('!') { 600 } else { 5 }),
            running: Some(Duration::from_secs(if has('!') { 600 } else { 5 })),
            trouble: has('b').then(|| "Error configuring seal \"kmip\": connection refused".to_owned()),
        }
    }

    fn goal(hold: Option<&str>, seal_reachable: bool) -> Goal {
        let hold = hold.map(str::to_owned);
        Goal { replicas: 3, hold, seal_reachable, initialized: true, node_timeout: Duration::from_secs(120) }
    }

    fn said(nodes: &str, goal: &Goal) -> String {
        let nodes: Vec<Node> = nodes.split(' ').enumerate().map(node).collect();
        match next(&nodes, goal) {
            Step::Settled => "settled".to_owned(),
            Step::Wait(what) => format!("wait: {what}"),
            Step::Replace { pod, why, .. } => format!("replace {pod}: {why}"),
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
    #[case("ole ns ns", "wait: main-0 ends")]
    #[case("ns nl", "wait: 2 of 3 pods are there")]
    #[case(
        "ol os nx!",
        "stop: main-2 does not come up within 120 s (it does not answer as it should); change the spec, or put it back"
    )]
    #[case("ol os ox", "replace main-2: it does not serve and is outdated")]
    #[case("nl ns nz!", "replace main-2: it stays sealed though its seal opens")]
    #[case("nl ns nz", "wait: main-2 starts")]
    #[case("nl ns nxd!", "replace main-2: it does not listen, and others that were made like it serve")]
    #[case("nl ns nxd", "wait: main-2 starts")]
    #[case(
        "ol os nxd!",
        "stop: main-2 does not come up within 120 s (it does not answer as it should); change the spec, or put it back"
    )]
    #[case("nl ns nxb", "replace main-2: its seal opens again")]
    #[case("nl na ns", "replace main-1: it does not learn who leads, and fails whatever it is asked for")]
    #[case("nl na na", "replace main-1: it does not learn who leads, and fails whatever it is asked for")]
    #[case("nl nx na", "wait: main-1 starts")]
    fn standbys_go_first_and_one_at_a_time(#[case] nodes: &str, #[case] expected: &str) {
        assert_eq!(said(nodes, &goal(None, true)), expected);
    }

    #[rstest]
    #[case("ol os os", "wait: paused")]
    #[case("nl ns ns", "settled")]
    fn nothing_is_replaced_while_it_is_held(#[case] nodes: &str, #[case] expected: &str) {
        assert_eq!(said(nodes, &goal(Some("paused"), true)), expected);
    }

    #[rstest]
    #[case("nl ns nxb!")]
    #[case("nl ns nz!")]
    fn a_seal_that_does_not_open_is_waited_for(#[case] nodes: &str) {
        assert!(said(nodes, &goal(None, false)).starts_with("wait: main-2 starts"));
    }

    proptest! {
        /// Carried out step by step, from any mixture, every rollout ends, with at most one change of the leader, and
        /// none of the outdated leads after one of the updated.
        #[test]
        fn a_rollout_ends_with_one_change_of_the_leader(updated in proptest::collection::vec(any::<bool>(), 3), leader in 0_usize..3) {
            // An updated node leads only where all are: the order of earlier steps.
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
