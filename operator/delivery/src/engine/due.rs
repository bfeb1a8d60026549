//! When a value is due, and for what.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use steamer_api::RefreshPolicy;

use super::schedule::Schedule;

/// Longest pause between two visits of an object.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// How far the clock may be set back before an issued value counts as due.
const TOLERANCE: Duration = Duration::from_secs(600);

/// What a value is due for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// It is obtained again.
    Obtain,
    /// It is renewed.
    Renew,
}

/// When a value is due, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) task: Task,
    /// A longer time until then is due now: the clock was set back.
    longest: Duration,
}

impl Due {
    /// A value that is read on a grid of times.
    pub(crate) fn on(schedule: &Schedule, at: Timestamp) -> Self {
        if schedule.policy != RefreshPolicy::Periodic {
            return Self::never();
        }
        match schedule.closed_until {
            None => {}
            Some(until) if until == Timestamp::MAX => return Self::never(),
            Some(until) => return Self { at: at.max(until), task: Task::Obtain, longest: Duration::MAX },
        }
        Self { at, task: Task::Obtain, longest: schedule.period }
    }

    /// A value that was obtained at `since`, and is obtained again at `at`.
    pub(crate) fn obtain(since: Timestamp, at: Timestamp) -> Self {
        let longest = Duration::try_from(at.duration_since(since)).unwrap_or_default();
        Self { at, task: Task::Obtain, longest: longest.saturating_add(TOLERANCE) }
    }

    /// A value that was obtained or renewed at `since`, and is renewed at `at`.
    pub(crate) fn renew(since: Timestamp, at: Timestamp) -> Self {
        Self { task: Task::Renew, ..Self::obtain(since, at) }
    }

    /// A value that is not obtained again until the spec changes.
    pub(crate) fn never() -> Self {
        Self { at: Timestamp::MAX, task: Task::Obtain, longest: Duration::MAX }
    }

    /// Whether the value is not obtained again until the spec changes.
    pub(crate) fn is_never(&self) -> bool {
        *self == Self::never()
    }

    /// How long until the value is due. Zero if that time has passed, or if the clock was set far back.
    pub(crate) fn until(&self, now: Timestamp) -> Duration {
        let left = Duration::try_from(self.at.duration_since(now)).unwrap_or_default();
        if left > self.longest { Duration::ZERO } else { left.min(LONGEST_PAUSE) }
    }

    /// Whether the value is due.
    pub(crate) fn is_now(&self, now: Timestamp) -> bool {
        self.until(now).is_zero()
    }
}

/// Up to a tenth of `total`, always the same for the same `source`: values that were issued at the same time are not replaced
/// at the same time.
pub(crate) fn jitter(source: &impl Hash, total: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let thousandths = u32::try_from(hasher.finish() % 1000).unwrap_or_default();
    (total / 10_000).saturating_mul(thousandths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[rstest]
    #[case::early(Due::obtain(at(0), at(60)), at(20), Some(40))]
    #[case::on_time(Due::renew(at(0), at(60)), at(60), None)]
    #[case::late(Due::renew(at(0), at(60)), at(90), None)]
    #[case::clock_set_back(Due::obtain(at(0), at(60)), at(-60), Some(120))]
    #[case::clock_set_far_back(Due::obtain(at(0), at(60)), at(-3600), None)]
    #[case::in_a_year(Due::obtain(at(0), at(31_536_000)), at(0), Some(86_400))]
    #[case::never(Due::never(), at(0), Some(86_400))]
    fn a_value_is_due_once(#[case] due: Due, #[case] now: Timestamp, #[case] seconds: Option<u64>) {
        assert_eq!(due.until(now), seconds.map_or(Duration::ZERO, Duration::from_secs));
        assert_eq!(due.is_now(now), seconds.is_none());
    }

    #[test]
    fn a_value_that_is_due_waits_for_a_window() {
        let schedule = Schedule::new(Duration::from_secs(60), &"path");
        let until = |window| Due::on(&schedule.closed(window), at(100)).until(at(130));
        assert_eq!(until(None), Duration::ZERO);
        assert_eq!(until(Some(at(190))), Duration::from_secs(60));
        assert_eq!(until(Some(at(120))), Duration::ZERO);
        assert_eq!(until(Some(Timestamp::MAX)), LONGEST_PAUSE);
    }

    #[test]
    fn a_due_time_in_the_past_or_beyond_a_period_is_due_now() {
        let schedule = Schedule::new(Duration::from_secs(60), &"path");
        let until = |due, now| Due::on(&schedule, at(due)).until(at(now));
        assert_eq!(until(100, 90), Duration::from_secs(10));
        assert_eq!(until(100, 100), Duration::ZERO);
        assert_eq!(until(100, 130), Duration::ZERO);
        assert_eq!(until(1000, 100), Duration::ZERO);
    }

    #[test]
    fn a_value_on_a_grid_is_due_within_a_period() {
        let schedule = Schedule::new(Duration::from_secs(60), &"path");
        assert_eq!(Due::on(&schedule, at(10)).until(at(0)), Duration::from_secs(10));
        assert!(Due::on(&schedule, at(100)).is_now(at(0)));
        assert!(Due::on(&schedule, at(0)).is_now(at(0)));
        let policies = [RefreshPolicy::OnChange, RefreshPolicy::CreatedOnce];
        assert!(policies.iter().all(|policy| Due::on(&schedule.with(*policy), at(0)).is_never()));
    }

    proptest! {
        #[test]
        fn the_jitter_is_at_most_a_tenth(name in "[a-z]{1,20}", seconds in 0_u64..100_000_000) {
            let total = Duration::from_secs(seconds);
            prop_assert!(jitter(&name, total) <= total / 10);
            prop_assert_eq!(jitter(&name, total), jitter(&name, total));
        }
    }
}
