//! Time of the next reconcile. Changes of the objects of a cluster, of its leader and of its spec requeue it at once. Pure.

use std::sync::Arc;
use std::time::Duration;

use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Failure};

use crate::cluster::Mode;
use crate::managed::report::Report;
use crate::managed::verdict::verdict;
use crate::nodes::fence_request::Request;
use crate::nodes::rollout::Step;
use crate::nodes::standby_mark;
use crate::restore::is_blocked;
use crate::seal::check::SealCheck;
use crate::server::Server;

/// Interval between two reconciles of a cluster that is settled, or waits for a user.
const SETTLED: Duration = Duration::from_secs(10);
/// Interval while a change without a watch is in progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// Time after which a cluster that is `Stalled` waits for a user: until then, it can still be on its way to its final state.
const STALLED: i64 = 30;

/// The next reconcile.
pub(crate) fn next_visit(report: &Report<'_>) -> Action {
    let interval = if report.input.cluster.spec.standby_reads { standby_mark::DELAY } else { SETTLED };
    let rests = is_settled(report) || report.hibernates() || waits_for_user(report);
    Action::After(if rests { interval } else { PROGRESS })
}

fn is_settled(report: &Report<'_>) -> bool {
    let step = &report.applied.rollout.step;
    // A change that is on hold while all nodes serve waits for a time, a user or other clusters.
    let is_held = matches!(step, Step::Wait(_)) && (report.is_whole() || lacks_only_fenced(report));
    (*step == Step::Settled || is_held)
        && report.trouble().is_none()
        && !is_due(report)
        && report.server().is_some_and(Server::serves)
}

/// Returns true if Steamer itself has to do something next.
fn is_due(report: &Report<'_>) -> bool {
    report.fence().is_due()
        || report.break_glass().is_due()
        || report.drill.as_ref().is_some_and(|drill| drill.step.is_due())
}

/// Returns true if all nodes serve except one that is fenced on request: it returns when a user removes the annotation.
fn lacks_only_fenced(report: &Report<'_>) -> bool {
    let is_in_force = matches!(report.fence(), Request::InForce { .. });
    is_in_force && report.serving().count() + 1 >= report.input.cluster.nodes()
}

/// Returns true if only a user can continue.
fn waits_for_user(report: &Report<'_>) -> bool {
    let is_final = || has_stalled(report) && !changes_pods(report) && !can_recover(report);
    !is_due(report) && (is_being_restored(report) || is_final())
}

/// Returns true if there is an error or a takeover that can end without the user.
fn can_recover(report: &Report<'_>) -> bool {
    let errors: [Option<&Error>; 2] =
        [report.trouble().map(Arc::as_ref), report.observed.storage.as_ref().err().map(Arc::as_ref)];
    report.observed.takeover.is_some() || errors.into_iter().flatten().any(|error| !error.stalled())
}

/// Returns true if a pod is being changed, or a node can serve again at any time.
fn changes_pods(report: &Report<'_>) -> bool {
    let is_refused = matches!(report.observed.seal, SealCheck::Refused(_));
    match &report.applied.rollout.step {
        Step::Replace { .. } | Step::Repair { .. } => true,
        Step::Wait(_) => !report.is_whole() && !is_refused,
        Step::Settled | Step::Stop(_) => false,
    }
}

/// Returns true if a user restores the database now: no node runs, and none can.
fn is_being_restored(report: &Report<'_>) -> bool {
    report.input.cluster.mode == Mode::Restoring
        && report.observed.members.is_empty()
        && report.observed.live.as_deref().is_some_and(is_blocked)
}

/// Returns true if the cluster has been `Stalled` for a while.
fn has_stalled(report: &Report<'_>) -> bool {
    let conditions = &report.input.found.last.common.conditions;
    let stalled =
        conditions.iter().find(|condition| condition.type_ == "Stalled" && condition.status == "True");
    let since = stalled.map(|condition| condition.last_transition_time.0.as_second());
    since.is_some_and(|since| report.now.as_second() - since >= STALLED)
        && matches!(verdict(report), Verdict::Stalled(..))
}

#[cfg(test)]
mod tests;
