//! When a source is read again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use steamer_api::RefreshPolicy;

/// A fixed grid of times, one `period` apart. It depends only on the source and the period: objects on the same path are
/// due at the same time, objects on different paths at different times, and a restart of the operator changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) period: Duration,
    offset: Duration,
    /// With another policy than `Periodic`, the value is never due.
    pub(crate) policy: RefreshPolicy,
    /// When a value that is due can be delivered, if it must wait. [`Timestamp::MAX`]: never.
    pub(crate) closed_until: Option<Timestamp>,
}

impl Schedule {
    /// The schedule of a source. The hash of `source` shifts the grid.
    pub(crate) fn new(period: Duration, source: &impl Hash) -> Self {
        let period = period.max(Duration::from_secs(1));
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        // Periods that divide each other share times, so objects with different periods share reads.
        let offset = u128::from(hasher.finish()) % period.as_nanos();
        let offset = Duration::from_nanos(u64::try_from(offset).unwrap_or_default());
        Self { period, offset, policy: RefreshPolicy::Periodic, closed_until: None }
    }

    /// The same schedule with another policy.
    pub(crate) fn with(self, policy: RefreshPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The same schedule with a time until which values wait.
    pub(crate) fn closed(self, until: Option<Timestamp>) -> Self {
        Self { closed_until: until, ..self }
    }

    /// Whether a new value may be delivered at any time.
    pub(crate) fn is_free(&self) -> bool {
        self.policy == RefreshPolicy::Periodic && self.closed_until.is_none()
    }

    /// States until when a new value waits, for a message.
    pub(crate) fn waits(&self) -> String {
        match self.closed_until.filter(|_| self.policy == RefreshPolicy::Periodic) {
            None => String::new(),
            Some(until) if until == Timestamp::MAX => "; new values wait: no sync window opens".to_owned(),
            Some(until) => format!("; new values wait for a sync window until {until}"),
        }
    }

    /// The first time of the grid after `now`.
    pub(crate) fn next(&self, now: Timestamp) -> Timestamp {
        let (period, offset) = (self.period.as_nanos().cast_signed(), self.offset.as_nanos().cast_signed());
        let passed = (now.as_nanosecond() - offset).rem_euclid(period);
        Timestamp::from_nanosecond(now.as_nanosecond() + period - passed).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_time_is_at_most_one_period_away_and_on_the_grid(
            now in 0_i128..4_000_000_000_000_000_000, seconds in 1_u64..1_000_000, path in "[a-z]{1,8}",
        ) {
            let schedule = Schedule::new(Duration::from_secs(seconds), &path);
            let now = Timestamp::from_nanosecond(now).unwrap();
            let next = schedule.next(now);
            prop_assert!(next > now);
            prop_assert!(next.as_nanosecond() - now.as_nanosecond() <= i128::from(seconds) * 1_000_000_000);
            let after = schedule.next(next);
            prop_assert_eq!(after.as_nanosecond() - next.as_nanosecond(), i128::from(seconds) * 1_000_000_000);
        }
    }

    #[test]
    fn a_period_shares_its_times_with_a_multiple_of_it() {
        let minute = Schedule::new(Duration::from_secs(60), &"path");
        let half = Schedule::new(Duration::from_secs(30), &"path");
        let due = minute.next(Timestamp::from_second(1_000_000).unwrap());
        assert_eq!(half.next(due - jiff::SignedDuration::from_nanos(1)), due);
    }

    #[test]
    fn a_message_states_how_long_values_wait() {
        let schedule = Schedule::new(Duration::from_secs(60), &"path");
        let closed = schedule.closed(Timestamp::from_second(190).ok());
        assert_eq!(schedule.waits(), "");
        assert_eq!(closed.waits(), "; new values wait for a sync window until 1970-01-01T00:03:10Z");
        assert_eq!(closed.with(RefreshPolicy::OnChange).waits(), "");
    }
}
