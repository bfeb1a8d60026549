use jiff::Timestamp;
use rstest::rstest;
use steamer_api::OpenBaoClusterStatus;
use steamer_openbao::Health;

use super::*;
use crate::children::Ending;
use crate::cluster::Cluster;
use crate::guard::target::{GuardReport, GuardedLeader};
use crate::managed::apply::Applied;
use crate::managed::fetch::Found;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::managed::openbao::OpenBao;
use crate::nodes::replace::Rollout;
use crate::seal::keys::StaticKeys;
use crate::tests::{cluster, found, object, observed, server};

/// A reconcile.
pub(crate) struct Case {
    pub(crate) cluster: Cluster,
    pub(crate) found: Found,
    pub(crate) observed: Observed,
    pub(crate) applied: Applied,
    pub(crate) openbao: OpenBao,
    pub(crate) refused: Option<Error>,
}

impl Case {
    pub(crate) fn healthy() -> Self {
        Self {
            cluster: cluster(),
            found: found(),
            observed: observed("lss"),
            applied: Applied {
                keys: StaticKeys::default(),
                rollout: Rollout { step: Step::Settled, updated: 3 },
                trouble: None,
                exposed: Ok(()),
            },
            openbao: OpenBao { server: Some(server()), removed_orphans: Vec::new(), trouble: None },
            refused: None,
        }
    }

    /// What follows from the result of the reconcile.
    pub(crate) fn report<T>(self, read: impl FnOnce(&Report<'_>) -> T) -> T {
        let leader =
            GuardedLeader { pod: "main-0".to_owned(), uid: "uid-0".to_owned(), since: Timestamp::UNIX_EPOCH };
        let guard_report = GuardReport { leader: Some(leader), ..GuardReport::default() };
        let Self { cluster, found, observed, applied, openbao, refused } = self;
        let input = Input {
            object: &object(),
            cluster: &cluster,
            found: &found,
            guard_report: &guard_report,
            refused: refused.as_ref(),
            connections: 0,
        };
        read(&Report { input, observed, applied, openbao, drill: None, now: Timestamp::now() })
    }

    pub(crate) fn wait(&mut self) {
        self.applied.rollout.step = Step::Wait("main-2 starts".to_owned());
    }

    pub(crate) fn replace(&mut self) {
        self.applied.rollout.step = Step::Replace {
            pod: "main-2".to_owned(),
            uid: "uid-2".to_owned(),
            why: "it is outdated".to_owned(),
            ending: Ending::Graceful,
        };
    }
}

fn waiting(text: &str) -> Error {
    Error::Waiting(text.to_owned())
}

fn invalid(text: &str) -> Error {
    Error::Invalid(text.to_owned())
}

#[rstest]
#[case::healthy(
    |_: &mut Case| {},
    "Ready(Applied, \"OpenBao 2.7.2 serves with 3 of 3 nodes, main-0 leads\")"
)]
#[case::refused_and_suspended(
    |case: &mut Case| {
        case.refused = Some(Error::Invalid("audit is now empty".to_owned()));
        case.cluster.mode = Mode::Suspended;
    },
    "Stalled(Invalid, \"audit is now empty\")"
)]
#[case::suspended(
    |case: &mut Case| {
        case.cluster.mode = Mode::Suspended;
        case.applied.trouble = Some(Arc::new(invalid("t")));
    },
    "Suspended"
)]
#[case::hibernation(
    |case: &mut Case| {
        case.cluster.mode = Mode::Hibernating;
        case.observed = Observed { storage: Err(Arc::new(waiting("h"))), ..observed("") };
        case.openbao.server = None;
    },
    "NotReady(Disabled, \"no node runs: the cluster hibernates"
)]
#[case::hibernation_begins(
    |case: &mut Case| {
        case.cluster.mode = Mode::Hibernating;
        case.observed.storage = Err(Arc::new(waiting("3 pods terminate")));
    },
    "(Waiting, \"3 pods terminate\")"
)]
#[case::an_error_for_the_user_precedes_the_others(
    |case: &mut Case| {
        case.applied.trouble = Some(Arc::new(waiting("t")));
        case.observed.certificate = Err(Arc::new(invalid("c")));
        case.applied.rollout.step = Step::Stop("r".to_owned());
    },
    "Stalled(Invalid, \"c\")"
)]
#[case::stopped_rollout(
    |case: &mut Case| {
        case.applied.rollout.step = Step::Stop("r".to_owned());
        case.observed.seal = SealCheck::Refused("s".to_owned());
    },
    "Stalled(Failed, \"r\")"
)]
#[case::refused_seal(
    |case: &mut Case| {
        case.observed.seal = SealCheck::Refused("s".to_owned());
        case.observed.storage = Err(Arc::new(waiting("d")));
    },
    "Stalled(Invalid, \"s\")"
)]
#[case::unreachable_storage(
    |case: &mut Case| {
        case.observed.storage = Err(Arc::new(waiting("d")));
        case.applied.trouble = Some(Arc::new(waiting("t")));
    },
    "(Waiting, \"d\")"
)]
#[case::trouble(
    |case: &mut Case| {
        case.applied.trouble = Some(Arc::new(waiting("t")));
        case.openbao.server = None;
    },
    "(Waiting, \"t\")"
)]
#[case::a_contested_object_stops_no_user_of_the_cluster(
    |case: &mut Case| {
        let contested = || Error::Repeated("c".to_owned(), std::time::Duration::ZERO);
        case.applied.trouble = Some(Arc::new(contested()));
        case.applied.exposed = Err(contested());
    },
    "Retrying(Conflict, \"c\")"
)]
#[case::trouble_of_openbao_precedes_that_of_the_nodes(
    |case: &mut Case| {
        case.applied.trouble = Some(Arc::new(invalid("t")));
        case.openbao.trouble = Some(Arc::new(invalid("o")));
    },
    "Stalled(Invalid, \"o\")"
)]
#[case::no_node_serves_yet(
    |case: &mut Case| {
        case.openbao.server = None;
        case.wait();
    },
    "Progressing(Waiting, \"no node serves yet: main-2 starts\")"
)]
#[case::no_node_serves(
    |case: &mut Case| case.openbao.server = None,
    "Retrying(NoLeader, \"no node serves\")"
)]
#[case::self_initialization(
    |case: &mut Case| {
        case.found.last = OpenBaoClusterStatus::default();
        case.openbao.server.as_mut().unwrap().missing = Err(waiting("m"));
    },
    "Progressing(Waiting, \"OpenBao initializes itself\")"
)]
#[case::sealed_server(
    |case: &mut Case| {
        let sealed = Health { initialized: true, sealed: true, ..Health::default() };
        case.openbao.server.as_mut().unwrap().health = Ok(sealed);
        case.wait();
    },
    "is sealed"
)]
#[case::rollout(
    |case: &mut Case| {
        case.replace();
        case.applied.exposed = Err(waiting("e"));
    },
    "Progressing(RollingOut, \"it serves; main-2 is replaced: it is outdated\")"
)]
#[case::change_of_steamer_only(
    |case: &mut Case| case.applied.rollout.step = Step::Wait(crate::managed::hold::DEFERRED.to_owned()),
    "Ready(Applied"
)]
#[case::exposure(|case: &mut Case| case.applied.exposed = Err(waiting("e")), "(Waiting, \"e\")")]
#[case::incomplete_policy(
    |case: &mut Case| case.openbao.server.as_mut().unwrap().missing = Ok(vec!["x".to_owned()]),
    "Stalled(PermissionDenied, \"the operator's policy in OpenBao lacks x"
)]
#[case::unreachable_seal(
    |case: &mut Case| case.observed.seal = SealCheck::Unreachable("s".to_owned()),
    "Ready(Applied, \"OpenBao 2.7.2 serves with 3 of 3 nodes, main-0 leads; a node could not start now: s\")"
)]
fn the_first_check_that_applies_determines_the_verdict(
    #[case] change: fn(&mut Case),
    #[case] expected: &str,
) {
    let mut case = Case::healthy();
    change(&mut case);
    let said = case.report(|report| format!("{:?}", verdict(report)));
    assert!(said.contains(expected), "{said}");
}
