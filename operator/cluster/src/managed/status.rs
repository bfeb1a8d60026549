use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::CertificateState;
use steamer_core::error::Error;
use steamer_runtime::conditions::{Conditions, State, Verdict};
use steamer_runtime::{Failure, Reason, describe};

use crate::database::roles::Obstacle;
use crate::external::{facts, server_verdict};
use crate::guard::GuardReport;
use crate::managed::apply::{Done, Work};
use crate::managed::fetch::Found;
use crate::managed::summary;
use crate::nodes::members::Answer;
use crate::nodes::rollout::Step;
use crate::restore;
use crate::seal::check::SealCheck;

pub(crate) async fn status(
    work: &Work<'_>,
    found: &Found,
    guard_report: &GuardReport,
    done: Done,
) -> Result<(), Error> {
    let mut status = found.last.clone();
    let generation = work.object.metadata.generation.unwrap_or(0);
    let mut conditions = Conditions::new(&mut status.conditions, generation, Timestamp::now());
    own_facts(&mut conditions, work, &done);
    match &done.seen {
        Some(seen) => facts(&mut conditions, seen),
        None => unseen(&mut conditions, &done),
    }
    let verdict = verdict(work, found, &done, guard_report);
    summary::members(&mut status, &done, guard_report);
    summary::database(&mut status, work, &done);
    summary::measured(work, &done);
    summary::seal(&mut status, work, &done);
    if let Some(Ok(health)) = done.seen.as_ref().map(|seen| &seen.health) {
        // Initialised is who lets the operator in: what initialises itself is not done before.
        let through = health.initialized
            && done.seen.as_ref().is_some_and(|seen| seen.missing.is_ok() && seen.serves());
        status.initialized = Some(through || status.initialized == Some(true));
        let other = restore::another(found, &done).is_some();
        let id = Some(health.cluster_id.clone()).filter(|id| !id.is_empty() && !other);
        status.cluster_id = id.or(status.cluster_id);
    }
    summary::versions(&mut status, &done);
    status.endpoint = Some(work.object.spec.external_url.clone().unwrap_or_else(|| work.object.address()));
    status.ca_config_map = (!work.cluster.is_plain()).then(|| work.cluster.child("-ca"));
    let ends = done.certificate_ends.as_ref().ok().and_then(|ends| Timestamp::from_second((*ends)?).ok());
    status.certificates = ends.map(|ends| CertificateState { not_after: Time(ends) }).or(status.certificates);
    status.upgrade = summary::upgrade(work, found, &done);
    status.phase = Some(summary::phase(&status, work, &done));
    if done.trouble.is_none() && done.storage.is_ok() {
        status.audited = Some(!work.cluster.spec.audit.is_empty());
    }
    if let Some(seen) = &done.seen {
        let orphans = crate::server::remove_orphans(work.context, work.dependencies, work.object, seen);
        status.orphans = orphans.await;
    }
    let verdict = if work.object.spec.suspend { Verdict::Suspended } else { verdict };
    work.context.report(work.object, status, &verdict).await
}

fn own_facts(conditions: &mut Conditions<'_>, work: &Work<'_>, done: &Done) {
    match &done.storage {
        Ok(storage) => {
            let text = format!(
                "PostgreSQL {} at {}",
                storage.server.version,
                work.guard_target.owner.login.address()
            );
            conditions.set("StorageReachable", State::True, Reason::Applied, &text);
            fencing(conditions, work, storage.obstacle.as_ref());
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
        Ok(None) => conditions.clear("CertificatesValid"),
        Ok(Some(ends)) if *ends > Timestamp::now().as_second() => {
            conditions.set("CertificatesValid", State::True, Reason::Applied, "");
        }
        Ok(Some(_)) => conditions.set(
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

fn fencing(conditions: &mut Conditions<'_>, work: &Work<'_>, obstacle: Option<&Obstacle>) {
    use steamer_api::Fencing;
    match (work.cluster.fencing, obstacle) {
        (Fencing::Database, None) => conditions.set(
            "FencingReady",
            State::True,
            Reason::Applied,
            "a lost leader is fenced at the database",
        ),
        (Fencing::Database, Some(obstacle)) => {
            conditions.set("FencingReady", State::False, Reason::PermissionDenied, &obstacle.to_string());
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

fn verdict(work: &Work<'_>, found: &Found, done: &Done, guard_report: &GuardReport) -> Verdict {
    let replicas = work.cluster.spec.replicas;
    // What someone has to change comes first: nothing else will go on by itself.
    let stalled = [
        done.trouble.as_ref(),
        done.storage.as_ref().err(),
        done.certificate_ends.as_ref().err(),
        done.exposed.as_ref().err(),
    ];
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
    if let Err(error) = &done.exposed {
        return error.verdict();
    }
    let serving = done.members.iter().filter(|member| member.serves()).count();
    let leader = guard_report.leader.as_ref().map_or("nobody", |(pod, ..)| pod.as_str());
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
