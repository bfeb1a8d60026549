//! The controller: finds and validates, and decides whether the entries are checked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{BaoPushSecret, Mode, RECONCILE_ANNOTATION};
use steamer_core::stops::Stops;
use steamer_core::{Context, Error};
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Action, Dependencies, Locked, ObjectName, Reconcile};

use super::entry::Seal;
use super::fetch::{Found, fetch};
use super::missing::Missing;
use super::origin::Chosen;
use super::pass::Pass;
use super::selection::Selections;
use super::status::last;
use super::validate::Inputs;
use super::{deletion, rotation, status};
use crate::engine::{Due, Nudge, Nudges};

/// Shortest pause between two checks of an object.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reconciles BaoPushSecrets.
pub(crate) struct Controller {
    pub(super) context: Arc<Context>,
    pub(super) limit: WriteLimit,
    pub(super) missing: Missing,
    selections: Arc<Selections>,
    nudges: Nudges,
    /// When the entries of an object are checked again.
    due: Locked<HashMap<ObjectName, Timestamp>>,
}

impl Reconcile for Controller {
    type Object = BaoPushSecret;
    type Error = Error;
    const NAME: &'static str = "baopushsecret";

    async fn reconcile(
        &self,
        object: Arc<BaoPushSecret>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if object.metadata.deletion_timestamp.is_some() {
            deletion::delete(&self.context, dependencies, &object).await?;
            return Ok(Action::AwaitChange);
        }
        if object.spec.lifecycle.suspend {
            status::suspended(&self.context, &object).await?;
            return Ok(Action::AwaitChange);
        }
        let result = self.run(&object, dependencies).await;
        result.map_err(|error| error.retried_within(object.spec.refresh_after.get()))
    }

    fn forget(&self, name: &ObjectName) {
        self.limit.forget(name);
        self.missing.forget(name);
        self.nudges.forget(name);
        self.due.lock().remove(name);
    }
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let (limit, nudges, due) = (WriteLimit::default(), Nudges::default(), Locked::default());
        let selections = Selections::new(context.client.clone(), context.runtime.index.clone());
        let missing = Missing::default();
        Self { context, limit, missing, selections: Arc::new(selections), nudges, due }
    }

    async fn run(&self, object: &BaoPushSecret, dependencies: &Dependencies) -> Result<Action, Error> {
        let found = fetch(&self.context, &self.selections, dependencies, object).await?;
        let pass = self.pass(object, dependencies, found);
        if pass.is_err() && object.spec.selector.is_some() {
            status::unselected(&self.context, object).await?;
        }
        let mut pass = pass?;
        let nudge = self.nudge(&pass);
        if nudge != Nudge::Now
            && let Some(pause) = self.pause(&pass)
        {
            return Ok(after(nudge.pause().map_or(pause, |nudge| pause.min(nudge))));
        }
        let handled = match nudge {
            Nudge::Later(_) => pass.last.last_handled_reconcile_at.clone(),
            Nudge::None | Nudge::Now => object.annotations().get(RECONCILE_ANNOTATION).cloned(),
        };
        // Otherwise, entries that the status records as up to date are not checked.
        pass.is_full = nudge == Nudge::Now || pass.compares_all() || self.due_of(&pass) <= Timestamp::now();
        match object.spec.lifecycle.mode {
            Mode::Observe => self.observe(&pass, handled).await?,
            Mode::Enforce => self.enforce(&pass, handled).await?,
        }
        let (now, schedule, due) = (Timestamp::now(), pass.schedule(), self.checked(&pass));
        let recorded = last(&self.context, object).entries;
        let rotation = pass.next_rotation(&recorded, now).unwrap_or(Duration::MAX);
        let release = self.next_release(object).unwrap_or(Duration::MAX);
        Ok(after(Due::on(&schedule, due).until(now).min(rotation).min(release)))
    }

    /// Time until the entry of a Secret that no longer exists is deleted.
    pub(super) fn next_release(&self, object: &BaoPushSecret) -> Option<Duration> {
        let release = self.missing.next(&ObjectName::of(object), Instant::now());
        release.map(|release| release.max(SHORTEST))
    }

    /// Notes that the entries were checked. Returns when they are checked again: a check of some entries does not postpone it.
    pub(super) fn checked(&self, pass: &Pass<'_>) -> Timestamp {
        let due = if pass.is_full { pass.schedule().next(Timestamp::now()) } else { self.due_of(pass) };
        self.due.lock().insert(pass.name.clone(), due);
        due
    }

    /// When the entries are checked. A restart of the operator checks only what became due while no operator was active.
    fn due_of(&self, pass: &Pass<'_>) -> Timestamp {
        let due = self.due.lock().get(&pass.name).copied();
        let last = || self.context.last_active.unwrap_or_else(Timestamp::now);
        due.unwrap_or_else(|| pass.schedule().next(last()))
    }

    fn pass<'a>(
        &self,
        object: &'a BaoPushSecret,
        dependencies: &'a Dependencies,
        found: Found,
    ) -> Result<Pass<'a>, Error> {
        let Found { access, origin, namespace } = found;
        let name = ObjectName::of(object);
        let seal = Seal { mac: &self.context.mac, object: &name };
        let inputs = Inputs { spec: &object.spec, secret: None, below: None, namespace: &namespace, seal };
        let Chosen { entries, selected, unpushed, unknown } = Chosen::of(&origin, inputs)?;
        let (mark, last) = (self.context.mark_of(object), last(&self.context, object));
        let entries = entries.into_iter().map(|entry| {
            let recorded = entry.place.record_in(&last.entries);
            rotation::aged(entry, recorded, Timestamp::now())
        });
        let entries = entries.collect();
        Ok(Pass {
            object,
            dependencies,
            name,
            mark,
            access,
            namespace,
            entries,
            selected,
            unpushed,
            unknown,
            last,
            stops: Stops::of(&self.context, object),
            is_full: true,
        })
    }

    fn nudge(&self, pass: &Pass<'_>) -> Nudge {
        let asked = pass.object.annotations().get(RECONCILE_ANNOTATION);
        match asked {
            Some(asked) if pass.last.last_handled_reconcile_at.as_ref() != Some(asked) => {
                self.nudges.admit(&pass.name, Instant::now())
            }
            _ => Nudge::None,
        }
    }

    /// Time until the entries of a settled object are checked. None if they have to be checked now.
    fn pause(&self, pass: &Pass<'_>) -> Option<Duration> {
        let (now, schedule) = (Timestamp::now(), pass.schedule());
        let due = self.due_of(pass);
        let rotation = pass.next_rotation(&pass.last.entries, now).unwrap_or(Duration::MAX);
        let pause = Due::on(&schedule, due).until(now).min(rotation);
        (pass.is_settled() && !pause.is_zero()).then_some(pause)
    }
}

fn after(pause: Duration) -> Action {
    Action::After(pause.max(SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_never_checked_without_a_pause() {
        assert_eq!(after(Duration::ZERO), Action::After(SHORTEST));
        assert_eq!(after(SHORTEST * 2), Action::After(SHORTEST * 2));
    }
}
