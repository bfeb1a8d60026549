//! Verdict on a managed cluster: the first of an ordered list of checks that applies.

use std::sync::Arc;

use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Failure, Reason};

use crate::cluster::Mode;
use crate::first_start::Start;
use crate::managed::hold::is_deferred;
use crate::managed::report::Report;
use crate::nodes::rollout::Step;
use crate::restore::HIBERNATED;
use crate::seal::check::SealCheck;
use crate::server;
use crate::server::Server;

/// A check: the verdict if it applies.
type Check = fn(&Report<'_>) -> Option<Verdict>;

/// The checks. Those that need a change by a user come first: the others cannot make progress without it.
const CHECKS: [Check; 14] = [
    refused,
    suspended,
    hibernated,
    stalled_error,
    stopped_rollout,
    refused_seal,
    unreachable_storage,
    trouble,
    takeover,
    no_serving_node,
    self_initialization,
    unavailable_server,
    rollout,
    exposure,
];

/// Verdict on a cluster.
pub(crate) fn verdict(report: &Report<'_>) -> Verdict {
    CHECKS.iter().find_map(|check| check(report)).unwrap_or_else(|| serving(report))
}

/// The spec, or an object that it refers to, is not valid. The last valid one stays in force.
fn refused(report: &Report<'_>) -> Option<Verdict> {
    report.input.refused.map(Failure::verdict)
}

fn suspended(report: &Report<'_>) -> Option<Verdict> {
    (report.input.cluster.mode == Mode::Suspended).then_some(Verdict::Suspended)
}

fn hibernated(report: &Report<'_>) -> Option<Verdict> {
    report.hibernates().then(|| Verdict::NotReady(Reason::Disabled, HIBERNATED.to_owned()))
}

fn stalled_error(report: &Report<'_>) -> Option<Verdict> {
    let errors: [Option<&Error>; 4] = [
        report.trouble().map(Arc::as_ref),
        report.observed.storage.as_ref().err().map(Arc::as_ref),
        report.observed.certificate.as_ref().err().map(Arc::as_ref),
        report.applied.exposed.as_ref().err(),
    ];
    errors.into_iter().flatten().find(|error| error.stalled() && !is_contested(error)).map(Failure::verdict)
}

/// Another client changes an object of the cluster each time. The cluster may serve: what uses it goes on.
fn is_contested(error: &Error) -> bool {
    matches!(error, Error::Repeated(..))
}

fn verdict_of(error: &Error) -> Verdict {
    match error {
        Error::Repeated(text, _) => Verdict::Retrying(Reason::Conflict, text.clone()),
        error => error.verdict(),
    }
}

fn stopped_rollout(report: &Report<'_>) -> Option<Verdict> {
    match &report.applied.rollout.step {
        Step::Stop(why) => Some(Verdict::Stalled(Reason::Failed, why.clone())),
        _ => None,
    }
}

fn refused_seal(report: &Report<'_>) -> Option<Verdict> {
    match &report.observed.seal {
        SealCheck::Refused(why) => Some(Verdict::Stalled(Reason::Invalid, why.clone())),
        _ => None,
    }
}

fn unreachable_storage(report: &Report<'_>) -> Option<Verdict> {
    report.observed.storage.as_ref().err().map(|error| error.verdict())
}

fn trouble(report: &Report<'_>) -> Option<Verdict> {
    report.trouble().map(|error| verdict_of(error))
}

/// A cluster with many namespaces does not serve for minutes after a change of the leader.
fn takeover(report: &Report<'_>) -> Option<Verdict> {
    let text = report.observed.takeover.clone()?;
    Some(Verdict::Progressing(Reason::NoLeader, text))
}

fn no_serving_node(report: &Report<'_>) -> Option<Verdict> {
    if report.server().is_some() {
        return None;
    }
    Some(match &report.applied.rollout.step {
        Step::Wait(what) => Verdict::Progressing(Reason::Waiting, format!("no node serves yet: {what}")),
        Step::Replace { pod, why, .. } => {
            Verdict::Progressing(Reason::Waiting, format!("no node serves: {pod} is replaced, {why}"))
        }
        Step::Repair { pod, fault, .. } => {
            let why = fault.why();
            Verdict::Progressing(Reason::Waiting, format!("no node serves: {pod} is replaced, {why}"))
        }
        Step::Settled | Step::Stop(_) => Verdict::Retrying(Reason::NoLeader, "no node serves".to_owned()),
    })
}

fn self_initialization(report: &Report<'_>) -> Option<Verdict> {
    let is_first = report.input.start() == Start::First && !report.input.cluster.takes_over;
    let is_refused = report.server().is_some_and(|server| server.missing.is_err());
    let text = "OpenBao initializes itself".to_owned();
    (is_first && is_refused).then_some(Verdict::Progressing(Reason::Waiting, text))
}

fn unavailable_server(report: &Report<'_>) -> Option<Verdict> {
    let server = report.server().filter(|server| !server.serves())?;
    Some(server_verdict(report, server))
}

fn rollout(report: &Report<'_>) -> Option<Verdict> {
    match &report.applied.rollout.step {
        Step::Settled | Step::Stop(_) => None,
        step if is_deferred(step) => None,
        step => Some(Verdict::Progressing(Reason::RollingOut, format!("it serves; {}", step.text()?))),
    }
}

fn exposure(report: &Report<'_>) -> Option<Verdict> {
    report.applied.exposed.as_ref().err().map(verdict_of)
}

fn server_verdict(report: &Report<'_>, server: &Server) -> Verdict {
    server::verdict::verdict(&report.input.object.address(), server)
}

/// Verdict on a cluster that serves.
fn serving(report: &Report<'_>) -> Verdict {
    let Some(server) = report.server() else {
        return Verdict::Retrying(Reason::NoLeader, "no node serves".to_owned());
    };
    let (serving, desired) = (report.serving().count(), report.input.cluster.nodes());
    let leader = report.input.guard_report.leader.as_ref();
    let leader = leader.map_or("no node leads".to_owned(), |leader| format!("{} leads", leader.pod));
    match server_verdict(report, server) {
        Verdict::Ready(reason, _) => {
            let version = report.input.cluster.version;
            let text = format!("OpenBao {version} serves with {serving} of {desired} nodes, {leader}");
            Verdict::Ready(reason, text + &fence_note(report) + &seal_note(&report.observed.seal))
        }
        other => other,
    }
}

/// State of a requested fence.
fn fence_note(report: &Report<'_>) -> String {
    report.fence().text().map(|text| format!("; {text}")).unwrap_or_default()
}

/// Running nodes continue without their seal. Only a start needs it.
fn seal_note(seal: &SealCheck) -> String {
    match seal {
        SealCheck::Failing(why) | SealCheck::Unreachable(why) => {
            format!("; a node could not start now: {why}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
