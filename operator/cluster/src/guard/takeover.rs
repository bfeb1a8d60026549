//! Duration of takeovers, from which the waiting times derive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::waits::Waits;

/// Time that a takeover needs for each namespace.
const PER_NAMESPACE: Duration = Duration::from_millis(11);
/// Time after which a takeover is reported.
const REPORT: Duration = Duration::from_secs(10);

/// Longest duration that counts as one takeover: a wrong measurement must not disable the waiting times.
const LONGEST: Duration = Duration::from_secs(900);

/// Longest takeover of a cluster.
#[derive(Default)]
pub(crate) struct Takeovers {
    /// Milliseconds.
    measured: AtomicU64,
    estimated: AtomicU64,
}

/// A takeover in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Takeover {
    /// Pod of the node that holds the lock.
    pub(crate) pod: String,
    pub(crate) since: Instant,
}

impl Takeovers {
    /// Records a takeover.
    pub(crate) fn measured(&self, took: Duration) {
        self.measured.fetch_max(millis(took.min(LONGEST)), Ordering::Relaxed);
    }

    /// Derives the start value from the number of namespaces.
    pub(crate) fn estimate(&self, namespaces: u32) {
        self.estimated.fetch_max(millis(PER_NAMESPACE * namespaces), Ordering::Relaxed);
    }

    /// Longest measured takeover.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.measured.load(Ordering::Relaxed))
    }

    /// Expected duration of the next takeover.
    pub(crate) fn expected(&self) -> Duration {
        self.longest().max(self.estimated())
    }

    /// Duration of a takeover according to the number of namespaces.
    fn estimated(&self) -> Duration {
        Duration::from_millis(self.estimated.load(Ordering::Relaxed))
    }

    /// Waiting times for the next takeover.
    pub(crate) fn waits(&self) -> Waits {
        Waits::of(self.expected()).limited(self.estimated())
    }

    /// Text about a takeover that takes long. Its time is rounded: each change of the text is a write of the status.
    pub(crate) fn text(&self, takeover: &Takeover, now: Instant) -> Option<String> {
        let elapsed = now.saturating_duration_since(takeover.since);
        let tens = elapsed.as_secs() / 10 * 10;
        let expected = self.expected().max(Duration::from_secs(1)).as_secs_f64().ceil();
        (elapsed >= REPORT).then(|| format!("{} takes over, {tens} s of about {expected:.0} s", takeover.pod))
    }
}

/// Returns true if a duration is worth a write of the status.
pub(crate) fn is_notable(recorded: Option<i64>, seconds: i64) -> bool {
    recorded.is_none_or(|recorded| seconds > recorded + 1 && seconds * 4 > recorded * 5)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing_known(0, 0, 30)]
    #[case::few_namespaces(100, 2, 30)]
    #[case::ten_thousand_namespaces(10_000, 0, 330)]
    #[case::measured(100, 45, 135)]
    #[case::measured_wrongly(100, 86_400, 2700)]
    fn waiting_times_derive_from_the_takeover(
        #[case] namespaces: u32,
        #[case] seconds: u64,
        #[case] expected: u64,
    ) {
        let takeovers = Takeovers::default();
        takeovers.estimate(namespaces);
        takeovers.measured(Duration::from_secs(seconds));
        takeovers.measured(Duration::from_secs(1));
        assert_eq!(takeovers.waits().failed().as_secs(), expected);
    }

    #[rstest]
    #[case::nothing_known(0, 0, 30)]
    #[case::measured(100, 45, 90)]
    #[case::measured_wrongly(100, 900, 120)]
    #[case::many_namespaces(10_000, 0, 220)]
    #[case::slower_than_estimated(10_000, 200, 400)]
    #[case::many_namespaces_measured_wrongly(10_000, 900, 440)]
    fn a_wrong_measurement_delays_no_repair_for_long(
        #[case] namespaces: u32,
        #[case] seconds: u64,
        #[case] expected: u64,
    ) {
        let takeovers = Takeovers::default();
        takeovers.estimate(namespaces);
        takeovers.measured(Duration::from_secs(seconds));
        assert_eq!(takeovers.waits().problem().as_secs(), expected);
        assert_eq!(takeovers.waits().pause().as_secs(), expected);
    }

    #[test]
    fn a_long_takeover_is_reported_in_steps() {
        let (takeovers, since) = (Takeovers::default(), Instant::now());
        takeovers.estimate(10_000);
        let text = |seconds| {
            let takeover = Takeover { pod: "main-1".to_owned(), since };
            takeovers.text(&takeover, since + Duration::from_secs(seconds))
        };
        assert_eq!(text(9), None);
        assert_eq!(text(47).unwrap(), "main-1 takes over, 40 s of about 110 s");
    }

    #[rstest]
    #[case::first(None, 0, true)]
    #[case::the_same(Some(2), 2, false)]
    #[case::a_second_more(Some(2), 3, false)]
    #[case::longer(Some(2), 4, true)]
    #[case::hardly_longer(Some(100), 120, false)]
    #[case::notably_longer(Some(100), 126, true)]
    fn only_a_notable_maximum_is_written(
        #[case] recorded: Option<i64>,
        #[case] seconds: i64,
        #[case] expected: bool,
    ) {
        assert_eq!(is_notable(recorded, seconds), expected);
    }
}
