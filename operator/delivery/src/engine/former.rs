//! Issued values that another value replaced: they are revoked when the new one is in place.

use std::time::Duration;

use jiff::Timestamp;
use steamer_runtime::{Reason, describe};

use super::decide::Known;
use super::held::Held;
use super::pass::Pass;
use super::synced::{Source, Synced};

/// Longest time after which the kubelet has updated a mounted Secret.
const PROPAGATION: Duration = Duration::from_secs(120);
/// How often rollouts are looked at.
const POLL: Duration = Duration::from_secs(5);
/// Pause after a revocation that failed.
const PAUSE: Duration = Duration::from_secs(60);

impl<K: Synced> Pass<'_, K> {
    /// Values that remain to be revoked after `next` is written.
    pub(super) fn former(&self, known: Option<&Known>, next: &Held) -> Vec<Held> {
        if !self.object.common().revoke {
            return Vec::new();
        }
        let mut former = known.map(|known| known.stamp.replaced(Timestamp::now())).unwrap_or_default();
        former.retain(|held| held != next);
        former
    }

    /// Revokes the former values when they are not in use anymore. Returns the pause until the next attempt.
    pub(super) async fn give_back_former(&self, known: &mut Known) -> Option<Duration> {
        let now = Timestamp::now();
        known.stamp.former.retain(|held| !held.has_ended(now));
        if known.stamp.former.is_empty() {
            return None;
        }
        if let Some(pause) = self.in_use(known, now).await {
            return Some(pause);
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

    /// How long the former value can still be in use: until all workloads are rolled out, or, without restarts, until mounted
    /// Secrets are updated.
    async fn in_use(&self, known: &Known, now: Timestamp) -> Option<Duration> {
        if self.object.common().restarts() {
            return (!self.engine.is_rolled_out(self.object).await).then_some(POLL);
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

    #[rstest]
    #[case::short(60, 6)]
    #[case::long(86_400, 120)]
    fn a_former_value_is_kept_until_mounted_secrets_are_updated(
        #[case] lifetime: i64,
        #[case] expected: i64,
    ) {
        let at = |second| Timestamp::from_second(1_000_000 + second).unwrap();
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
