//! Renewals of leases that failed: they are tried again after a pause that grows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use steamer_runtime::{Locked, ObjectName, doubled};

/// Pause after the first renewal that failed.
pub(super) const PAUSE: Duration = Duration::from_secs(10);
/// Longest pause after renewals that failed.
const LONGEST: Duration = Duration::from_secs(300);

/// Renewals that failed, by object.
#[derive(Default)]
pub(super) struct FailedRenewals(Locked<HashMap<ObjectName, FailedRenewal>>);

struct FailedRenewal {
    failures: u32,
    next: Instant,
}

impl FailedRenewals {
    /// Records a renewal that failed. Returns the pause until the next attempt.
    pub(super) fn failed(&self, object: &ObjectName, now: Instant) -> Duration {
        let mut all = self.0.lock();
        let failures = all.get(object).map_or(0, |failed| failed.failures);
        let pause = doubled(PAUSE, failures, LONGEST);
        all.insert(object.clone(), FailedRenewal { failures: failures.saturating_add(1), next: now + pause });
        pause
    }

    /// Discards the failures of an object.
    pub(super) fn forget(&self, object: &ObjectName) {
        self.0.lock().remove(object);
    }

    /// Pause until the next attempt. None: now.
    pub(super) fn pause(&self, object: &ObjectName, now: Instant) -> Option<Duration> {
        let left = self.0.lock().get(object)?.next.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_that_fails_is_repeated_after_a_pause_that_grows() {
        let (failed, now, name) = (FailedRenewals::default(), Instant::now(), ObjectName::new("web", "app"));
        assert_eq!(failed.pause(&name, now), None);
        let pauses = [10, 20, 40, 80, 160, 300, 300].map(Duration::from_secs);
        assert_eq!(pauses.map(|_| failed.failed(&name, now)), pauses);
        assert_eq!(failed.pause(&name, now + Duration::from_secs(100)), Some(Duration::from_secs(200)));
        assert_eq!(failed.pause(&name, now + LONGEST), None);
        failed.forget(&name);
        assert_eq!(failed.failed(&name, now), PAUSE);
    }
}
