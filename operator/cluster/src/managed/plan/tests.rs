use std::time::Duration;

use rstest::rstest;
use steamer_api::{Fencing, OpenBaoClusterStatus, RotationPhase};

use super::*;
use kube::ResourceExt;

use crate::cluster::{Helper, REVISION};
use crate::database::facts::Contents;
use crate::first_start::Initialization;
use crate::guard::target::GuardReport;
use crate::managed::fetch::Found;
use crate::managed::hold;
use crate::nodes::members::Answer;
use crate::objects::relay::CONTAINER;
use crate::objects::stateful_set::image_of;
use crate::seal::check::SealCheck;
use crate::tests::{TEMPLATE, cluster, cluster_with, found, member, object, observed, storage};

/// Plan for a cluster, as a text: what changes, what the rollout does, and the error.
struct Case {
    cluster: Cluster,
    found: Found,
    observed: Observed,
}

impl Case {
    fn healthy() -> Self {
        Self { cluster: cluster(), found: found(), observed: observed("lss") }
    }

    fn first_start() -> Self {
        let mut case = Self::healthy();
        case.found.last = OpenBaoClusterStatus::default();
        case.observed = Observed { live: None, ..observed("") };
        case.observed.storage = Ok(Storage { contents: Contents::default(), ..storage() });
        case
    }

    fn plan(&self) -> Plan {
        let input = Input {
            object: &object(),
            cluster: &self.cluster,
            found: &self.found,
            guard_report: &GuardReport::default(),
            refused: None,
            connections: 0,
        };
        plan(input, &self.observed, Timestamp::now())
    }

    fn set(&self) -> SetChanges {
        let Pods::Changed(changes) = self.plan().pods else { panic!("no changes") };
        changes.set.unwrap()
    }

    fn text(&self) -> String {
        let plan = self.plan();
        let surroundings = if plan.surroundings.is_some() { "surroundings, " } else { "" };
        let pods = match &plan.pods {
            Pods::Unchanged => "no pods".to_owned(),
            Pods::Repaired(..) => "repair".to_owned(),
            Pods::Changed(changes) => match (&changes.set, &changes.initialization, &changes.repair) {
                (Some(set), ..) => format!("set of {}", replicas(&set.stateful_set)),
                (None, None, _) => "logins only".to_owned(),
                (None, Some(_), repair) => if repair.is_some() { "repair" } else { "no set" }.to_owned(),
            },
        };
        let trouble = plan.trouble.map(|error| format!(": {error}")).unwrap_or_default();
        format!("{surroundings}{pods}{trouble}")
    }
}

fn replicas(set: &StatefulSet) -> i32 {
    set.spec.as_ref().unwrap().replicas.unwrap()
}

fn waiting(text: &str) -> Arc<Error> {
    Arc::new(Error::Waiting(text.to_owned()))
}

fn contested(text: &str) -> Arc<Error> {
    Arc::new(Error::Repeated(text.to_owned(), std::time::Duration::ZERO))
}

#[test]
fn a_healthy_cluster_keeps_all_objects_and_its_number_of_nodes() {
    assert_eq!(Case::healthy().text(), "surroundings, set of 3");
}

#[test]
fn the_first_start_begins_with_one_node() {
    let case = Case::first_start();
    assert_eq!(case.text(), "surroundings, set of 1");
    let Pods::Changed(changes) = case.plan().pods else { panic!("no changes") };
    assert!(matches!(changes.initialization, Some(Initialization::Keep(_))));
}

#[rstest]
#[case::suspended(|case: &mut Case| case.cluster.mode = Mode::Suspended, "repair")]
#[case::key_refused(
    |case: &mut Case| case.observed.keys = Err(waiting("k")),
    "repair: k"
)]
#[case::certificates_missing(
    |case: &mut Case| case.observed.certificate = Err(waiting("c")),
    "surroundings, no pods: certificates: c"
)]
#[case::certificates_contested(
    |case: &mut Case| case.observed.certificate = Err(contested("Secret main-tls")),
    "surroundings, no pods: Secret main-tls"
)]
#[case::metadata_of_the_certificates_contested(
    |case: &mut Case| case.observed.certificate.as_mut().unwrap().contested = Some(contested("Secret main-ca")),
    "surroundings, set of 3: Secret main-ca"
)]
#[case::database_unreachable(
    |case: &mut Case| case.observed.storage = Err(waiting("d")),
    "surroundings, repair"
)]
#[case::database_unreachable_without_a_set(
    |case: &mut Case| {
        case.observed.storage = Err(waiting("d"));
        case.observed.live = None;
    },
    "surroundings, no pods"
)]
#[case::restoring(
    |case: &mut Case| {
        case.cluster.mode = Mode::Restoring;
        case.observed.storage = Err(waiting("d"));
    },
    "surroundings, no pods"
)]
#[case::seal_closed_without_a_set(
    |case: &mut Case| {
        case.observed.seal = SealCheck::Unreachable("s".to_owned());
        case.observed.live = None;
    },
    "surroundings, no pods: no pod is created before the seal opens: s"
)]
#[case::seal_closed(
    |case: &mut Case| case.observed.seal = SealCheck::Unreachable("s".to_owned()),
    "surroundings, set of 3"
)]
#[case::self_initialization_failed(
    |case: &mut Case| case.observed.storage.as_mut().unwrap().contents.self_init_failed = true,
    "surroundings, no pods: self-initialization failed half-way"
)]
#[case::database_emptied(
    |case: &mut Case| case.observed.storage.as_mut().unwrap().contents = Contents::default(),
    "surroundings, logins only: database `bao` is empty"
)]
#[case::seal_secret_missing(
    |case: &mut Case| case.observed.start_digest = Err(waiting("v")),
    "surroundings, repair: v"
)]
#[case::headers_missing_without_a_set(
    |case: &mut Case| {
        case.observed.headers = Err(waiting("h"));
        case.observed.live = None;
    },
    "surroundings, no set: h"
)]
#[case::label_refused(
    |case: &mut Case| case.observed.labeled = Err(waiting("l")),
    "surroundings, set of 3: l"
)]
#[case::label_refused_and_keys_refused(
    |case: &mut Case| {
        case.observed.labeled = Err(waiting("l"));
        case.observed.keys = Err(waiting("k"));
    },
    "repair: k"
)]
fn a_failure_prevents_only_what_depends_on_it(#[case] change: fn(&mut Case), #[case] expected: &str) {
    let mut case = Case::healthy();
    change(&mut case);
    let text = case.text();
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_missing_secret_of_the_seal_is_reported_as_the_check_does() {
    let mut case = Case::healthy();
    let name = steamer_runtime::ObjectName::new("openbao", "main-seal");
    case.observed.keys = Err(Arc::new(Error::NotFound { kind: "Secret", name }));
    case.observed.seal = SealCheck::Refused("put it back".to_owned());
    assert_eq!(case.text(), "repair: put it back");
}

#[rstest]
#[case::paused(|case: &mut Case| case.cluster.spec.upgrade.paused = true, "a change waits: upgrade.paused")]
#[case::seal_closed(
    |case: &mut Case| case.observed.seal = SealCheck::Unreachable("s".to_owned()),
    "a change waits for the seal: s"
)]
fn a_change_on_hold_does_not_reach_the_set(#[case] change: fn(&mut Case), #[case] expected: &str) {
    let mut case = Case::healthy();
    change(&mut case);
    let set = case.set();
    assert_eq!(revision(&set.stateful_set), TEMPLATE);
    assert!(set.configuration.is_none() && !set.is_desired);
    assert_eq!(set.rollout.step.text().unwrap(), expected);
}

#[test]
fn a_changed_template_is_rolled_out() {
    let set = Case::healthy().set();
    assert_ne!(revision(&set.stateful_set), TEMPLATE);
    assert_eq!(set.rollout.step.text().unwrap(), "main-2 is replaced: it is outdated");
}

#[test]
fn a_node_is_repaired_while_a_change_is_on_hold() {
    for mode in [Mode::Active, Mode::Suspended] {
        let mut case = Case::healthy();
        case.cluster.spec.upgrade.paused = true;
        case.cluster.mode = mode;
        let node = &mut case.observed.members[2];
        (node.answer, node.unhealthy_for) = (Answer::Silent, Duration::from_secs(31));
        let step = match case.plan().pods {
            Pods::Changed(changes) => changes.set.unwrap().rollout.step,
            Pods::Repaired(_, rollout) => rollout.step,
            Pods::Unchanged => panic!("no repair"),
        };
        assert_eq!(step.text().unwrap(), "main-2 is replaced: it does not answer", "{mode:?}");
    }
}

#[rstest]
#[case::it_does_not_listen(Answer::Refused, "2m", "stopped: main-2 does not come up within 120 s")]
#[case::it_is_sealed(member((2, 'z')).answer, "2m", "stopped: main-2 does not come up within 120 s")]
#[case::it_may_still_start(Answer::Refused, "24h", "main-2 starts")]
fn the_failed_node_of_a_withheld_template_is_not_repaired(
    #[case] answer: Answer,
    #[case] node_timeout: &str,
    #[case] expected: &str,
) {
    let mut case = Case::healthy();
    let desired = revision(&case.set().stateful_set).to_owned();
    case.cluster = cluster_with(serde_json::json!({"upgrade": {"nodeTimeout": node_timeout}}));
    let node = &mut case.observed.members[2];
    (node.answer, node.unhealthy_for) = (answer, Duration::from_secs(31));
    Arc::make_mut(&mut node.pod).annotations_mut().insert(REVISION.to_owned(), desired);
    let set = case.set();
    assert_eq!(revision(&set.stateful_set), TEMPLATE);
    let text = set.rollout.step.text().unwrap();
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_rotation_waits_for_a_template_that_is_withheld() {
    let mut case = Case::healthy();
    case.cluster.spec.seal.r#static.as_mut().unwrap().key_id = "k2".to_owned();
    case.observed.keys.as_mut().unwrap().as_mut().unwrap().keys = case.plan().keys.keys;
    let mut live = (*case.observed.live.clone().unwrap()).clone();
    live.metadata.annotations = Some([("steamer.dev/withheld-revision".to_owned(), "x".to_owned())].into());
    case.observed.live = Some(Arc::new(live));
    assert_eq!(case.plan().keys.keys.unwrap().rotating.unwrap().phase, RotationPhase::Distribute);
}

#[test]
fn a_rotation_advances_when_its_phase_is_rolled_out() {
    let mut case = Case::healthy();
    case.cluster.spec.seal.r#static.as_mut().unwrap().key_id = "k2".to_owned();
    let keys = case.plan().keys.keys.unwrap();
    assert_eq!(keys.rotating.as_ref().unwrap().phase, RotationPhase::Distribute);
    case.observed.keys.as_mut().unwrap().as_mut().unwrap().keys = Some(keys);
    let phase = |case: &Case| case.plan().keys.keys.unwrap().rotating.unwrap().phase;
    assert_eq!(phase(&case), RotationPhase::Rewrap);
    case.observed.members.pop();
    assert_eq!(phase(&case), RotationPhase::Distribute);
}

#[test]
fn locks_in_a_restored_database_are_cleared_before_the_first_node_starts() {
    let mut case = Case::healthy();
    case.observed.members.clear();
    let mut live = (*case.observed.live.clone().unwrap()).clone();
    live.spec.as_mut().unwrap().replicas = Some(0);
    case.observed.live = Some(Arc::new(live.clone()));
    assert!(!case.set().clears_locks, "after a hibernation, a node that is cut off may still lead");
    live.annotations_mut().insert("steamer.dev/logins-blocked".to_owned(), "true".to_owned());
    case.observed.live = Some(Arc::new(live));
    assert!(case.set().clears_locks);
    assert_eq!(replicas(&case.set().stateful_set), 3);
}

/// The database of a cluster that ran OpenBao `a` was restored, and no node runs.
fn restored() -> Case {
    let mut case = Case::healthy();
    case.observed.members.clear();
    let mut live = (*case.observed.live.clone().unwrap()).clone();
    live.spec.as_mut().unwrap().replicas = Some(0);
    case.observed.live = Some(Arc::new(live));
    case.found.last.cluster_id = Some("a".to_owned());
    case
}

/// The database contains this OpenBao.
fn contains(case: &mut Case, id: &str) {
    case.observed.storage.as_mut().unwrap().openbao_id = Some(id.to_owned());
}

/// The data is sealed with key `1` of AWS.
fn seal_with_aws(case: &mut Case, key: &str) {
    let plugin = serde_json::json!({"command": "x", "version": "v1", "sha256": "ab".repeat(32)});
    let aws = serde_json::json!({"region": "r", "kmsKeyId": key, "plugin": plugin});
    case.cluster = cluster_with(serde_json::json!({"seal": {"awsKms": aws}}));
    case.observed.keys = Ok(None);
    let storage = case.observed.storage.as_mut().unwrap();
    storage.contents.seal = Some("awskms".to_owned());
    storage.wrapping_keys = Some(vec!["arn:aws:kms:r:1:key/1".to_owned(); 2]);
}

/// The data is to be sealed with another seal than that of AWS.
fn migrate_from_aws(case: &mut Case, key: &str) {
    seal_with_aws(case, key);
    let from = case.cluster.spec.seal.clone();
    case.cluster = cluster_with(serde_json::json!({"sealMigration": {"from": from}}));
    case.observed.migration = Migration::InProgress;
}

#[rstest]
#[case::not_recorded(|_: &mut Case| {}, "surroundings, set of 3")]
#[case::own_data(|case: &mut Case| contains(case, "a"), "surroundings, set of 3")]
#[case::data_of_another(
    |case: &mut Case| contains(case, "b"),
    "surroundings, no pods: the comment on table openbao_ha_locks in database `bao` names OpenBao b, but this cluster ran a"
)]
#[case::accepted_data_of_another(
    |case: &mut Case| {
        contains(case, "b");
        case.cluster.takes_over = true;
    },
    "surroundings, set of 3"
)]
#[case::own_key(|case: &mut Case| seal_with_aws(case, "1"), "surroundings, set of 3")]
#[case::another_key(
    |case: &mut Case| seal_with_aws(case, "2"),
    "surroundings, no pods: storage is sealed with a key other than that of the spec: set seal.awsKms.kmsKeyId to"
)]
#[case::previous_key(|case: &mut Case| migrate_from_aws(case, "1"), "surroundings, set of 3")]
#[case::another_previous_key(
    |case: &mut Case| migrate_from_aws(case, "2"),
    "surroundings, no pods: storage is sealed with a key other than that of the spec: set sealMigration.from.awsKms.kmsKeyId to"
)]
#[case::another_key_with_consent(
    |case: &mut Case| {
        seal_with_aws(case, "2");
        case.cluster.takes_over = true;
    },
    "surroundings, set of 3"
)]
#[case::seal_closed(
    |case: &mut Case| case.observed.seal = SealCheck::Unreachable("s".to_owned()),
    "surroundings, no pods: no pod is created before the seal opens: s"
)]
fn restored_data_is_checked_before_the_first_node_starts(
    #[case] change: fn(&mut Case),
    #[case] expected: &str,
) {
    let mut case = restored();
    change(&mut case);
    let text = case.text();
    assert!(text.starts_with(expected), "{text}");
}

/// The pods of the cluster are these nodes, whose grace period ends at this time.
fn ending(case: &mut Case, nodes: &str, end: &str) {
    case.observed.members = nodes.chars().enumerate().map(member).collect();
    for member in &mut case.observed.members {
        let due = serde_json::from_value(serde_json::json!(end)).unwrap();
        Arc::make_mut(&mut member.pod).metadata.deletion_timestamp = Some(due);
    }
}

#[rstest]
#[case::overdue("2020-01-01T00:00:00Z", Fencing::Database, true, true)]
#[case::in_time("2100-01-01T00:00:00Z", Fencing::Database, false, false)]
#[case::without_fences("2020-01-01T00:00:00Z", Fencing::ProcessEnd, false, true)]
fn a_pod_whose_end_is_overdue_does_not_prevent_the_checks(
    #[case] end: &str,
    #[case] fencing: Fencing,
    #[case] clears_locks: bool,
    #[case] is_checked: bool,
) {
    let mut case = restored();
    case.cluster.fencing = fencing;
    ending(&mut case, "x", end);
    let mut live = (*case.observed.live.clone().unwrap()).clone();
    live.annotations_mut().insert("steamer.dev/logins-blocked".to_owned(), "true".to_owned());
    case.observed.live = Some(Arc::new(live));
    assert_eq!(case.set().clears_locks, clears_locks);
    contains(&mut case, "b");
    let text = case.text();
    assert_eq!(text.contains("names OpenBao b, but this cluster ran a"), is_checked, "{text}");
}

#[rstest]
#[case::another_openbao(|case: &mut Case| contains(case, "b"))]
#[case::another_key(|case: &mut Case| seal_with_aws(case, "2"))]
fn running_nodes_are_not_stopped_by_these_checks(#[case] change: fn(&mut Case)) {
    let mut case = Case { observed: observed("lss"), ..restored() };
    change(&mut case);
    assert_eq!(case.text(), "surroundings, set of 3");
}

#[rstest]
#[case::upgraded_operator(|_: &mut Cluster| {}, "old")]
#[case::another_change(|cluster: &mut Cluster| cluster.restart = Some("today".to_owned()), "new")]
#[case::image_of_the_spec(|cluster: &mut Cluster| cluster.relay.as_mut().unwrap().is_chosen = true, "new")]
fn an_upgrade_of_the_operator_does_not_replace_the_pods_for_their_relays(
    #[case] change: fn(&mut Cluster),
    #[case] expected: &str,
) {
    let relay = |image: &str| Some(Helper { image: image.to_owned(), is_chosen: false });
    let planned = |case: &Case| {
        let Pods::Changed(changes) = case.plan().pods else { panic!("no changes") };
        changes.set.unwrap().stateful_set
    };
    let mut case = Case::healthy();
    case.cluster.relay = relay("old");
    case.observed.live = Some(Arc::new(planned(&case)));
    case.cluster.relay = relay("new");
    change(&mut case.cluster);
    assert_eq!(image_of(&planned(&case), CONTAINER).as_deref(), Some(expected));
}

/// The step for a healthy cluster after `change`, in the next version of Steamer: it creates other pods.
fn step_after_an_upgrade_of_steamer(nodes: &str, change: fn(&mut Case)) -> Step {
    let mut case = Case { observed: observed(nodes), ..Case::healthy() };
    let recorded = |case: &Case| {
        let Pods::Changed(changes) = case.plan().pods else { panic!("no changes") };
        changes.set.unwrap().stateful_set
    };
    // The rollout of the previous version is complete.
    let revision = revision(&recorded(&case)).to_owned();
    for member in &mut case.observed.members {
        Arc::make_mut(&mut member.pod).annotations_mut().insert(REVISION.to_owned(), revision.clone());
    }
    case.observed.live = Some(Arc::new(recorded(&case)));
    for member in &mut case.observed.members {
        Arc::make_mut(&mut member.pod).annotations_mut().insert(REVISION.to_owned(), "before".to_owned());
    }
    change(&mut case);
    let Pods::Changed(changes) = case.plan().pods else { panic!("no changes") };
    changes.set.unwrap().rollout.step
}

#[rstest]
#[case::nothing_else(|_: &mut Case| {}, "deferred")]
#[case::no_leader_yet(|case: &mut Case| case.observed.members[0] = member((0, 's')), "deferred")]
#[case::another_spec(|case: &mut Case| case.cluster.generation = Some(2), "replace")]
#[case::requested_restart(|case: &mut Case| case.cluster.restart = Some("now".to_owned()), "replace")]
#[case::another_secret(|case: &mut Case| case.observed.start_digest = Ok("other".to_owned()), "replace")]
#[case::window(
    |case: &mut Case| {
        let windows = serde_json::json!([{"kind": "Allow", "schedule": "* * * * *", "duration": "1h"}]);
        case.cluster.spec.upgrade.windows = serde_json::from_value(windows).unwrap();
    },
    "replace"
)]
fn an_upgrade_of_steamer_alone_replaces_no_pod(#[case] change: fn(&mut Case), #[case] expected: &str) {
    let said = match step_after_an_upgrade_of_steamer("lss", change) {
        step if hold::is_deferred(&step) => "deferred".to_owned(),
        Step::Replace { .. } => "replace".to_owned(),
        step => format!("{step:?}"),
    };
    assert_eq!(said, expected);
}

#[test]
fn a_rollout_after_which_no_node_leads_is_not_complete() {
    let step = step_after_an_upgrade_of_steamer("sss", |case| case.observed.members[0] = member((0, 'l')));
    assert!(!hold::is_deferred(&step), "the last configuration that worked comes back");
}
