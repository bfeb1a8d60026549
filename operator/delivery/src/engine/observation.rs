//! `mode: Observe`: the changes that a reconcile would make. It writes the status only.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use steamer_api::PlannedChange;
use steamer_core::Error;
use steamer_core::access::named_objects::secret_key;
use steamer_runtime::Action;
use steamer_runtime::conditions::Verdict;

use super::decide::{Act, Inputs, Known, Seen, Why, decide};
use super::due::Due;
use super::foreseen::Expected;
use super::frame::{Fit, Frame};
use super::merge::keys_of;
use super::observed::Observed;
use super::pass::{Pass, caught_up, intent};
use super::planned::{
    Existing, changed_keys, compared, expected_keys, foretold, reframed, requested, restart,
};
use super::rendering::Renderer;
use super::synced::{Common, Source, Synced};
use super::workloads;

/// Most changes in a status.
const MOST: usize = 1000;
/// Shortest pause between two comparisons.
const SHORTEST: Duration = Duration::from_secs(1);
/// Pause between two comparisons of a value that would be renewed: it can end.
const UNRENEWED: Duration = Duration::from_secs(60);

/// What a reconcile would do.
pub(super) struct Planned {
    pub(super) changes: Vec<PlannedChange>,
    verdict: Verdict,
    /// Pause until the next comparison.
    pause: Duration,
}

/// The Secret of an object. It has no `Debug`.
struct Present {
    secret: Secret,
    observed: Observed,
    /// Keys that belong to the object.
    own: Vec<String>,
}

impl Present {
    fn existing(&self) -> Existing<'_> {
        (&self.secret, &self.own)
    }
}

impl<K: Synced> Pass<'_, K> {
    /// Reports what a reconcile would do.
    pub(super) async fn observe(&self) -> Result<Action, Error> {
        let Planned { mut changes, verdict, pause } = self.planned().await?;
        changes.truncate(MOST);
        self.report_plan(changes, &verdict).await?;
        Ok(Action::After(pause))
    }

    /// What a reconcile would do. A value that is issued is not requested.
    pub(super) async fn planned(&self) -> Result<Planned, Error> {
        let renderer = self.rendering.renderer()?;
        if K::Source::ISSUES { self.without_value(&renderer).await } else { self.with_value(renderer).await }
    }

    /// Compares the value with the Secret.
    async fn with_value(&self, renderer: Renderer) -> Result<Planned, Error> {
        let pause = self.source.schedule().period;
        let Some(obtained) = self.obtain(None, Why::NeverSynced).await? else {
            let source = self.source.describe();
            let message = format!("no value exists at {source} in OpenBao; mode: Observe changes nothing");
            return Err(Error::SourceMissing(message, pause));
        };
        let (content, metadata) = renderer.render(obtained.documents).await?;
        let frame = self.frame.rendered(metadata, &self.engine.context.mac);
        let present = self.present(&frame).await?;
        let keys = changed_keys(&frame, &content, present.as_ref().map(Present::existing));
        let changes = self.with_consequences(&frame, present.as_ref(), keys).await;
        let verdict = compared(&self.frame, changes.len());
        Ok(Planned { changes, verdict, pause })
    }

    /// What is known about a value without a request for it.
    async fn without_value(&self, renderer: &Renderer) -> Result<Planned, Error> {
        let seen = self.engine.seen(self.dependencies, self.object, &self.frame).await?;
        let known = caught_up(&self.engine.context.mac, self.restored(), seen.as_ref());
        let present = self.present(&self.frame).await?;
        // The annotation requests a comparison.
        let inputs = Inputs { requested: false, ..self.inputs(known.as_ref(), seen.as_ref()) };
        let (act, due) = (decide(&inputs), inputs.due);
        let (changes, unknown) = match act {
            Act::Nothing | Act::Renew | Act::Verify => (Vec::new(), Vec::new()),
            Act::Frame(_) => (vec![reframed(&self.frame)], Vec::new()),
            Act::Obtain(why) | Act::Render(why) => {
                let expected = self.expected(renderer, (known.as_ref(), seen.as_ref()), present.as_ref());
                (self.reissued(why, &expected, present.as_ref()).await, expected.unknown)
            }
        };
        let verdict = foretold(&self.frame, changes.len(), &unknown);
        let pause = pause(act, due, self.source.schedule().period);
        Ok(Planned { changes, verdict, pause })
    }

    /// The changes that another value causes.
    async fn reissued(&self, why: Why, expected: &Expected, present: Option<&Present>) -> Vec<PlannedChange> {
        let request = requested(&self.source.foreseen().path, why);
        let keys = expected_keys(&self.frame, expected, present.map(Present::existing));
        // Each value is another one: it restarts workloads also if no key is known.
        let changes = std::iter::once(request).chain(keys).collect();
        self.with_consequences(&self.frame, present, changes).await
    }

    /// The keys of another value. They are those of the last one if the request and the transformation are the same.
    fn expected(
        &self,
        renderer: &Renderer,
        (known, seen): (Option<&Known>, Option<&Seen>),
        present: Option<&Present>,
    ) -> Expected {
        let is_last = known.zip(seen).is_some_and(|(Known { stamp, .. }, seen)| {
            let is_same_request = stamp.request == self.source.request();
            is_same_request && stamp.rendering == self.rendering.digest && stamp.content == seen.content
        });
        match present.filter(|_| is_last) {
            Some(present) => Expected { keys: present.own.iter().cloned().collect(), ..Expected::default() },
            None => renderer.expected(&self.source.foreseen()),
        }
    }

    /// The Secret, if it exists.
    ///
    /// # Errors
    /// The error of a write into the Secret of another owner, or into one that does not exist.
    async fn present(&self, frame: &Frame) -> Result<Option<Present>, Error> {
        let destinations = &self.engine.destinations;
        let Common { destination, .. } = self.object.common();
        self.dependencies.on(secret_key(&frame.name));
        let found = destinations.api(&frame.name.namespace).get_opt(&frame.name.name).await?;
        let Some(secret) = found else {
            if !destination.create {
                destinations.may_merge(self.dependencies, frame).await?;
            }
            return Ok(None);
        };
        let observed = Observed::of(&secret, &destinations.observed.mac);
        destinations.claim(self.dependencies, frame, intent(destination), &observed).await?;
        let own = if destination.create { observed.keys.clone() } else { keys_of(&secret, &frame.mark) };
        Ok(Some(Present { secret, observed, own: own.into_iter().collect() }))
    }

    /// Adds the restarts that changes of an existing Secret cause, and the change of its frame.
    async fn with_consequences(
        &self,
        frame: &Frame,
        present: Option<&Present>,
        mut plan: Vec<PlannedChange>,
    ) -> Vec<PlannedChange> {
        let Some(Present { observed, .. }) = present else {
            return plan;
        };
        if !plan.is_empty() {
            plan.extend(
                workloads::to_restart(self.engine, self.object).await.iter().map(|name| restart(name)),
            );
        }
        if self.object.common().destination.create && frame.fit(observed) != Fit::Fits {
            plan.insert(0, reframed(frame));
        }
        plan
    }

    async fn report_plan(&self, plan: Vec<PlannedChange>, verdict: &Verdict) -> Result<(), Error> {
        let mut status = self.status().into_owned();
        let mut recorded = K::recorded(&status);
        recorded.sync.last_handled_reconcile_at = self.handled(recorded.sync.last_handled_reconcile_at);
        K::record(&mut status, recorded);
        K::set_plan(&mut status, plan);
        self.engine.context.report(self.object, status, verdict).await
    }
}

/// Pause until a value without a request is compared again. `period`: that of the source.
fn pause(act: Act, due: Option<Due>, period: Duration) -> Duration {
    match (act, due) {
        (Act::Nothing, Some(due)) => due.until(Timestamp::now()).min(period).max(SHORTEST),
        (Act::Renew, _) => UNRENEWED.min(period),
        _ => period,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_compared_again_when_it_is_due_or_ends() {
        let (hour, now) = (Duration::from_secs(3600), Timestamp::now());
        let of = |act, due| pause(act, due, hour);
        assert_eq!(of(Act::Obtain(Why::NeverSynced), None), hour);
        assert_eq!(of(Act::Renew, Some(Due::renew(now, now))), UNRENEWED);
        assert_eq!(of(Act::Nothing, Some(Due::obtain(now, now))), SHORTEST);
        assert_eq!(of(Act::Nothing, Some(Due::never())), hour);
    }
}
