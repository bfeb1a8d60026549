//! The controller: finds, validates, compares, writes, reports.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{
    BaoPushSecret, DeletionPolicy, KvType, Mode, Operation, PlannedChange, PushedEntry, RECONCILE_ANNOTATION,
};
use steamer_core::ownership::Mark;
use steamer_core::{Context, Error};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Action, Dependencies, Locked, ObjectName, Reconcile};

use super::apply::Writer;
use super::entry::{Entry, Seal};
use super::fetch::{Found, fetch};
use super::observed::observe;
use super::pass::{Outcome, Pass};
use super::place::Place;
use super::plan::{Rights, Step, step};
use super::release::Releaser;
use super::status::{Facts, last};
use super::validate::{Inputs, entries};
use super::{deletion, problem, rotation, status};
use crate::engine::{Due, Nudge, Nudges};

/// Shortest pause between two checks of an object.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reconciles BaoPushSecrets.
pub(crate) struct Controller {
    context: Arc<Context>,
    limit: WriteLimit,
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
            self.context.report(&*object, last(&self.context, &object), &Verdict::Suspended).await?;
            return Ok(Action::AwaitChange);
        }
        let result = self.run(&object, dependencies).await;
        result.map_err(|error| error.retried_within(object.spec.refresh_after.get()))
    }

    fn forget(&self, name: &ObjectName) {
        self.limit.forget(name);
        self.nudges.forget(name);
        self.due.lock().remove(name);
    }
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let (limit, nudges, due) = (WriteLimit::default(), Nudges::default(), Locked::default());
        Self { context, limit, nudges, due }
    }

    async fn run(&self, object: &BaoPushSecret, dependencies: &Dependencies) -> Result<Action, Error> {
        let found = fetch(&self.context, dependencies, object).await?;
        let pass = self.pass(object, dependencies, found)?;
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
        match object.spec.lifecycle.mode {
            Mode::Observe => self.observe(&pass, handled).await?,
            Mode::Enforce => self.enforce(&pass, handled).await?,
        }
        let (now, schedule) = (Timestamp::now(), pass.schedule());
        let due = schedule.next(now);
        self.due.lock().insert(pass.name.clone(), due);
        let recorded = last(&self.context, object).entries;
        let rotation = pass.next_rotation(&recorded, now).unwrap_or(Duration::MAX);
        Ok(after(Due::on(&schedule, due).until(now).min(rotation)))
    }

    fn pass<'a>(
        &self,
        object: &'a BaoPushSecret,
        dependencies: &'a Dependencies,
        found: Found,
    ) -> Result<Pass<'a>, Error> {
        let Found { access, secret, namespace } = found;
        let name = ObjectName::of(object);
        let seal = Seal { mac: &self.context.mac, object: &name };
        let (spec, secret) = (&object.spec, secret.as_deref());
        let entries = entries(&Inputs { spec, secret, namespace: &namespace, seal })?;
        let (mark, last) = (self.context.mark_of(object), last(&self.context, object));
        let entries = entries.into_iter().map(|entry| {
            let recorded = entry.place.record_in(&last.entries);
            rotation::aged(entry, recorded, Timestamp::now())
        });
        let entries = entries.collect();
        Ok(Pass { object, dependencies, name, mark, access, namespace, entries, last })
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

    /// Time until the entries of a settled object are checked. None if they have to be checked now. A restart of the operator
    /// checks only what became due while no operator was active.
    fn pause(&self, pass: &Pass<'_>) -> Option<Duration> {
        let (now, schedule) = (Timestamp::now(), pass.schedule());
        let due = self.due.lock().get(&pass.name).copied();
        let due = due.unwrap_or_else(|| schedule.next(self.context.last_active.unwrap_or(now)));
        let rotation = pass.next_rotation(&pass.last.entries, now).unwrap_or(Duration::MAX);
        let pause = Due::on(&schedule, due).until(now).min(rotation);
        (pass.is_settled() && !pause.is_zero()).then_some(pause)
    }

    /// Reports the changes that `mode: Enforce` would make.
    async fn observe(&self, pass: &Pass<'_>, handled: Option<String>) -> Result<(), Error> {
        let mut outcome = Outcome { entries: pass.last.entries.clone(), ..Outcome::default() };
        for entry in &pass.entries {
            match self.step(pass, entry).await?.0 {
                Step::Settled(_) | Step::Unchanged(_) | Step::Equal => {}
                Step::Kept => outcome.kept += 1,
                Step::Write(write) => outcome.plan.push(write.described(entry)),
            }
        }
        if pass.policy() == DeletionPolicy::Delete {
            outcome.plan.extend(pass.former().map(removal));
        }
        let (facts, _) = pass.facts(outcome, handled);
        status::observed(&self.context, pass.object, facts).await
    }

    async fn enforce(&self, pass: &Pass<'_>, handled: Option<String>) -> Result<(), Error> {
        if pass.policy() == DeletionPolicy::Delete {
            self.context.add_finalizer(pass.object).await?;
        }
        let mut outcome = Outcome::default();
        for entry in &pass.entries {
            self.write(pass, entry, &mut outcome).await;
        }
        self.release(pass, &mut outcome).await;
        let (facts, failed) = pass.facts(outcome, handled);
        match failed {
            None => status::applied(&self.context, pass.object, facts).await,
            Some(error) => {
                let facts = Facts { handled: pass.last.last_handled_reconcile_at.clone(), ..facts };
                status::partial(&self.context, pass.object, facts).await?;
                Err(error)
            }
        }
    }

    /// The step for an entry, and the entry with the expired values that it replaces.
    async fn step<'a>(&self, pass: &Pass<'_>, entry: &'a Entry) -> Result<(Step, Cow<'a, Entry>), Error> {
        let recorded = pass.recorded(&entry.place);
        let observed = observe(&pass.access, entry, recorded, &pass.mark).await;
        let observed = observed.map_err(|error| problem::explained(error, entry, pass.policy()))?;
        pass.follow(&observed);
        let (spec, exists) = (&pass.object.spec, |mark: &Mark| self.context.exists(mark));
        let rights = Rights {
            mark: &pass.mark,
            adopt: spec.lifecycle.adopt,
            update: spec.update_policy,
            exists: &exists,
        };
        let entry = rotation::compared(entry, &observed, recorded, &pass.mark);
        Ok((step(&entry, observed, recorded, &rights)?, entry))
    }

    /// Brings an entry to the desired state. After an error of the server, no other request is sent.
    async fn write(&self, pass: &Pass<'_>, entry: &Entry, outcome: &mut Outcome) {
        let recorded = pass.recorded(&entry.place);
        if outcome.failed.as_ref().is_some_and(Error::is_out_of_reach) {
            outcome.entries.extend(recorded.cloned());
            return;
        }
        match self.written(pass, entry, outcome).await {
            Ok(record) => outcome.entries.extend(record),
            Err(error) => {
                // A write without an answer may have been executed: its record stays.
                let record = match recorded {
                    None if error.is_out_of_reach() => {
                        entry.place.record_in(&last(&self.context, pass.object).entries).cloned()
                    }
                    recorded => recorded.cloned(),
                };
                outcome.entries.extend(record);
                outcome.failed.get_or_insert(error);
            }
        }
    }

    /// Returns the record of the entry. None if it is not an entry of the object.
    async fn written(
        &self,
        pass: &Pass<'_>,
        entry: &Entry,
        outcome: &mut Outcome,
    ) -> Result<Option<PushedEntry>, Error> {
        let (step, compared) = self.step(pass, entry).await?;
        // The age of values that were replaced before the operator was killed counts from this check.
        let mut generated: Vec<String> = entry.expired.difference(&compared.expired).cloned().collect();
        let mut mac = entry.mac.clone();
        let version = match step {
            Step::Kept => {
                outcome.kept += 1;
                return Ok(None);
            }
            Step::Equal => {
                outcome.equal += 1;
                return Ok(None);
            }
            Step::Settled(version) => version,
            // The record states what the entry contains, not what the Secret contains now.
            Step::Unchanged(version) => {
                mac = pass.recorded(&entry.place).map(|it| it.secret_mac.clone()).unwrap_or_default();
                version
            }
            Step::Write(write) => {
                if let Some(update) = &write.update {
                    generated.extend(
                        compared
                            .missing(&update.existing)
                            .into_iter()
                            .map(|(property, _)| property.to_owned()),
                    );
                }
                if entry.place.kind == KvType::V1 && pass.recorded(&entry.place).is_none() {
                    let record = entry.place.record(None, mac.clone());
                    status::intended(&self.context, pass.object, record).await?;
                }
                let writer = Writer { root: &pass.access.session, object: &pass.name, limit: &self.limit };
                let written = writer.write(&compared, &write).await;
                let version = written.map_err(|error| problem::explained(error, entry, pass.policy()))?;
                let path = entry.place.published();
                tracing::info!(object = %pass.name, path, version, reason = write.reason, "entry written to OpenBao");
                version
            }
        };
        let generated_at =
            rotation::times(entry, pass.recorded(&entry.place), (&generated, Timestamp::now()));
        let record = entry.place.record((version > 0).then_some(version), mac);
        Ok(Some(PushedEntry { generated_at, ..record }))
    }

    /// Releases the entries that the spec no longer contains. An entry that cannot be released stays in the status.
    async fn release(&self, pass: &Pass<'_>, outcome: &mut Outcome) {
        let seal = Seal { mac: &self.context.mac, object: &pass.name };
        let releaser = Releaser { root: &pass.access.session, mark: &pass.mark, seal, policy: pass.policy() };
        for record in pass.former() {
            if let Err(error) = releaser.release(record).await {
                outcome.entries.push(record.clone());
                outcome.failed.get_or_insert(error);
            }
        }
    }
}

fn after(pause: Duration) -> Action {
    Action::After(pause.max(SHORTEST))
}

/// The planned deletion of an entry.
fn removal(record: &PushedEntry) -> PlannedChange {
    let path = Place::of_record(record).published();
    let reason = "the spec no longer contains the entry".to_owned();
    PlannedChange { operation: Operation::Delete, path, reason }
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
