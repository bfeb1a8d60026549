//! Renewals of the lock, by the clock of this process.

use std::time::{Duration, Instant};

use crate::database::lock::{LOCK_SECONDS, Lock};

/// Age in seconds after which the renewal of a lock is overdue: OpenBao renews it every five seconds.
const OVERDUE: f64 = 5.5;
/// Longest pause between two writes that prove that the database accepts writes.
const PULSE: Duration = Duration::from_millis(300);

/// Time before the detection in which the guard proves that the database accepts writes.
const PROOF: Duration = Duration::from_millis(500);

/// Renewals of the lock, without a gap: an error of the database begins a new observation.
#[derive(Default)]
pub(crate) struct Renewals {
    row: Option<Row>,
    last_read: Option<Instant>,
    /// The database did not answer since the last observation.
    gap: bool,
    writes: Option<Writes>,
}

/// One state of the lock row.
struct Row {
    value: String,
    expires: String,
    /// First observation of this state.
    since: Instant,
    /// Last observation of the state before.
    before: Option<Instant>,
    /// It may be a rest of a leader that gave up while the database did not answer: such a leader cannot delete its lock,
    /// and another node takes it when it expires.
    is_inherited: bool,
}

/// Writes of the guard, all of which succeeded since this state of the row.
struct Writes {
    first: Instant,
    last: Instant,
    is_announced: bool,
}

impl Renewals {
    /// Records that the database did not answer.
    pub(crate) fn interrupt(&mut self) {
        *self = Self { gap: true, ..Self::default() };
    }

    /// Returns true if the row has been read since the last gap.
    pub(crate) fn is_watching(&self) -> bool {
        self.last_read.is_some()
    }

    /// Records one observation of the row.
    pub(crate) fn observe(&mut self, now: Instant, lock: Option<&Lock>) {
        let same =
            |row: &&Row| lock.is_some_and(|lock| row.value == lock.value && row.expires == lock.expires);
        if self.row.as_ref().filter(same).is_none() {
            let is_first = self.last_read.is_none();
            self.writes = None;
            self.row = lock.map(|lock| Row {
                value: lock.value.clone(),
                expires: lock.expires.clone(),
                since: now,
                before: self.last_read,
                is_inherited: is_first && (self.gap || lock.age >= OVERDUE),
            });
        }
        self.last_read = Some(now);
        self.gap = false;
    }

    /// Returns true if the lock had expired before this process watched it, for example in a restored database. Any node
    /// can take it, so nothing has to be fenced.
    pub(crate) fn is_left_over(&self, lock: &Lock) -> bool {
        lock.age >= LOCK_SECONDS && self.row.as_ref().is_some_and(|row| row.is_inherited)
    }

    /// Time for which the lock has not been renewed, as far as this process has watched it. The age by the clock of the
    /// database only makes it more precise.
    pub(crate) fn lateness(&self, now: Instant, lock: &Lock) -> Duration {
        let Some(row) = &self.row else { return Duration::ZERO };
        let watched = now.saturating_duration_since(row.since);
        if row.is_inherited {
            return watched.saturating_sub(Duration::from_secs_f64(LOCK_SECONDS));
        }
        let longest = row.before.map_or(watched, |before| now.saturating_duration_since(before));
        Duration::try_from_secs_f64(lock.age).unwrap_or(watched).clamp(watched, longest.max(watched))
    }

    /// Returns true if the next renewal is overdue.
    pub(crate) fn is_overdue(&self, now: Instant, lock: &Lock) -> bool {
        self.lateness(now, lock).as_secs_f64() >= OVERDUE
    }

    /// Returns true if the guard must prove now that the database accepts writes.
    pub(crate) fn needs_write(&self, now: Instant, lock: &Lock, detection: Duration) -> bool {
        let is_recent = |writes: &Writes| now.saturating_duration_since(writes.last) < PULSE;
        let is_near = self.lateness(now, lock) + PROOF >= detection;
        is_near && !self.writes.as_ref().is_some_and(is_recent)
    }

    /// Records a write that succeeded. `is_announced`: the holder of the lock has written its address.
    pub(crate) fn wrote(&mut self, now: Instant, is_announced: bool) {
        let first = self.writes.as_ref().map_or(now, |writes| writes.first);
        self.writes = Some(Writes { first, last: now, is_announced });
    }

    /// Returns true if the database has accepted several writes since the lock is nearly late, and the last one now.
    pub(crate) fn accepts_writes(&self, now: Instant) -> bool {
        self.writes.as_ref().is_some_and(|writes| {
            writes.first < writes.last && now.saturating_duration_since(writes.last) < 2 * PULSE
        })
    }

    /// Returns true if the holder of the lock has written its address. `None` if this is unknown.
    pub(crate) fn is_announced(&self) -> Option<bool> {
        self.writes.as_ref().map(|writes| writes.is_announced)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn lock(renewal: u32, age: f64) -> Lock {
        Lock { value: "a".to_owned(), age, expires: renewal.to_string(), is_recorded: true }
    }

    /// Lateness in seconds after observations `(second, renewal, age)`. A negative renewal is an outage.
    fn late(observations: &[(u64, i32, f64)]) -> f64 {
        let (start, mut renewals, mut last) = (Instant::now(), Renewals::default(), 0.0);
        for (second, renewal, age) in observations {
            let now = start + Duration::from_secs(*second);
            let Ok(renewal) = u32::try_from(*renewal) else {
                renewals.interrupt();
                continue;
            };
            renewals.observe(now, Some(&lock(renewal, *age)));
            last = renewals.lateness(now, &lock(renewal, *age)).as_secs_f64();
        }
        last
    }

    #[rstest]
    #[case::watched_without_a_gap(&[(0, 1, 4.0), (1, 2, 0.5), (4, 2, 3.5), (7, 2, 6.5)], 6.5)]
    #[case::the_clock_of_the_database_is_ahead(&[(0, 1, 4.0), (1, 2, 0.5), (2, 2, 60.0)], 2.0)]
    #[case::the_clock_of_the_database_is_behind(&[(0, 1, 4.0), (1, 2, 0.5), (8, 2, -60.0)], 7.0)]
    #[case::first_observation(&[(0, 1, 4.0)], 0.0)]
    #[case::renewed_again_after_an_outage(&[(0, 1, 1.0), (1, -1, 0.0), (90, 1, 91.0), (91, 2, 0.2), (98, 2, 7.2)], 7.2)]
    #[case::lost_in_an_outage(&[(0, 1, 1.0), (1, -1, 0.0), (90, 1, 91.0), (100, 1, 101.0)], 0.0)]
    #[case::lost_in_an_outage_and_not_taken(&[(0, 1, 1.0), (1, -1, 0.0), (90, 1, 91.0), (112, 1, 113.0)], 7.0)]
    #[case::short_restart_of_the_database(&[(0, 1, 1.0), (1, -1, 0.0), (2, 1, 3.0), (9, 1, 10.0)], 0.0)]
    #[case::operator_that_starts_after_an_outage(&[(0, 1, 40.0), (10, 1, 50.0)], 0.0)]
    #[case::operator_that_starts_beside_a_frozen_leader(&[(0, 1, 3.0), (7, 1, 10.0)], 7.0)]
    fn lateness_is_what_this_process_has_watched(
        #[case] observations: &[(u64, i32, f64)],
        #[case] expected: f64,
    ) {
        assert!((late(observations) - expected).abs() < 0.01, "{}", late(observations));
    }

    #[test]
    fn a_lock_is_late_only_while_the_database_accepts_writes() {
        let (start, mut renewals) = (Instant::now(), Renewals::default());
        let (at, detection) = (|millis| start + Duration::from_millis(millis), Duration::from_secs(6));
        renewals.observe(at(0), Some(&lock(1, 0.0)));
        assert!(!renewals.needs_write(at(5000), &lock(1, 5.0), detection));
        assert!(renewals.needs_write(at(5500), &lock(1, 5.5), detection));
        renewals.wrote(at(5500), true);
        assert!(!renewals.accepts_writes(at(5500)), "one write may have waited for the end of a stall");
        assert!(!renewals.needs_write(at(5600), &lock(1, 5.6), detection));
        renewals.wrote(at(6000), true);
        assert!(renewals.accepts_writes(at(6000)));
        assert!(!renewals.accepts_writes(at(7000)), "the last write is old");
        renewals.observe(at(7000), Some(&lock(2, 0.1)));
        assert!(!renewals.accepts_writes(at(7000)) && renewals.is_announced().is_none());
    }

    proptest! {
        /// With any steps of the clock of the database, and any outages.
        #[test]
        fn a_lock_that_is_renewed_in_time_is_never_late(
            rounds in prop::collection::vec((100_u64..1000, any::<bool>(), -1e6_f64..1e6), 1..300),
        ) {
            let (start, mut renewals, mut elapsed) = (Instant::now(), Renewals::default(), 0);
            for (pause, is_outage, age) in rounds {
                elapsed += pause;
                let now = start + Duration::from_millis(elapsed);
                if is_outage {
                    renewals.interrupt();
                    continue;
                }
                let lock = lock(u32::try_from(elapsed / 5000).unwrap(), age);
                renewals.observe(now, Some(&lock));
                prop_assert!(renewals.lateness(now, &lock) < Duration::from_secs(6));
            }
        }
    }
}
