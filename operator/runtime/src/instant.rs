//! Sums of instants.

use std::time::{Duration, Instant};

/// Longest pause that a sum adds: one year.
const LONGEST: Duration = Duration::from_secs(8760 * 3600);

/// Returns the instant `pause` after `start`. A pause that no instant can represent is one year: the plain sum would
/// panic, and pauses come from users and servers.
#[must_use]
pub fn after(start: Instant, pause: Duration) -> Instant {
    start.checked_add(pause.min(LONGEST)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_saturates_at_one_year() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::from_secs(5)), now + Duration::from_secs(5));
        assert_eq!(after(now, Duration::MAX), now + LONGEST);
    }
}
