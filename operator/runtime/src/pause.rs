//! Pause that grows with each failure.

use std::time::Duration;

/// Returns `first`, doubled `times` times, and at most `longest`.
#[must_use]
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(31)).min(longest)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first(0, 5)]
    #[case::third(2, 20)]
    #[case::longest(6, 300)]
    #[case::overflow(u32::MAX, 300)]
    fn a_pause_doubles_up_to_the_longest(#[case] times: u32, #[case] seconds: u64) {
        let pause = doubled(Duration::from_secs(5), times, Duration::from_secs(300));
        assert_eq!(pause, Duration::from_secs(seconds));
    }
}
