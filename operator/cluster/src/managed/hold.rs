//! Reasons why no pod is replaced for a change now: a pause, a window, a supervised leader, an outage. Pure.

use jiff::Timestamp;
use steamer_api::{LeaderUpgrade, ManagedServer};
use steamer_core::windows::Windows;

use crate::cluster::{Cluster, STEP_DOWN};
use crate::managed::cause::Cause;
use crate::managed::observe::Observed;
use crate::nodes::members::Member;
use crate::nodes::replace::Rollout;
use crate::nodes::rollout::Step;
use crate::nodes::turns::MOST;

/// Reason of a change that only another version of Steamer makes. It must not change every cluster at once.
pub(crate) const DEFERRED: &str = "this version of Steamer creates other pods: they are replaced with the next change of this cluster, in a \
     window of upgrade.windows, or by the annotation steamer.dev/restart";

/// The first reason, if any.
pub(crate) fn hold(
    spec: &ManagedServer,
    observed: &Observed,
    cause: Cause,
    now: Timestamp,
) -> Option<String> {
    let Observed { seal, storage, .. } = observed;
    if spec.upgrade.paused {
        Some("a change waits: upgrade.paused".to_owned())
    } else if seal.prevents_changes() {
        Some(format!("a change waits for the seal: {}", seal.text()))
    } else if storage.is_err() {
        Some("a change waits for the database".to_owned())
    } else if cause == Cause::Steamer && spec.upgrade.windows.is_empty() {
        Some(DEFERRED.to_owned())
    } else {
        closed_window(spec, now).or_else(|| (!observed.has_turn).then(queued))
    }
}

/// Reason of a change that waits until fewer other clusters are being changed.
pub(crate) fn queued() -> String {
    format!("a change waits: {MOST} other clusters are being changed")
}

/// Returns true if a rollout is complete except for what only another version of Steamer changes.
pub(crate) fn is_deferred(step: &Step) -> bool {
    *step == Step::Wait(DEFERRED.to_owned())
}

fn closed_window(spec: &ManagedServer, now: Timestamp) -> Option<String> {
    let windows = Windows::parse(&spec.upgrade.windows, "spec.managed.upgrade.windows").ok()?;
    let until = windows.closed_until(now)?;
    Some(if until == Timestamp::MAX {
        "a change waits: no window of upgrade.windows ever opens".to_owned()
    } else {
        format!("a change waits for the next window of upgrade.windows, at {until}")
    })
}

/// Keeps an outdated leader until a user has moved the leader to another node.
pub(crate) fn supervised(cluster: &Cluster, rollout: Rollout, members: &[Member], revision: &str) -> Rollout {
    let leads = |member: &&Member| member.answer.is_active() && member.revision() != Some(revision);
    let Some(leader) = members.iter().find(leads).map(Member::name) else { return rollout };
    match &rollout.step {
        Step::Replace { pod, .. }
            if *pod == leader && cluster.spec.upgrade.leader == LeaderUpgrade::Supervised =>
        {
            let step = Step::Wait(format!(
                "{leader} leads, is outdated and waits (upgrade.leader: Supervised): move the leader with the annotation \
                 {STEP_DOWN}=<now>"
            ));
            Rollout { step, ..rollout }
        }
        _ => rollout,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_core::error::Error;

    use super::*;
    use crate::children::Ending;
    use crate::seal::check::SealCheck;
    use crate::tests::{TEMPLATE, cluster_with, member, observed};

    const NIGHT: &str = "2026-11-28T23:00:00Z";
    const DAY: &str = "2026-11-28T12:00:00Z";

    #[rstest]
    #[case::default(json!({}), DAY, "")]
    #[case::paused(json!({"paused": true}), DAY, "upgrade.paused")]
    #[case::window_of_a_pause(json!({"paused": true, "windows": ["0 22 * * *"]}), NIGHT, "upgrade.paused")]
    #[case::open_window(json!({"windows": ["0 22 * * *"]}), NIGHT, "")]
    #[case::closed_window(json!({"windows": ["0 22 * * *"]}), DAY, "at 2026-11-28T22:00:00Z")]
    #[case::window_that_never_opens(json!({"windows": ["0 0 31 2 *"]}), DAY, "no window of upgrade.windows ever opens")]
    fn a_change_waits_for_its_window(#[case] mut upgrade: Value, #[case] now: &str, #[case] expected: &str) {
        for schedule in upgrade.get_mut("windows").and_then(Value::as_array_mut).into_iter().flatten() {
            *schedule = json!({"kind": "Allow", "schedule": schedule, "duration": "8h"});
        }
        let cluster = cluster_with(json!({"upgrade": upgrade}));
        let said =
            hold(&cluster.spec, &observed("lss"), Cause::Cluster, now.parse().unwrap()).unwrap_or_default();
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
    }

    #[rstest]
    #[case::seal(
        |observed: &mut Observed| observed.seal = SealCheck::Unreachable("k".to_owned()),
        "a change waits for the seal: k"
    )]
    #[case::database(
        |observed: &mut Observed| observed.storage = Err(Arc::new(Error::Waiting("d".to_owned()))),
        "a change waits for the database"
    )]
    #[case::other_clusters(
        |observed: &mut Observed| observed.has_turn = false,
        "a change waits: 4 other clusters are being changed"
    )]
    fn a_change_waits_for_what_a_starting_node_needs(
        #[case] change: fn(&mut Observed),
        #[case] expected: &str,
    ) {
        let mut observed = observed("lss");
        change(&mut observed);
        let spec = cluster_with(json!({})).spec;
        let said = hold(&spec, &observed, Cause::Cluster, DAY.parse().unwrap());
        assert_eq!(said.as_deref(), Some(expected));
    }

    #[test]
    fn a_change_may_correct_the_seal_of_a_node_that_failed() {
        let observed = Observed { seal: SealCheck::Failing("f".to_owned()), ..observed("lss") };
        let spec = cluster_with(json!({})).spec;
        assert_eq!(hold(&spec, &observed, Cause::Cluster, DAY.parse().unwrap()), None);
        assert!(!observed.can_start(), "a node is not replaced because it failed");
    }

    #[rstest]
    #[case::outdated_leader("Supervised", "new", "main-0", "wait")]
    #[case::outdated_standby("Supervised", "new", "main-1", "replace")]
    #[case::repair_of_an_updated_node("Supervised", TEMPLATE, "main-0", "replace")]
    #[case::automatic("Automatic", "new", "main-0", "replace")]
    fn a_supervised_leader_is_not_replaced(
        #[case] leader: &str,
        #[case] revision: &str,
        #[case] replaced: &str,
        #[case] expected: &str,
    ) {
        let members: Vec<Member> = "lss".chars().enumerate().map(member).collect();
        let step = Step::Replace {
            pod: replaced.to_owned(),
            uid: "u".to_owned(),
            why: "it is outdated".to_owned(),
            ending: Ending::Graceful,
        };
        let cluster = cluster_with(json!({"upgrade": {"leader": leader}}));
        let rollout = supervised(&cluster, Rollout { step, updated: 2 }, &members, revision);
        let said = match rollout.step {
            Step::Wait(text) if text.contains("steamer.dev/step-down") => "wait",
            Step::Replace { .. } => "replace",
            _ => "another step",
        };
        assert_eq!(said, expected);
    }
}
