//! Issued values that another value replaced: they are revoked when the new one is in place.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use steamer_core::Error;
use steamer_runtime::{Failure, Reason, Retry, describe};

use super::decide::Known;
use super::held::Held;
use super::pass::Pass;
use super::renewals::Renewals;
use super::synced::{Source, Synced};

/// Longest time after which the kubelet has updated a mounted Secret.
const PROPAGATION: Duration = Duration::from_secs(120);
/// How often rollouts are looked at.
const POLL: Duration = Duration::from_secs(5);
/// Pause after a revocation that failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Too many former values remain to be revoked.
#[derive(Debug)]
struct Full(usize);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} values are not revoked yet, because workloads may use them, and Steamer requests no new value: complete the \
             rollouts of the workloads that are restarted, or correct the revocation that an Event names",
            self.0
        )
    }
}

impl std::error::Error for Full {}

impl Failure for Full {
    fn reason(&self) -> Reason {
        Reason::Waiting
    }

    fn retry(&self) -> Retry {
        Retry::After(PAUSE)
    }

    fn stalled(&self) -> bool {
        false
    }
}

impl<K: Synced> Pass<'_, K> {
    /// Refuses to replace a value while too many former ones remain to be revoked: a stamp is limited.
    pub(super) async fn make_room(&self, known: &mut Known) -> Result<(), Error> {
        if known.stamp.is_full(Timestamp::now()) {
            self.give_back_former(known).await;
        }
        let now = Timestamp::now();
        if known.stamp.is_full(now) {
            return Err(Error::other(Full(known.stamp.replaced(now).len())));
        }
        Ok(())
    }

    /// Values that remain to be revoked after `next` is written. `unused`: those that were never written.
    pub(super) fn former(&self, known: Option<&Known>, next: &Held, unused: Vec<Held>) -> Vec<Held> {
        let replaced = known.filter(|_| self.object.common().revoke).map(|known| &known.stamp);
        let replaced = replaced.map(|stamp| stamp.replaced(Timestamp::now())).unwrap_or_default();
        unused.into_iter().chain(replaced).filter(|held| held != next).collect()
    }

    /// Revokes the former values when they are not in use anymore. Returns the pause until the next attempt.
    pub(super) async fn give_back_former(&self, known: &mut Known) -> Option<Duration> {
        let now = Timestamp::now();
        known.stamp.former.retain(|held| !held.has_ended(now));
        if known.stamp.former.is_empty() {
            return None;
        }
        if let Some(pause) = self.in_use(known, now).await {
            let next = self.renew_former(known, now).await;
            return Some(pause.min(next));
        }
        let mut kept = Vec::new();
        for held in std::mem::take(&mut known.stamp.former) {
            if let Err(error) = self.source.give_back(self.engine, &held).await {
                let note = format!("cannot revoke the former value: {}", describe(&error));
                self.engine.context.runtime.events.warn(self.object, Reason::Failed, &note).await;
                kept.push(held);
            }
        }
        known.stamp.former = kept;
        (!known.stamp.former.is_empty()).then_some(PAUSE)
    }

    /// Renews the former leases that are due: pods use them until their rollout is complete. Returns the pause until the next one
    /// is due.
    async fn renew_former(&self, known: &mut Known, now: Timestamp) -> Duration {
        let (engine, source, server) = (self.engine, &self.source, self.server.as_str());
        let renewals = Renewals { engine, source, server, obtained: known.obtained };
        let renewed = renewals.of(std::mem::take(&mut known.stamp.former), now).await;
        known.stamp.former = renewed.kept;
        renewed.next.unwrap_or(Duration::MAX)
    }

    /// How long the former value can still be in use: until all workloads are rolled out, or, without restarts, until mounted
    /// Secrets are updated.
    async fn in_use(&self, known: &Known, now: Timestamp) -> Option<Duration> {
        if self.object.common().restarts() {
            return (!self.engine.is_rolled_out(self.object, known.stamp.change).await).then_some(POLL);
        }
        let left = propagation(&known.stamp.held, known.obtained)?.duration_since(now);
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }
}

/// When a value that was written at `written` has reached all pods without a restart: after a tenth of its lifetime at most.
fn propagation(held: &Held, written: Timestamp) -> Option<Timestamp> {
    let (issued, end) = (held.issued_at()?, held.end()?);
    let lifetime = Duration::try_from(end.duration_since(issued)).unwrap_or_default();
    written.checked_add(PROPAGATION.min(lifetime / 10)).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn an_object_with_too_many_former_values_states_what_to_do_and_looks_again() {
        let error = Error::other(Full(65));
        assert!(error.to_string().starts_with("65 values are not revoked yet"), "{error}");
        assert!(!error.to_string().contains("  "), "{error}");
        assert_eq!((error.retry(), error.reason()), (Retry::After(PAUSE), Reason::Waiting));
    }

    #[rstest]
    #[case::short(60, 6)]
    #[case::long(86_400, 120)]
    fn a_former_value_is_kept_until_mounted_secrets_are_updated(
        #[case] lifetime: i64,
        #[case] expected: i64,
    ) {
        let held = Held::Certificate {
            namespace: None,
            mount: "pki".to_owned(),
            serial: "0a".to_owned(),
            at: at(0),
            not_after: at(lifetime),
        };
        assert_eq!(propagation(&held, at(7)), Some(at(7 + expected)));
        assert_eq!(propagation(&Held::default(), at(7)), None);
    }
}
