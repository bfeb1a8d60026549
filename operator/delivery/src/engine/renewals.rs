//! Renewal of leases that a Secret contains, or that pods still use: also while the sync of their object fails.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use steamer_core::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Dependencies, ObjectName};

use super::controller::Controller;
use super::decide::Known;
use super::due::{Due, Task};
use super::failed_renewals::PAUSE;
use super::held::Held;
use super::pass::{caught_up, recorded};
use super::shared::Engine;
use super::state::frame;
use super::synced::{Renewal, Source, Synced};

/// Shortest pause before a lease is renewed.
const SHORTEST: Duration = Duration::from_secs(1);
/// Pause if the server or the login of the object cannot be determined.
const UNKNOWN: Duration = Duration::from_secs(60);

/// Renewals with the source of an object.
pub(super) struct Renewals<'a, S> {
    pub(super) engine: &'a Engine,
    pub(super) source: &'a S,
    /// Digest of the address of the server.
    pub(super) server: &'a str,
    /// When OpenBao returned the current value.
    pub(super) obtained: Timestamp,
}

/// Result of renewals.
pub(super) struct Renewed {
    /// The values, without those that OpenBao does not know anymore.
    pub(super) kept: Vec<Held>,
    /// Pause until the next renewal is due.
    pub(super) next: Option<Duration>,
    /// Whether a renewal failed.
    pub(super) has_failed: bool,
}

impl<S: Source> Renewals<'_, S> {
    /// Renews the leases that are due.
    pub(super) async fn of(&self, held: Vec<Held>, now: Timestamp) -> Renewed {
        let (mut kept, mut has_failed) = (Vec::new(), false);
        for held in held {
            if !self.is_renewed(&held, now) {
                kept.push(held);
                continue;
            }
            match self.source.renew(self.engine, &held).await {
                Ok(Renewal::Renewed(renewed)) => kept.push(*renewed),
                Ok(Renewal::Gone) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a lease that may be in use is not renewed");
                    kept.push(held);
                    has_failed = true;
                }
            }
        }
        let shortest = if has_failed { PAUSE } else { SHORTEST };
        let due = kept.iter().filter_map(|held| self.due(held, now));
        let next = due.map(|due| due.until(now)).min().map(|left| left.max(shortest));
        Renewed { kept, next, has_failed }
    }

    fn is_renewed(&self, held: &Held, now: Timestamp) -> bool {
        self.due(held, now).is_some_and(|due| is_renewed(due, now))
    }

    /// When a lease is renewed. None: not. The lease of another server ends at its time, or is revoked with its own token.
    fn due(&self, held: &Held, now: Timestamp) -> Option<Due> {
        let may_be_renewed = held.is_of_server(self.server) && !held.has_ended(now);
        may_be_renewed.then(|| self.source.due(held, self.obtained)).filter(|due| due.task == Task::Renew)
    }
}

impl<K: Synced> Controller<K> {
    /// Renews the leases of an object whose sync failed, as far as they are due: the Secret still contains the credential. Returns
    /// the pause until the next one is due. None if there is none, or if OpenBao would not answer.
    pub(super) async fn sustain(
        &self,
        object: &K,
        dependencies: &Dependencies,
        error: &Error,
    ) -> Option<Duration> {
        let name = ObjectName::of(object);
        // A visit that is not for the value repeats the last error.
        let cause = self.pace.cause(&name);
        if !K::Source::ISSUES || !may_answer(cause.as_deref().unwrap_or(error)) {
            return None;
        }
        let known = self.in_use(object, dependencies).await?;
        if let Some(pause) = self.renewals.pause(&name, Instant::now()) {
            return Some(pause);
        }
        let Ok(access) = self.access(dependencies, object).await else { return Some(UNKNOWN) };
        let (engine, server, obtained) = (self.engine(), access.server(), known.obtained);
        let source = object.source(access);
        let renewals = Renewals { engine, source: &source, server: &server, obtained };
        // The lease in the Secret first.
        let current = renewals.of(vec![known.stamp.held.clone()], Timestamp::now()).await;
        let former = renewals.of(known.stamp.former.clone(), Timestamp::now()).await;
        let next = current.next.into_iter().chain(former.next).min();
        let has_failed = current.has_failed || former.has_failed;
        self.sustained(object, known, (current.kept, former.kept)).await;
        if has_failed {
            return Some(self.renewals.failed(&name, Instant::now()));
        }
        self.renewals.forget(&name);
        next
    }

    /// What is known about an object with leases. The Secret can contain a later one than the status states.
    async fn in_use(&self, object: &K, dependencies: &Dependencies) -> Option<Known> {
        let engine = self.engine();
        let known = self.known().get(&ObjectName::of(object)).cloned().or_else(|| recorded(engine, object));
        let frame = frame(&engine.context, object);
        let seen = engine.seen(dependencies, object, &frame).await.ok().flatten();
        let known = caught_up(&engine.context.mac, known, seen.as_ref())?;
        let has_lease = known.stamp.values().any(|held| matches!(held, Held::Lease(_)));
        has_lease.then_some(known)
    }

    /// Keeps and reports the leases that were renewed.
    async fn sustained(&self, object: &K, mut known: Known, (current, former): (Vec<Held>, Vec<Held>)) {
        let (engine, last) = (self.engine(), known.stamp.clone());
        // A lease that OpenBao does not know stays recorded until another one replaces it.
        known.stamp.held = current.into_iter().next().unwrap_or_else(|| last.held.clone());
        known.stamp.former = former;
        if (&known.stamp.held, &known.stamp.former) == (&last.held, &last.former) {
            return;
        }
        let stamp = known.stamp.clone().sealed(&engine.context.mac).text();
        // The status of an earlier process can record requests that are not complete.
        self.restore_requests(object, Some(&known.stamp));
        if known.stamp.held.is_issued() {
            self.known().insert(ObjectName::of(object), known);
        }
        if let Err(error) = engine.record(object, Some(stamp)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the renewal of a lease is not reported");
        }
    }
}

/// Whether a lease is renewed now. One that OpenBao does not renew ends.
fn is_renewed(due: Due, now: Timestamp) -> bool {
    due.task == Task::Renew && due.is_now(now)
}

/// Whether OpenBao would answer a renewal. It can refuse one request and serve another.
fn may_answer(error: &Error) -> bool {
    let is_of_request = matches!(
        error,
        Error::OpenBao(OpenBao::Denied { .. } | OpenBao::Server { .. } | OpenBao::Answer { .. })
    );
    is_of_request || !error.is_out_of_reach()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[rstest]
    #[case::before(Due::renew(at(0), at(60)), 59, false)]
    #[case::due(Due::renew(at(0), at(60)), 60, true)]
    #[case::at_its_maximum(Due::obtain(at(0), at(60)), 60, false)]
    fn a_former_lease_is_renewed_while_it_is_in_use(
        #[case] due: Due,
        #[case] now: i64,
        #[case] expected: bool,
    ) {
        assert_eq!(is_renewed(due, at(now)), expected);
    }

    #[rstest]
    #[case::of_the_spec(Error::Invalid("correct spec.path".to_owned()), true)]
    #[case::of_the_destination(Error::Conflict("Secret web/app belongs to another object".to_owned()), true)]
    #[case::without_the_rule(OpenBao::Denied { method: "GET".to_owned(), path: "p".to_owned() }.into(), true)]
    #[case::of_the_database(OpenBao::Server { status: 500, path: "p".to_owned(), message: "m".to_owned() }.into(), true)]
    #[case::sealed(OpenBao::Sealed.into(), false)]
    #[case::rejected_login(OpenBao::Login { path: "p".to_owned(), message: "m".to_owned() }.into(), false)]
    fn leases_are_renewed_unless_openbao_does_not_answer(#[case] error: Error, #[case] expected: bool) {
        assert_eq!(may_answer(&error), expected);
    }
}
