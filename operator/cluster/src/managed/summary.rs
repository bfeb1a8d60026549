//! What the status says of nodes, database, seal and version, beside its conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{
    ClusterPhase, Fenced, LeaderStatus, MemberRole, MemberStatus, OpenBaoClusterStatus, RecoveryKeyState,
    SealState, StorageState, UpgradeState,
};

use crate::cluster::Version;
use crate::database::roles::parse_role;
use crate::guard::GuardReport;
use crate::managed::apply::{Done, Work};
use crate::managed::fetch::Found;
use crate::nodes::members::{Answer, Member};
use crate::nodes::rollout::Step;
use crate::server::Seen;

pub(crate) fn members(status: &mut OpenBaoClusterStatus, done: &Done, guard_report: &GuardReport) {
    let role = |member: &Member| match &member.answer {
        answer if answer.is_active() => MemberRole::Leader,
        answer if answer.is_standby() => MemberRole::Standby,
        _ => MemberRole::Unknown,
    };
    let member = |member: &Member| MemberStatus {
        pod: member.name(),
        node: member.node(),
        role: role(member),
        version: member.version().map(|version| version.to_string()),
        sealed: match &member.answer {
            Answer::Health(health) => Some(health.sealed),
            Answer::Migrating => Some(false),
            _ => None,
        },
        ready: member.serves(),
    };
    status.members = done.members.iter().map(member).collect();
    status.replicas = i32::try_from(done.members.iter().filter(|member| member.serves()).count()).ok();
    let Some((pod, _, since)) = &guard_report.leader else {
        status.leader = None;
        return;
    };
    let since = Timestamp::from_second(since.as_second()).unwrap_or(*since);
    let leader = LeaderStatus { pod: pod.clone(), since: Time(since) };
    let known = status.leader.as_ref().or(status.last_leader.as_ref());
    if known.is_some_and(|known| *known != leader) {
        status.leadership_changes = Some(status.leadership_changes.unwrap_or(0) + 1);
    }
    status.leadership_changes.get_or_insert(0);
    status.last_leader = Some(leader.clone());
    status.leader = Some(leader);
}

pub(crate) fn database(status: &mut OpenBaoClusterStatus, work: &Work<'_>, done: &Done) {
    status.selector = Some(format!("steamer.dev/cluster={}", work.cluster.name.name));
    let host = work.guard_target.owner.login.address();
    let Ok(storage) = &done.storage else { return };
    status.storage = Some(StorageState {
        host,
        version: Some(storage.server.version.clone()),
        timeline: storage.timeline,
    });
    if storage.contents.recovery_keys {
        status.recovery_keys = Some(RecoveryKeyState { secret_name: work.cluster.recovery_secret() });
    }
    let fenced = storage.roles.iter().flatten().filter(|role| role.own).filter_map(|role| {
        let note = role.note.as_ref()?;
        let (ordinal, _) = parse_role(&role.name)?;
        Some(Fenced {
            pod: work.cluster.pod(i32::try_from(ordinal).ok()?),
            uid: note.uid.clone(),
            role: Some(role.name.clone()),
            since: Time(Timestamp::from_second(note.since).ok()?),
            reason: note.reason.clone(),
        })
    });
    status.fenced = fenced.take(64).collect();
}

pub(crate) fn measured(work: &Work<'_>, done: &Done) {
    let (metrics, name) = (&work.context.runtime.metrics, &work.cluster.name);
    if let Ok(storage) = &done.storage {
        metrics.database_connections(name, storage.server.connections);
    }
    if let Ok(Some(ends)) = &done.certificate_ends {
        metrics.certificate_ends(name, *ends);
    }
}

pub(crate) fn seal(status: &mut OpenBaoClusterStatus, work: &Work<'_>, done: &Done) {
    let spec = &work.cluster.spec;
    let before = spec.seal_migration.as_ref().filter(|_| done.migrating);
    let is_static = spec.seal.r#static.is_some();
    status.seal = Some(SealState {
        kind: before.map_or(&spec.seal, |migration| &migration.from).kind().to_owned(),
        migrating_to: before.map(|_| spec.seal.kind().to_owned()),
        key_id: done.keys.as_ref().map(|keys| keys.in_use.clone()),
        rotating: done.keys.as_ref().and_then(|keys| keys.rotating.clone()),
        fingerprints: done.fingerprints.clone().into_iter().filter(|_| is_static).collect(),
    });
}

/// The lowest version that serves is the cluster's; the highest that has led is never left again.
pub(crate) fn versions(status: &mut OpenBaoClusterStatus, done: &Done) {
    let serving = done.members.iter().filter(|member| member.serves());
    let lowest = serving.clone().filter_map(Member::version).min();
    status.version = lowest.map(|version| version.to_string()).or(status.version.take());
    let led = serving.filter(|member| member.answer.is_active()).filter_map(Member::version).max();
    let highest: Option<Version> = status.highest_version_led.as_deref().and_then(|text| text.parse().ok());
    status.highest_version_led = led.max(highest).map(|version| version.to_string());
}

pub(crate) fn upgrade(work: &Work<'_>, found: &Found, done: &Done) -> Option<UpgradeState> {
    let step = match &done.step {
        Step::Settled => return None,
        Step::Wait(what) => what.clone(),
        Step::Replace { pod, why, .. } => format!("{pod} is replaced: {why}"),
        Step::Stop(why) => format!("stopped: {why}"),
    };
    // The first start is no change of anything.
    found.last.initialized.filter(|initialized| *initialized)?;
    let step = step.chars().take(1000).collect();
    let from = found.last.version.clone();
    Some(UpgradeState {
        from,
        to: work.cluster.version.to_string(),
        step,
        updated: i32::try_from(done.updated).unwrap_or(0),
    })
}

pub(crate) fn phase(status: &OpenBaoClusterStatus, work: &Work<'_>, done: &Done) -> ClusterPhase {
    let serves = done.seen.as_ref().is_some_and(Seen::serves);
    let whole = status.replicas == Some(work.cluster.spec.replicas);
    let initialized = status.initialized == Some(true);
    match (serves, initialized) {
        (true, _) if matches!(done.step, Step::Wait(_) | Step::Replace { .. }) && whole => {
            ClusterPhase::Upgrading
        }
        (true, _) if status.upgrade.is_some() => ClusterPhase::Upgrading,
        (true, _) if !whole => ClusterPhase::Degraded,
        (true, _) => ClusterPhase::Running,
        (false, true) => ClusterPhase::Unavailable,
        (false, false) if done.members.is_empty() => ClusterPhase::Creating,
        (false, false) => ClusterPhase::Initializing,
    }
}
