//! Withdraws a standby with a problem from the Service of the standbys until it is repaired: its health endpoint reports that it
//! is healthy, so Kubernetes would keep it there. Other faulty nodes are not ready, and leave each Service.
//!
//! The Service of all nodes keeps it until its pod is deleted. Its selector consists of labels that the StatefulSet also
//! selects, and a pod without one of them would be released by the StatefulSet. A selector with one more label would select no
//! pod before all of them have it, and no recreated pod while Steamer is down, unless the label is in the template of the pods,
//! a change of which replaces them.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_core::error::Error;
use steamer_runtime::write_limit::{Write, digest};

use crate::cluster::{ACTIVE, Cluster, LEADER_UNKNOWN, Mode, WITHDRAWN};
use crate::effects::Effects;
use crate::nodes::leader;
use crate::nodes::members::Member;

/// Withdraws the standbys that have a problem, and returns those that follow the leader again.
///
/// # Errors
/// [`Error::Repeated`] if another client undoes a label. The other pods are labeled nevertheless.
pub(crate) async fn carry_out(
    effects: &Effects<'_>,
    cluster: &Cluster,
    members: &[Member],
) -> Result<(), Error> {
    if !cluster.spec.standby_reads {
        return Ok(());
    }
    let (api, mut contested) = (effects.child_api.api::<Pod>(), None);
    let has_mark = effects.guard_target.standby_mark.lock().is_some();
    // While the cluster is suspended, Steamer writes none.
    let is_proven = has_mark || cluster.mode != Mode::Suspended;
    for (pod, label) in changes(members, is_proven) {
        let resource = format!("label {ACTIVE} of Pod {}", pod.name_any());
        let labeled = leader::write(&api, pod, label);
        let written = effects.child_api.limited(&resource, labeling(pod, label), labeled).await;
        Error::set_aside(written, &mut contested)?;
    }
    contested.map_or(Ok(()), Err)
}

fn labeling(pod: &Pod, label: &str) -> Write {
    Write {
        resource: digest(&(WITHDRAWN, pod.uid())),
        desired: digest(label),
        before: digest(&pod.labels().get(ACTIVE)),
        interval: Duration::ZERO,
    }
}

/// The pods whose label changes, and the new values.
fn changes(members: &[Member], is_proven: bool) -> Vec<(&Pod, &'static str)> {
    let present = members.iter().filter(|member| !member.is_ending());
    present.filter_map(|member| Some((&*member.pod, change(member, is_proven)?))).collect()
}

/// New value of the label. None: it stays.
///
/// A withdrawn standby returns after it has proven with a mark that it follows the leader. Without marks (`is_proven` is false), one
/// that had not discovered the leader returns once it has. One that did not follow the leader needs the proof.
fn change(member: &Member, is_proven: bool) -> Option<&'static str> {
    let is_unknown = member.is_leader_unknown();
    let has_discovered = member.is_current || !is_proven && member.knows_leader;
    match member.pod.labels().get(ACTIVE).map(String::as_str)? {
        "false" | LEADER_UNKNOWN if member.is_stale => Some(WITHDRAWN),
        "false" if is_unknown => Some(LEADER_UNKNOWN),
        LEADER_UNKNOWN if !is_unknown && has_discovered => Some("false"),
        WITHDRAWN if !is_unknown && !member.is_stale && member.is_current => Some("false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::guard::registry::Guards;
    use crate::tests::kubernetes::{Access, Fake, context};
    use crate::tests::{cluster_with, member};

    fn labeled(label: Option<&str>, change: impl FnOnce(&mut Member)) -> Member {
        let mut member = member((1, 's'));
        let labels = label.map(|label| (ACTIVE.to_owned(), label.to_owned()));
        Arc::make_mut(&mut member.pod).metadata.labels = Some(labels.into_iter().collect());
        change(&mut member);
        member
    }

    fn stale(member: &mut Member) {
        member.is_stale = true;
    }

    fn leader_unknown(member: &mut Member) {
        member.unhealthy_for = Duration::from_secs(5);
    }

    fn current(member: &mut Member) {
        member.is_current = true;
    }

    fn leader_known(member: &mut Member) {
        member.knows_leader = true;
    }

    #[rstest]
    #[case::stale(Some("false"), stale, Some("repair"))]
    #[case::leader_unknown(Some("false"), leader_unknown, Some("leader-unknown"))]
    #[case::leader_unknown_for_longer(Some("leader-unknown"), leader_unknown, None)]
    #[case::stale_after_the_leader_was_unknown(Some("leader-unknown"), stale, Some("repair"))]
    #[case::stale_for_longer(Some("repair"), stale, None)]
    #[case::leader_unknown_after_stale(Some("repair"), leader_unknown, None)]
    #[case::repaired(Some("repair"), current, Some("false"))]
    #[case::discovered(Some("leader-unknown"), current, Some("false"))]
    #[case::discovered_without_a_proof(Some("leader-unknown"), leader_known, None)]
    #[case::not_asked(Some("repair"), |_: &mut Member| {}, None)]
    #[case::healthy(Some("false"), current, None)]
    #[case::still_labeled_as_leader(Some("true"), stale, None)]
    #[case::not_labeled(None, stale, None)]
    fn a_standby_with_a_problem_is_withdrawn_until_it_follows_the_leader(
        #[case] label: Option<&str>,
        #[case] set: fn(&mut Member),
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(change(&labeled(label, set), true), expected);
    }

    #[rstest]
    #[case::discovered(Some("leader-unknown"), leader_known, Some("false"))]
    #[case::still_unknown(Some("leader-unknown"), leader_unknown, None)]
    #[case::not_asked(Some("leader-unknown"), |_: &mut Member| {}, None)]
    #[case::stale_before(Some("repair"), leader_known, None)]
    #[case::leader_unknown(Some("false"), leader_unknown, Some("leader-unknown"))]
    #[case::healthy(Some("false"), leader_known, None)]
    fn without_marks_a_standby_returns_once_it_has_discovered_the_leader(
        #[case] label: Option<&str>,
        #[case] set: fn(&mut Member),
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(change(&labeled(label, set), false), expected);
    }

    #[rstest]
    #[case::without_marks(Mode::Suspended, 1)]
    #[case::before_the_first_mark(Mode::Active, 0)]
    #[tokio::test]
    async fn a_standby_that_has_discovered_the_leader_returns_while_no_marks_are_written(
        #[case] mode: Mode,
        #[case] writes: usize,
    ) {
        let (fake, cluster) = (Fake::default(), cluster_with(json!({"standbyReads": true})));
        let cluster = Cluster { mode, ..cluster };
        let context = context(&fake).await;
        let access = Access::new(&context, &cluster, &Guards::default().target(&context, None, &cluster));
        let child_api = access.child_api();
        let members = [labeled(Some("leader-unknown"), leader_known)];
        carry_out(&access.effects(&child_api), &cluster, &members).await.unwrap();
        assert_eq!(fake.writes(), vec!["PATCH pods/main-1"; writes]);
    }

    #[rstest]
    #[case::standbys_answer_reads(true, 1)]
    #[case::standbys_forward(false, 0)]
    #[tokio::test]
    async fn only_a_cluster_whose_standbys_answer_reads_has_their_service(
        #[case] standby_reads: bool,
        #[case] writes: usize,
    ) {
        let (fake, cluster) = (Fake::default(), cluster_with(json!({"standbyReads": standby_reads})));
        let context = context(&fake).await;
        let access = Access::new(&context, &cluster, &Guards::default().target(&context, None, &cluster));
        let child_api = access.child_api();
        let members = [labeled(Some("false"), stale), labeled(Some("false"), current)];
        carry_out(&access.effects(&child_api), &cluster, &members).await.unwrap();
        assert_eq!(fake.writes(), vec!["PATCH pods/main-1"; writes]);
    }

    #[test]
    fn a_pod_that_terminates_keeps_its_label() {
        let mut ending = labeled(Some("false"), stale);
        Arc::make_mut(&mut ending.pod).metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-11-28T12:00:00Z")).unwrap();
        assert!(changes(&[ending], true).is_empty());
    }
}
