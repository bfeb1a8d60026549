//! Derives the status from the result of a reconcile, and writes it.

use steamer_api::{DrillResult, OpenBaoClusterStatus, Orphan, RestoreDrillState};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::conditions::Conditions;

use crate::managed::break_glass;
use crate::managed::conditions;
use crate::managed::report::Report;
use crate::managed::restore_drill;
use crate::managed::summary;
use crate::managed::verdict::verdict;
use crate::managed::warnings;
use crate::relay::condition;
use crate::server::orphans::without;

/// Writes the status of a cluster.
pub(crate) async fn status(context: &Context, report: &Report<'_>) -> Result<(), Error> {
    let object = report.input.object;
    let last: OpenBaoClusterStatus = context.status(object);
    let mut status = derived(report, last.orphans);
    let generation = object.metadata.generation.unwrap_or(0);
    let conditions = &mut Conditions::new(&mut status.common.conditions, generation, report.now);
    condition::set(conditions, context, &report.input.cluster.name);
    measure(context, report, status.restore_drill.as_ref());
    context.report(object, status, &verdict(report)).await
}

fn measure(context: &Context, report: &Report<'_>, last: Option<&RestoreDrillState>) {
    if let Some(last) = last {
        let success = last.last_success.as_ref().map(|at| at.0.as_second());
        let name = &report.input.cluster.name;
        context.runtime.metrics.restore_drill(name, last.result == DrillResult::Succeeded, success);
    }
}

/// The status. `orphans` are the recorded ones now: another controller adds to them during a reconcile.
fn derived(report: &Report<'_>, orphans: Vec<Orphan>) -> OpenBaoClusterStatus {
    let mut status = report.input.found.last.clone();
    status.orphans = without(orphans, &report.openbao.removed_orphans);
    let generation = report.input.object.metadata.generation.unwrap_or(0);
    summary::openbao(&mut status, report);
    break_glass::record(&mut status, &report.observed);
    let ended = report.drill.as_ref().and_then(|drill| drill.ended.clone());
    status.restore_drill = ended.or(status.restore_drill.take());
    let (administrators, last_drill) = (status.administrators.clone(), status.restore_drill.clone());
    let conditions = &mut Conditions::new(&mut status.common.conditions, generation, report.now);
    conditions::set(conditions, report);
    if let Some(drill) = &report.drill {
        restore_drill::set(conditions, report.input.cluster, (&drill.step, last_drill.as_ref()));
    }
    warnings::set_administrators(conditions, administrators.as_ref(), &report.input.cluster.administrators);
    summary::members(&mut status, report);
    summary::database(&mut status, report);
    summary::failover(&mut status, report.observed.longest_takeover);
    summary::seal(&mut status, report);
    summary::versions(&mut status, report);
    summary::access(&mut status, report);
    status.upgrade = summary::upgrade(report);
    status.phase = Some(summary::phase(&status, report));
    status
}
