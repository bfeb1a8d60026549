//! The part of a reconcile that restarts workloads. It needs no OpenBao: restarts are made while it is unreachable, too.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{HasConditions, WorkloadRestarts};
use steamer_core::Error;
use steamer_runtime::conditions::{Conditions, State};
use steamer_runtime::{Key, ObjectName, Reason};

use super::restart::{Change, Condition, Outcome, Owed};
use super::shared::Engine;
use super::synced::{Common, Synced};

/// Type of the condition.
const CONDITION: &str = "WorkloadsRestarted";

impl Engine {
    /// Makes the next step of the restarts of an object. Returns the pause before the next one, if restarts are owed.
    pub(super) async fn restart<K: Synced>(&self, object: &K) -> Result<Option<Duration>, Error> {
        let Some(last) = last_change(self, object) else {
            self.forget_restarts::<K>(&ObjectName::of(object));
            return Ok(None);
        };
        if last.is_complete() {
            self.restarts.forget(&last.object);
            return self.review(object, &last).await.map(|()| None);
        }
        match self.restarts.step(&last).await {
            Err(pause) => Ok(Some(pause)),
            Ok(outcome) => {
                self.report_restarts(object, &last, &outcome).await?;
                Ok(self.restarts.pause_after(&last, &outcome))
            }
        }
    }

    /// Whether all workloads run with this change of the Secret of an object. A change that the status does not state yet has
    /// restarted none of them.
    pub(super) async fn is_rolled_out<K: Synced>(&self, object: &K, change: i64) -> bool {
        match last_change(self, object) {
            Some(last) => last.has_completed(change) && self.restarts.are_rolled_out(&last).await,
            None => change == 0,
        }
    }

    /// Discards the restarts of an object that owes none.
    pub(super) fn forget_restarts<K: Synced>(&self, name: &ObjectName) {
        self.restarts.forget(&Key::new(K::KIND, name.clone()));
    }

    /// Computes the condition of an object that owes no restart again, if a target could not be restarted.
    async fn review<K: Synced>(&self, object: &K, last: &Owed<'_>) -> Result<(), Error> {
        if self.context.latest(object).condition(CONDITION).is_none_or(|it| it.status != "False") {
            return Ok(());
        }
        let outcome = self.restarts.review(last).await;
        if !outcome.is_failed() {
            let mut status: K::Status = self.context.status(object);
            set(object, &mut status, &outcome.condition(last));
            self.context.runtime.statuses.write(object, &status).await?;
        }
        Ok(())
    }

    async fn report_restarts<K: Synced>(
        &self,
        object: &K,
        owed: &Owed<'_>,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let mut status: K::Status = self.context.status(object);
        let mut recorded = K::recorded(&status);
        recorded.sync.restarts = Some(outcome.status(owed, Timestamp::now()));
        K::record(&mut status, recorded);
        let condition = outcome.condition(owed);
        let before = status.condition(CONDITION);
        let is_news = before.is_none_or(|before| before.reason != condition.reason.as_str());
        set(object, &mut status, &condition);
        let Condition { status: state, reason, message } = condition;
        let runtime = &self.context.runtime;
        runtime.statuses.write(object, &status).await?;
        if !outcome.patched().is_empty() {
            let note = format!("restarted for Secret {}: {}", owed.secret, outcome.patched().join(", "));
            runtime.events.announce(object, Reason::Restarted, &note).await;
        }
        if is_news && state == State::False && reason != Reason::RollingOut {
            runtime.events.warn(object, reason, &message).await;
        }
        Ok(())
    }
}

fn set<K: Synced>(object: &K, status: &mut K::Status, condition: &Condition) {
    let Condition { status: state, reason, message } = condition;
    let generation = object.meta().generation.unwrap_or_default();
    let conditions = &mut status.common_mut().conditions;
    Conditions::new(conditions, generation, Timestamp::now()).set(CONDITION, *state, *reason, message);
}

/// The restarts that the last change requires, whether or not they are complete. None if the object restarts nothing.
fn last_change<'a, K: Synced>(engine: &Engine, object: &'a K) -> Option<Owed<'a>> {
    let common = Some(object.common()).filter(Common::restarts)?;
    let recorded = K::recorded(&engine.context.latest(object));
    recorded.stamp.as_ref()?;
    let restarts = recorded.sync.restarts.unwrap_or_default();
    let number = engine.before(object).last();
    Some(Owed { complete: restarts.change, recorded: restarts.workloads, ..owed(object, &common, number) })
}

/// The restarts of a change.
fn owed<'a, K: Synced>(object: &K, common: &Common<'a>, number: i64) -> Owed<'a> {
    Owed {
        object: Key::new(K::KIND, ObjectName::of(object)),
        secret: &common.destination.name,
        change: Change::new(number, &object.uid().unwrap_or_default()),
        generation: object.meta().generation.unwrap_or_default(),
        targets: common.restart_targets,
        settings: common.restart.cloned().unwrap_or_default(),
        complete: 0,
        recorded: Vec::new(),
    }
}

/// The workloads that a change of the Secret would restart, such as `Deployment web`.
pub(super) async fn to_restart<K: Synced>(engine: &Engine, object: &K) -> Vec<String> {
    match Some(object.common()).filter(Common::restarts) {
        Some(common) => engine.restarts.chosen(&owed(object, &common, 0)).await,
        None => Vec::new(),
    }
}

/// The restarts in the status of a synced object. An object without restarts owes none, also if it gets targets later.
pub(super) fn kept(
    common: &Common<'_>,
    last: Option<WorkloadRestarts>,
    change: i64,
) -> Option<WorkloadRestarts> {
    if common.restarts() {
        return last;
    }
    (change > 0).then(|| WorkloadRestarts { change, workloads: Vec::new() })
}

/// Removes the condition of an object that restarts no workloads.
pub(super) fn clear(common: &Common<'_>, status: &mut impl HasConditions) {
    if !common.restarts() {
        status.common_mut().conditions.retain(|condition| condition.type_ != CONDITION);
    }
}
