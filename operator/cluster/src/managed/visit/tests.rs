use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use rstest::rstest;
use steamer_core::error::Error;

use super::*;
use crate::database::incarnations::{entries, secret};
use crate::database::roles::{FenceNote, NodeRole, requested};
use crate::managed::observe::Observed;
use crate::managed::verdict::tests::Case;
use crate::tests::{admin_login, cluster, observed};

/// The recorded condition of a cluster that has been stalled for some seconds.
fn stalled(seconds: i64) -> Vec<Condition> {
    vec![Condition {
        type_: "Stalled".to_owned(),
        status: "True".to_owned(),
        reason: "Failed".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::now() - SignedDuration::from_secs(seconds)),
    }]
}

/// The state after a rollout stopped some seconds ago.
fn stopped(case: &mut Case, seconds: i64) {
    case.applied.rollout.step = Step::Stop("main-2 does not come up".to_owned());
    case.found.last.common.conditions = stalled(seconds);
}

/// The spec was refused a minute ago, and no node serves.
fn refuse(case: &mut Case) {
    case.openbao.server = None;
    case.refused = Some(Error::Invalid("s".to_owned()));
    case.found.last.common.conditions = stalled(60);
}

/// `main-1` is fenced on request.
fn fence(case: &mut Case) {
    case.cluster.fence = Some("main-1".to_owned());
    let entries = entries(&cluster(), None, Some(&[])).unwrap();
    case.observed.logins = Some(Arc::new(secret(&cluster(), &entries)));
    case.observed.members[1].is_fenced = true;
    let (lock, uid) = (String::new(), case.observed.members[1].uid());
    let note = FenceNote { since: 1, lock, uid, reason: requested(None) };
    let role = NodeRole {
        name: "main_1_1".to_owned(),
        own: true,
        can_login: false,
        may_change: true,
        has_timeouts: true,
        note: Some(note),
    };
    case.observed.storage.as_mut().unwrap().roles = Some(vec![role]);
    case.cluster.admin = Some(admin_login());
    case.wait();
}

/// The database is being restored, and the logins of the nodes are blocked.
fn restore(case: &mut Case) {
    case.cluster.mode = Mode::Restoring;
    case.observed = Observed { storage: Err(Arc::new(Error::Waiting("r".to_owned()))), ..observed("") };
    let mut live = (**case.observed.live.as_ref().unwrap()).clone();
    live.annotations_mut().insert("steamer.dev/logins-blocked".to_owned(), "true".to_owned());
    case.observed.live = Some(Arc::new(live));
    case.openbao.server = None;
}

#[rstest]
#[case::settled(|_: &mut Case| {}, 10)]
#[case::standby_reads(|case: &mut Case| case.cluster.spec.standby_reads = true, 4)]
#[case::rollout(Case::replace, 1)]
#[case::a_node_starts(
    |case: &mut Case| {
        case.wait();
        case.observed.members.pop();
    },
    1
)]
#[case::paused(Case::wait, 10)]
#[case::unreachable_database(
    |case: &mut Case| {
        case.observed.storage = Err(Arc::new(Error::Waiting("d".to_owned())));
        case.openbao.server = None;
    },
    1
)]
#[case::rollout_that_just_stopped(|case: &mut Case| stopped(case, 5), 1)]
#[case::stopped_rollout(|case: &mut Case| stopped(case, 60), 10)]
#[case::repair_beside_a_refused_spec(
    |case: &mut Case| {
        stopped(case, 60);
        case.refused = Some(Error::Invalid("s".to_owned()));
        case.replace();
    },
    1
)]
#[case::refused_spec(
    |case: &mut Case| {
        case.refused = Some(Error::Invalid("s".to_owned()));
        case.applied.trouble = Some(Arc::new(Error::Invalid("t".to_owned())));
        case.found.last.common.conditions = stalled(60);
    },
    10
)]
#[case::refused_spec_and_a_database_outage(
    |case: &mut Case| {
        refuse(case);
        case.observed.storage = Err(Arc::new(Error::Waiting("d".to_owned())));
    },
    1
)]
#[case::refused_spec_and_a_refused_database(
    |case: &mut Case| {
        refuse(case);
        case.observed.storage = Err(Arc::new(Error::Invalid("d".to_owned())));
    },
    10
)]
#[case::refused_spec_and_a_takeover(
    |case: &mut Case| {
        refuse(case);
        case.observed.takeover = Some("t".to_owned());
    },
    1
)]
#[case::refused_spec_and_an_error_that_can_end(
    |case: &mut Case| {
        refuse(case);
        case.applied.trouble = Some(Arc::new(Error::Waiting("t".to_owned())));
    },
    1
)]
#[case::refused_seal(
    |case: &mut Case| {
        case.observed.seal = SealCheck::Refused("k".to_owned());
        case.observed.members.pop();
        case.wait();
        case.found.last.common.conditions = stalled(60);
    },
    10
)]
#[case::recovered(|case: &mut Case| {
    case.found.last.common.conditions = stalled(60);
    case.replace();
}, 1)]
#[case::fence_on_request(fence, 10)]
#[case::fence_on_request_and_a_lost_node(
    |case: &mut Case| {
        fence(case);
        case.observed.members.pop();
    },
    1
)]
#[case::fence_that_is_due(
    |case: &mut Case| {
        fence(case);
        case.observed.storage.as_mut().unwrap().roles.as_mut().unwrap()[0].can_login = true;
    },
    1
)]
#[case::restore(restore, 10)]
#[case::restore_before_the_logins_are_blocked(
    |case: &mut Case| {
        restore(case);
        case.observed.live = observed("").live;
    },
    1
)]
fn a_reconcile_that_waits_for_a_user_pauses(#[case] change: fn(&mut Case), #[case] expected: u64) {
    let mut case = Case::healthy();
    change(&mut case);
    let visit = case.report(next_visit);
    assert_eq!(visit, Action::After(Duration::from_secs(expected)));
}
