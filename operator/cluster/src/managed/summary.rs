//! Fields of the status of a managed cluster, other than its conditions.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{
    CertificateState, ClusterPhase, FailoverState, Fenced, LeaderStatus, MemberRole, MemberStatus,
    OpenBaoClusterStatus, RecoveryKeyState, SealState, StorageState, UpgradeState,
};
use steamer_runtime::conditions::whole_second;

use crate::cluster::{CLUSTER_LABEL, Cluster, Version};
use crate::database::roles::{NodeRole, parse_role};
use crate::first_start::Start;
use crate::guard::takeover::is_notable;
use crate::managed::hold::is_deferred;
use crate::managed::report::Report;
use crate::managed::warnings;
use crate::nodes::members::{Answer, Member};
use crate::nodes::rollout::Step;
use crate::restore::foreign_data;
use crate::server::Server;

/// Longest text of a rollout step.
const STEP_LENGTH: usize = 1000;
/// Largest number of reported fences.
const FENCES: usize = 64;

/// Nodes and leader.
pub(crate) fn members(status: &mut OpenBaoClusterStatus, report: &Report<'_>) {
    status.members = report.observed.members.iter().map(member).collect();
    status.replicas = i32::try_from(report.serving().count()).ok();
    let Some(leader) = &report.input.guard_report.leader else {
        status.leader = None;
        return;
    };
    let since = whole_second(leader.since);
    let leader = LeaderStatus { pod: leader.pod.clone(), since: Time(since) };
    let known = status.leader.as_ref().or(status.last_leader.as_ref());
    if known.is_some_and(|known| *known != leader) {
        status.leadership_changes = Some(status.leadership_changes.unwrap_or(0) + 1);
    }
    status.leadership_changes.get_or_insert(0);
    status.last_leader = Some(leader.clone());
    status.leader = Some(leader);
}

fn member(member: &Member) -> MemberStatus {
    MemberStatus {
        pod: member.name(),
        node: member.node(),
        role: match &member.answer {
            answer if answer.is_active() => MemberRole::Leader,
            answer if answer.is_standby() => MemberRole::Standby,
            _ => MemberRole::Unknown,
        },
        version: member.version().map(|version| version.to_string()),
        sealed: match &member.answer {
            Answer::Health(health) => Some(health.sealed),
            Answer::Migrating => Some(false),
            _ => None,
        },
        ready: member.serves(),
    }
}

/// Database, fences, and the Secret with the recovery keys.
pub(crate) fn database(status: &mut OpenBaoClusterStatus, report: &Report<'_>) {
    let cluster = report.input.cluster;
    status.selector = Some(format!("{CLUSTER_LABEL}={}", cluster.name()));
    let Ok(storage) = &report.observed.storage else { return };
    status.storage = Some(StorageState {
        host: cluster.owner.address(),
        version: Some(storage.server.version.clone()),
        timeline: storage.timeline,
    });
    if storage.contents.recovery_keys {
        // A user may keep the shares elsewhere and delete the Secret.
        let last = status.recovery_keys.take().map(|keys| keys.secret_name);
        let name = report.observed.recovery_secret.clone().or(last);
        let secret_name = name.unwrap_or_else(|| cluster.recovery_secret());
        status.recovery_keys = Some(RecoveryKeyState { secret_name });
    }
    let fenced = storage.roles.iter().flatten().filter_map(|role| fence(cluster, role));
    status.fenced = fenced.take(FENCES).collect();
}

/// The longest takeover in the status.
pub(crate) fn recorded_takeover(status: &OpenBaoClusterStatus) -> Duration {
    let seconds = status.failover.as_ref().map_or(0, |failover| failover.takeover_seconds);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The longest takeover. Written only when it has grown notably.
pub(crate) fn failover(status: &mut OpenBaoClusterStatus, longest: Duration) {
    let seconds = i64::try_from(longest.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    let recorded = status.failover.as_ref().map(|failover| failover.takeover_seconds);
    if seconds > 0 && is_notable(recorded, seconds) {
        status.failover = Some(FailoverState { takeover_seconds: seconds });
    }
}

fn fence(cluster: &Cluster, role: &NodeRole) -> Option<Fenced> {
    let note = role.note.as_ref().filter(|_| role.own)?;
    let (ordinal, _) = parse_role(&role.name)?;
    Some(Fenced {
        pod: cluster.pod(i32::try_from(ordinal).ok()?),
        uid: note.uid.clone(),
        role: Some(role.name.clone()),
        since: Time(Timestamp::from_second(note.since).ok()?),
        reason: note.reason.clone(),
    })
}

/// The seal and its keys.
pub(crate) fn seal(status: &mut OpenBaoClusterStatus, report: &Report<'_>) {
    let spec = &report.input.cluster.spec;
    let previous = spec.seal_migration.as_ref().filter(|_| report.observed.is_migrating());
    let is_static = spec.seal.r#static.is_some();
    let keys = report.applied.keys.keys.as_ref();
    status.seal = Some(SealState {
        kind: previous.map_or(&spec.seal, |migration| &migration.from).kind().to_owned(),
        migrating_to: previous.map(|_| spec.seal.kind().to_owned()),
        key_id: keys.map(|keys| keys.in_use.clone()),
        rotating: keys.and_then(|keys| keys.rotating.clone()),
        fingerprints: report.applied.keys.fingerprints.clone().into_iter().filter(|_| is_static).collect(),
    });
}

/// Initialization and ID of OpenBao. It counts as initialized only once the operator can log in:
/// the self-initialization is still running before that.
pub(crate) fn openbao(status: &mut OpenBaoClusterStatus, report: &Report<'_>) {
    let Some(server) = report.server() else { return };
    let Ok(health) = &server.health else { return };
    let is_complete = health.initialized && server.missing.is_ok() && server.serves();
    status.initialized = Some(is_complete || status.initialized == Some(true));
    warnings::record_administrators(status, report.input.object, report.input.cluster);
    let found = Some(health.cluster_id.as_str());
    let is_foreign = foreign_data(report.input.cluster, status.cluster_id.as_deref(), found).is_some();
    if !health.cluster_id.is_empty() && !is_foreign {
        status.cluster_id = Some(health.cluster_id.clone());
    }
}

/// The lowest version that serves, and the highest that has ever led.
pub(crate) fn versions(status: &mut OpenBaoClusterStatus, report: &Report<'_>) {
    let lowest = report.serving().filter_map(Member::version).min();
    let leader = report.serving().find(|member| member.answer.is_active()).and_then(Member::image);
    status.image = leader.or(status.image.take());
    status.version = lowest.map(|version| version.to_string()).or(status.version.take());
    let led = report.serving().filter(|member| member.answer.is_active()).filter_map(Member::version).max();
    let highest: Option<Version> = status.highest_version_led.as_deref().and_then(|text| text.parse().ok());
    status.highest_version_led = led.max(highest).map(|version| version.to_string());
}

/// Endpoint, CA, certificates, and whether requests are audited.
pub(crate) fn access(status: &mut OpenBaoClusterStatus, report: &Report<'_>) {
    let (object, cluster) = (report.input.object, report.input.cluster);
    status.endpoint = Some(object.spec.external_url.clone().unwrap_or_else(|| object.address()));
    status.ca_config_map = (!cluster.is_plain()).then(|| cluster.ca_config_map());
    let ends = report.observed.certificate.as_ref().ok().and_then(|certificate| certificate.ends);
    if let Some(ends) = ends.and_then(|ends| Timestamp::from_second(ends).ok()) {
        status.certificates = Some(CertificateState { not_after: Time(ends) });
    }
    if report.trouble().is_none() && report.observed.storage.is_ok() {
        status.audited = Some(!cluster.spec.audit.is_empty());
    }
}

/// The rollout in progress. The first start is not a rollout.
pub(crate) fn upgrade(report: &Report<'_>) -> Option<UpgradeState> {
    let step = &report.applied.rollout.step;
    if report.input.start() == Start::First || report.hibernates() || is_deferred(step) {
        return None;
    }
    let step = step.text()?;
    Some(UpgradeState {
        from: report.input.found.last.version.clone(),
        to: report.input.cluster.version.to_string(),
        step: step.chars().take(STEP_LENGTH).collect(),
        updated: i32::try_from(report.applied.rollout.updated).unwrap_or(0),
    })
}

/// The phase. It depends on the other fields.
pub(crate) fn phase(status: &OpenBaoClusterStatus, report: &Report<'_>) -> ClusterPhase {
    let serves = report.server().is_some_and(Server::serves);
    let is_complete = status.replicas == Some(report.input.cluster.spec.replicas);
    let step = &report.applied.rollout.step;
    let is_rolling = matches!(step, Step::Wait(_) | Step::Replace { .. }) && !is_deferred(step);
    if report.hibernates() {
        ClusterPhase::Hibernated
    } else if serves {
        match (status.upgrade.is_some() || is_rolling && is_complete, is_complete) {
            (true, _) => ClusterPhase::Upgrading,
            (false, false) => ClusterPhase::Degraded,
            (false, true) => ClusterPhase::Running,
        }
    } else if status.initialized == Some(true) {
        ClusterPhase::Unavailable
    } else if report.observed.members.is_empty() {
        ClusterPhase::Creating
    } else {
        ClusterPhase::Initializing
    }
}
