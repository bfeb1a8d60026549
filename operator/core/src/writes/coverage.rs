//! Periods in which the relays of a cluster report every write.

use jiff::Timestamp;

/// Number of ended periods that are known.
const PERIODS: usize = 8;

/// Periods in which every write was reported: the present one, and the last ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    since: Option<Timestamp>,
    /// Start and end of the last periods, the latest first.
    ended: [Option<(Timestamp, Timestamp)>; PERIODS],
}

/// How often a value that was read once is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Every write since the read was reported and will be.
    Sweep,
    /// Writes can be unreported since that time.
    Refresh(Timestamp),
}

impl Coverage {
    /// Starts a period, unless one has started.
    pub(super) fn start(&mut self, now: Timestamp) {
        self.since = self.since.or(Some(now));
    }

    /// Ends the period. Returns false if none has started.
    pub(super) fn end(&mut self, now: Timestamp) -> bool {
        let Some(since) = self.since.take() else { return false };
        self.ended.rotate_right(1);
        self.ended[0] = Some((since, now));
        true
    }

    /// How often a value that was read at `obtained` is read again. A value that was read in a period is not overdue when
    /// the period ends, however many follow: otherwise all values of a cluster would be read at the same time.
    #[must_use]
    pub fn polling(&self, obtained: Timestamp) -> Polling {
        if self.since.is_some_and(|since| since <= obtained) {
            return Polling::Sweep;
        }
        let period = self.ended.iter().flatten().find(|(since, end)| *since <= obtained && obtained < *end);
        Polling::Refresh(period.map_or(obtained, |(_, end)| *end))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Periods of a cluster: an even number of times starts a period, an odd one ends it.
    fn coverage(times: &[i64]) -> Coverage {
        let mut coverage = Coverage::default();
        for (number, time) in times.iter().enumerate() {
            if number % 2 == 0 {
                coverage.start(at(*time));
            } else {
                coverage.end(at(*time));
            }
        }
        coverage
    }

    #[rstest]
    #[case::never_covered(&[], 5, Polling::Refresh(at(5)))]
    #[case::read_before_the_period(&[10], 5, Polling::Refresh(at(5)))]
    #[case::read_in_the_period(&[10], 15, Polling::Sweep)]
    #[case::the_period_ended(&[10, 20], 15, Polling::Refresh(at(20)))]
    #[case::read_after_the_period(&[10, 20], 25, Polling::Refresh(at(25)))]
    #[case::another_period_started(&[10, 20, 30], 15, Polling::Refresh(at(20)))]
    #[case::read_between_the_periods(&[10, 20, 30], 25, Polling::Refresh(at(25)))]
    #[case::read_in_another_period(&[10, 20, 30], 35, Polling::Sweep)]
    // Periods that end again and again do not delay the read of a value further.
    #[case::two_periods_ended(&[10, 20, 30, 40], 15, Polling::Refresh(at(20)))]
    #[case::read_in_the_second_period(&[10, 20, 30, 40], 35, Polling::Refresh(at(40)))]
    #[case::eight_periods_ended(
        &[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160], 15, Polling::Refresh(at(20))
    )]
    #[case::nine_periods_ended(
        &[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180], 15, Polling::Refresh(at(15))
    )]
    fn a_value_is_polled_unless_every_write_since_its_read_is_reported(
        #[case] times: &[i64],
        #[case] obtained: i64,
        #[case] expected: Polling,
    ) {
        assert_eq!(coverage(times).polling(at(obtained)), expected);
    }

    #[test]
    fn a_period_starts_and_ends_once() {
        let mut coverage = coverage(&[10]);
        coverage.start(at(15));
        assert_eq!(coverage.polling(at(12)), Polling::Sweep);
        assert!(coverage.end(at(20)));
        assert!(!coverage.end(at(30)));
        assert_eq!(coverage.polling(at(12)), Polling::Refresh(at(20)));
    }
}
