//! The steps of all entries of an object: they are compared, written, released and reported.

use std::borrow::Cow;
use std::time::Instant;

use jiff::Timestamp;
use steamer_api::{DeletionPolicy, KvType, PushedEntry};
use steamer_core::Error;
use steamer_core::ownership::Mark;

use super::apply::{Writer, settle};
use super::controller::Controller;
use super::entry::{Entry, Seal};
use super::observed::observe;
use super::pass::{Outcome, Pass};
use super::place::Place;
use super::plan::{Rights, Step, step};
use super::release::Releaser;
use super::status::{Facts, last};
use super::{problem, rotation, status};

impl Controller {
    /// Reports the changes that `mode: Enforce` would make.
    pub(super) async fn observe(&self, pass: &Pass<'_>, handled: Option<String>) -> Result<(), Error> {
        let mut outcome = Outcome { entries: pass.last.entries.clone(), ..pass.outcome() };
        for entry in &pass.entries {
            match self.step(pass, entry).await {
                Ok((Step::Settled(_) | Step::Unchanged(_) | Step::Equal, _)) => {}
                Ok((Step::Kept, _)) => outcome.kept += 1,
                Ok((Step::Write(write), compared)) => outcome.plan.push(write.described(&compared)),
                Err(error) if entry.secret.is_some() && !error.is_out_of_reach() => {
                    outcome.fail(entry, error)
                }
                Err(error) => return Err(error),
            }
        }
        self.plan_releases(pass, &mut outcome).await;
        match pass.facts(outcome, handled) {
            (facts, None) => status::observed(&self.context, pass.object, facts).await,
            (facts, Some(error)) => self.failed(pass, facts, error).await,
        }
    }

    /// Brings all entries to the desired state, and releases those that the spec no longer contains.
    pub(super) async fn enforce(&self, pass: &Pass<'_>, handled: Option<String>) -> Result<(), Error> {
        if pass.policy() == DeletionPolicy::Delete {
            self.context.add_finalizer(pass.object).await?;
        }
        let mut outcome = pass.outcome();
        for entry in &pass.entries {
            self.write(pass, entry, &mut outcome).await;
        }
        self.release(pass, &mut outcome).await;
        match pass.facts(outcome, handled) {
            (facts, None) => status::applied(&self.context, pass.object, facts).await,
            (facts, Some(error)) => self.failed(pass, facts, error).await,
        }
    }

    /// Reports what was done before an error, or in spite of it.
    async fn failed(&self, pass: &Pass<'_>, facts: Facts, error: Error) -> Result<(), Error> {
        let facts = Facts { handled: pass.last.last_handled_reconcile_at.clone(), ..facts };
        status::partial(&self.context, pass.object, facts).await?;
        // The status lists the Secrets that are checked again sooner.
        self.checked(pass);
        Err(error)
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
        if pass.is_current(entry) || outcome.skips(entry) {
            outcome.entries.extend(recorded.cloned());
            outcome.keep_stops(entry, &pass.stops);
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
                outcome.keep_stops(entry, &pass.stops);
                outcome.fail(entry, error);
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
        if !matches!(step, Step::Write(_)) {
            settle(&self.limit, &pass.name, &entry.place);
        }
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
                let (root, interval) = (&pass.access.session, pass.object.spec.refresh_after.get());
                let (limit, stops) = (&self.limit, &pass.stops);
                let seal = Seal { mac: &self.context.mac, object: &pass.name };
                let writer = Writer { root, object: &pass.name, limit, stops, seal, interval };
                if let Some((stop, error)) = writer.stop(&compared, &write) {
                    outcome.stopped.push(stop);
                    return Err(error);
                }
                if let Some(update) = &write.update {
                    generated.extend(
                        compared
                            .missing(&update.existing)
                            .into_iter()
                            .map(|(property, _)| property.to_owned()),
                    );
                }
                self.announce(pass, entry, outcome).await?;
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

    /// Records an entry before its first write. All new entries of selected Secrets are recorded at once, except those of `kv-v1`:
    /// a record proves that the object wrote them.
    async fn announce(&self, pass: &Pass<'_>, entry: &Entry, outcome: &mut Outcome) -> Result<(), Error> {
        if pass.recorded(&entry.place).is_some() {
            return Ok(());
        }
        let records = match entry.place.kind {
            KvType::V1 => vec![entry.place.record(None, entry.mac.clone())],
            KvType::V2 if entry.secret.is_some() && !outcome.is_announced => pass.new_records(),
            KvType::V2 => return Ok(()),
        };
        status::intended(&self.context, pass.object, records).await?;
        outcome.is_announced |= entry.place.kind == KvType::V2;
        Ok(())
    }

    /// Releases the entries that the spec no longer contains. An entry that cannot be released stays in the status.
    async fn release(&self, pass: &Pass<'_>, outcome: &mut Outcome) {
        let (releaser, now) = (self.releaser(pass), Instant::now());
        self.missing.note(pass, now);
        outcome.release = self.next_release(pass.object);
        for record in pass.former() {
            if self.missing.pause(&pass.name, &Place::of_record(record), now).is_some() {
                outcome.entries.push(record.clone());
            } else if let Err(error) = releaser.release(record).await {
                outcome.entries.push(record.clone());
                outcome.unreleased.get_or_insert(error);
            }
        }
    }

    /// Adds what the release of these entries would change.
    async fn plan_releases(&self, pass: &Pass<'_>, outcome: &mut Outcome) {
        let releaser = self.releaser(pass);
        for record in pass.former() {
            match releaser.planned(record).await {
                Ok(change) => outcome.plan.extend(change),
                Err(error) => {
                    outcome.unreleased.get_or_insert(error);
                }
            }
        }
    }

    fn releaser<'a>(&'a self, pass: &'a Pass<'_>) -> Releaser<'a> {
        let seal = Seal { mac: &self.context.mac, object: &pass.name };
        Releaser { root: &pass.access.session, mark: &pass.mark, seal, policy: pass.policy() }
    }
}
