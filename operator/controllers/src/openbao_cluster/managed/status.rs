use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{
    CertificateState, ClusterPhase, Fenced, LeaderStatus, MemberRole, MemberStatus, OpenBaoClusterStatus,
    RecoveryKeyState, SealState, StorageState, UpgradeState,
};
use steamer_runtime::conditions::{Conditions, State, Verdict};
use steamer_runtime::{Failure, Reason, describe};

use super::apply::{Done, Work};
use super::fetch::Found;
use super::restore;
use crate::error::Error;
use crate::openbao_cluster::cluster::Version;
use crate::openbao_cluster::database::roles::parse_role;
use crate::openbao_cluster::fetch::Seen;
use crate::openbao_cluster::guard::Sight;
use crate::openbao_cluster::members::{Answer, Member};
use crate::openbao_cluster::preflight::SealCheck;
use crate::openbao_cluster::rollout::Step;
use crate::openbao_cluster::status::{facts, server_verdict};

pub(super) async fn status(work: &Work<'_>, found: &Found, sight: &Sight, done: Done) -> Result<(), Error> {
    let mut status = found.last.clone();
    let generation = work.object.metadata.generation.unwrap_or(0);
    let mut conditions = Conditions::new(&mut status.conditions, generation, Timestamp::now());
    own_facts(&mut conditions, work, &done);
    match &done.seen {
        Some(seen) => facts(&mut conditions, seen),
        None => unseen(&mut conditions, &done),
    }
    let verdict = verdict(work, found, &done, sight);
    members(&mut status, &done, sight);
    database(&mut status, work, &done);
    measured(work, &done);
    seal(&mut status, work, &done);
    if let Some(Ok(health)) = done.seen.as_ref().map(|seen| &seen.health) {
        // Initialised is who lets the operator in: what initialises itself is not done before.
        let through = health.initialized
            && done.seen.as_ref().is_some_and(|seen| seen.missing.is_ok() && seen.serves());
        status.initialized = Some(through || status.initialized == Some(true));
        let other = restore::another(found, &done).is_some();
        let id = Some(health.cluster_id.clone()).filter(|id| !id.is_empty() && !other);
        status.cluster_id = id.or(status.cluster_id);
    }
    versions(&mut status, &done);
    status.endpoint = Some(work.object.spec.external_url.clone().unwrap_or_else(|| work.object.address()));
    status.ca_config_map = Some(work.cluster.child("-ca"));
    let ends = done.certificate_ends.as_ref().ok().and_then(|ends| Timestamp::from_second(*ends).ok());
    status.certificates = ends.map(|ends| CertificateState { not_after: Time(ends) }).or(status.certificates);
    status.upgrade = upgrade(work, found, &done);
    status.phase = Some(phase(&status, work, &done));
    if done.trouble.is_none() && done.storage.is_ok() {
        status.audited = Some(!work.cluster.spec.audit.is_empty());
    }
    if let Some(seen) = &done.seen {
        let orphans =
            crate::openbao_cluster::fetch::adopt_orphans(work.context, work.dependencies, work.object, seen);
        status.orphans = orphans.await;
    }
    let verdict = if work.object.spec.suspend { Verdict::Suspended } else { verdict };
    work.context.report(work.object, status, &verdict).await
}

fn own_facts(conditions: &mut Conditions<'_>, work: &Work<'_>, done: &Done) {
    match &done.storage {
        Ok(storage) => {
            let text =
                format!("PostgreSQL {} at {}", storage.server.version, work.duty.owner.login.address());
            conditions.set("StorageReachable", State::True, Reason::Applied, &text);
            fencing(conditions, work, storage.obstacle.as_deref());
        }
        Err(error) => conditions.set("StorageReachable", State::False, error.reason(), &describe(error)),
    }
    let (state, reason) = match &done.seal {
        SealCheck::Opens(_) => (State::True, Reason::Applied),
        SealCheck::Unreachable(_) => (State::False, Reason::Unreachable),
        SealCheck::Refused(_) => (State::False, Reason::Invalid),
    };
    conditions.set("SealReachable", state, reason, done.seal.text());
    match &done.certificate_ends {
        Ok(ends) if *ends > Timestamp::now().as_second() => {
            conditions.set("CertificatesValid", State::True, Reason::Applied, "");
        }
        Ok(_) => conditions.set(
            "CertificatesValid",
            State::False,
            Reason::Expired,
            "the nodes' certificate has ended",
        ),
        Err(error) => conditions.set("CertificatesValid", State::False, error.reason(), &describe(error)),
    }
    match &done.step {
        Step::Settled => conditions.clear("UpgradeInProgress"),
        Step::Wait(what) => conditions.set("UpgradeInProgress", State::True, Reason::RollingOut, what),
        Step::Replace { pod, why, .. } => {
            conditions.set(
                "UpgradeInProgress",
                State::True,
                Reason::RollingOut,
                &format!("{pod} is replaced: {why}"),
            );
        }
        Step::Stop(why) => conditions.set("UpgradeInProgress", State::False, Reason::Failed, why),
    }
    let serving = done.members.iter().filter(|member| member.serves()).count();
    let wanted = usize::try_from(work.cluster.spec.replicas).unwrap_or(0);
    let text = format!("{serving} of {wanted} nodes serve");
    if serving < wanted {
        conditions.set("Degraded", State::True, Reason::Waiting, &text);
    } else {
        conditions.set("Degraded", State::False, Reason::Applied, &text);
    }
}

fn fencing(conditions: &mut Conditions<'_>, work: &Work<'_>, obstacle: Option<&str>) {
    use steamer_api::Fencing;
    match (work.cluster.fencing, obstacle) {
        (Fencing::Database, None) => conditions.set(
            "FencingReady",
            State::True,
            Reason::Applied,
            "a lost leader is fenced at the database",
        ),
        (Fencing::Database, Some(obstacle)) => {
            conditions.set("FencingReady", State::False, Reason::PermissionDenied, obstacle);
        }
        (Fencing::ProcessEnd, _) => conditions.set(
            "FencingReady",
            State::False,
            Reason::Waiting,
            "without storage.postgresql.adminSecretRef a lost leader is replaced early only when its process has ended",
        ),
        (Fencing::None, _) => conditions.clear("FencingReady"),
    }
}

fn unseen(conditions: &mut Conditions<'_>, done: &Done) {
    conditions.set("Available", State::False, Reason::Waiting, "no node serves");
    let answered = done.members.iter().find_map(|member| match &member.answer {
        Answer::Health(health) => Some(health),
        _ => None,
    });
    if let Some(health) = answered {
        let reason = |holds| if holds { Reason::Applied } else { Reason::Waiting };
        conditions.set("Initialized", health.initialized.into(), reason(health.initialized), "");
        let sealed = if health.sealed { Reason::Sealed } else { Reason::Applied };
        conditions.set("Unsealed", (!health.sealed).into(), sealed, "");
    }
    conditions.set("LeaderElected", State::False, Reason::NoLeader, "");
}

fn verdict(work: &Work<'_>, found: &Found, done: &Done, sight: &Sight) -> Verdict {
    let replicas = work.cluster.spec.replicas;
    // What someone has to change comes first: nothing else will go on by itself.
    let stalled = [done.trouble.as_ref(), done.storage.as_ref().err(), done.certificate_ends.as_ref().err()];
    if let Some(error) = stalled.into_iter().flatten().find(|error| error.stalled()) {
        return error.verdict();
    }
    if let Step::Stop(why) = &done.step {
        return Verdict::Stalled(Reason::Failed, why.clone());
    }
    if let SealCheck::Refused(why) = &done.seal {
        return Verdict::Stalled(Reason::Invalid, why.clone());
    }
    if let Some(error) = done.storage.as_ref().err() {
        return error.verdict();
    }
    if let Some(error) = &done.trouble {
        return error.verdict();
    }
    let Some(seen) = &done.seen else {
        return match &done.step {
            Step::Wait(what) => Verdict::Progressing(Reason::Waiting, format!("no node serves yet: {what}")),
            Step::Replace { pod, why, .. } => {
                Verdict::Progressing(Reason::Waiting, format!("no node serves: {pod} is replaced, {why}"))
            }
            _ => Verdict::Retrying(Reason::NoLeader, "no node serves".to_owned()),
        };
    };
    if found.last.initialized != Some(true) && !found.adopted && seen.missing.is_err() {
        return Verdict::Progressing(Reason::Waiting, "OpenBao initialises itself".to_owned());
    }
    if !seen.serves() {
        return server_verdict(&work.object.address(), seen);
    }
    match &done.step {
        Step::Wait(what) => return Verdict::Progressing(Reason::RollingOut, format!("it serves; {what}")),
        Step::Replace { pod, why, .. } => {
            return Verdict::Progressing(Reason::RollingOut, format!("it serves; {pod} is replaced: {why}"));
        }
        Step::Settled | Step::Stop(_) => {}
    }
    let serving = done.members.iter().filter(|member| member.serves()).count();
    let leader = sight.leader.as_ref().map_or("nobody", |(pod, ..)| pod.as_str());
    match server_verdict(&work.object.address(), seen) {
        // What runs goes on without its seal; only a start needs it.
        Verdict::Ready(reason, _) => {
            let start = match &done.seal {
                SealCheck::Unreachable(why) => format!("; a node could not start now: {why}"),
                _ => String::new(),
            };
            let version = work.cluster.version;
            let text =
                format!("OpenBao {version} serves with {serving} of {replicas} nodes, {leader} leads{start}");
            Verdict::Ready(reason, text)
        }
        other => other,
    }
}

fn members(status: &mut OpenBaoClusterStatus, done: &Done, sight: &Sight) {
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
    let Some((pod, _, since)) = &sight.leader else {
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

fn database(status: &mut OpenBaoClusterStatus, work: &Work<'_>, done: &Done) {
    status.selector = Some(format!("steamer.dev/cluster={}", work.cluster.name.name));
    let host = work.duty.owner.login.address();
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

fn measured(work: &Work<'_>, done: &Done) {
    let (metrics, name) = (&work.context.runtime.metrics, &work.cluster.name);
    if let Ok(storage) = &done.storage {
        metrics.database_connections(name, storage.server.connections);
    }
    if let Ok(ends) = &done.certificate_ends {
        metrics.certificate_ends(name, *ends);
    }
}

fn seal(status: &mut OpenBaoClusterStatus, work: &Work<'_>, done: &Done) {
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
fn versions(status: &mut OpenBaoClusterStatus, done: &Done) {
    let serving = done.members.iter().filter(|member| member.serves());
    let lowest = serving.clone().filter_map(Member::version).min();
    status.version = lowest.map(|version| version.to_string()).or(status.version.take());
    let led = serving.filter(|member| member.answer.is_active()).filter_map(Member::version).max();
    let highest: Option<Version> = status.highest_version_led.as_deref().and_then(|text| text.parse().ok());
    status.highest_version_led = led.max(highest).map(|version| version.to_string());
}

fn upgrade(work: &Work<'_>, found: &Found, done: &Done) -> Option<UpgradeState> {
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

fn phase(status: &OpenBaoClusterStatus, work: &Work<'_>, done: &Done) -> ClusterPhase {
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
