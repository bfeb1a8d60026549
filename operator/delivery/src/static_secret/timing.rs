//! When values of KV engines are read again.

use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;
use steamer_api::{BaoStaticSecretSpec, RefreshPolicy};
use steamer_core::Error;
use steamer_core::writes::{Coverage, Polling};

use crate::engine::{Due, Schedule, Windows};

/// How many refreshes are one sweep: the pause between two reads of a value of which relays report every write.
const REFRESHES: u32 = 10;
/// Longest pause of a sweep, unless a refresh is longer.
const LONGEST: Duration = Duration::from_secs(600);

/// When values are read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// `refreshAfter`, and when a new value is delivered.
    pub(super) refresh: Schedule,
    /// The pause while relays report every write. `None`: no other pause.
    sweep: Option<Schedule>,
}

impl Timing {
    /// The times of a spec. Objects with the same `source` are due at the same time.
    pub(super) fn new(spec: &BaoStaticSecretSpec, source: &impl Hash) -> Self {
        let period = spec.refresh_after.get();
        let refresh = Schedule::new(period, source).with(spec.refresh_policy).closed(closed_until(spec));
        // A value that was written outside of the windows is due when one opens.
        let is_swept = spec.refresh_policy == RefreshPolicy::Periodic && spec.sync_windows.is_empty();
        Self { refresh, sweep: is_swept.then(|| Schedule::new(sweep(period), source)) }
    }

    /// When a value that was read at `obtained` is due. `coverage` is that of the relays of the cluster.
    pub(super) fn due(&self, coverage: Option<&Coverage>, obtained: Timestamp) -> Due {
        let polling = self.sweep.zip(coverage).map(|(sweep, coverage)| (sweep, coverage.polling(obtained)));
        let (schedule, from) = match polling {
            Some((sweep, Polling::Sweep)) => (sweep, obtained),
            Some((_, Polling::Refresh(from))) => (self.refresh, from),
            None => (self.refresh, obtained),
        };
        Due::on(&schedule, schedule.next(from))
    }
}

fn sweep(refresh: Duration) -> Duration {
    refresh.saturating_mul(REFRESHES).min(LONGEST).max(refresh)
}

/// When a new value is delivered, if it waits for a sync window.
fn closed_until(spec: &BaoStaticSecretSpec) -> Option<Timestamp> {
    if spec.sync_windows.is_empty() {
        return None;
    }
    windows(spec).ok()?.closed_until(Timestamp::now())
}

/// The sync windows of a spec.
///
/// # Errors
/// As [`Windows::parse`].
pub(super) fn windows(spec: &BaoStaticSecretSpec) -> Result<Windows, Error> {
    Windows::parse(&spec.sync_windows, "spec.syncWindows")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_core::writes::{RelayState, ReportedWrites};
    use steamer_runtime::ObjectName;

    use super::*;

    #[rstest]
    #[case::seconds(5, 50)]
    #[case::minute(60, 600)]
    #[case::five_minutes(300, 600)]
    #[case::hour(3600, 3600)]
    fn a_sweep_is_ten_refreshes_and_at_most_ten_minutes(#[case] refresh: u64, #[case] expected: u64) {
        assert_eq!(sweep(Duration::from_secs(refresh)), Duration::from_secs(expected));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Coverage that starts at 0, and ends at a time.
    fn coverage(end: Option<i64>) -> Coverage {
        let (writes, cluster) = (ReportedWrites::new(Arc::default(), Arc::default()), ObjectName::default());
        writes.observe(&cluster, RelayState::Complete, at(0));
        if let Some(end) = end {
            writes.observe(&cluster, RelayState::Incomplete(String::new()), at(end));
        }
        writes.coverage(&cluster).unwrap()
    }

    #[rstest]
    #[case::no_relays(json!({}), None, 10, 60)]
    #[case::covered(json!({}), Some(None), 10, 600)]
    #[case::read_before(json!({}), Some(None), -10, 60)]
    #[case::coverage_ended(json!({}), Some(Some(100)), 10, 150)]
    #[case::windows(json!({"syncWindows": [{"kind": "Allow", "schedule": "* * * * *", "duration": "1m"}]}), Some(None), 10, 60)]
    fn a_value_is_due_after_a_refresh_unless_relays_report_every_write(
        #[case] fields: Value,
        #[case] covered: Option<Option<i64>>,
        #[case] obtained: i64,
        #[case] longest: i64,
    ) {
        let mut spec = json!({"mount": "kv", "path": "a", "type": "kv-v2", "destination": {"name": "a"}});
        spec["refreshAfter"] = json!("60s");
        for (key, value) in fields.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let timing = Timing::new(&serde_json::from_value(spec).unwrap(), &"a");
        let due = timing.due(covered.map(coverage).as_ref(), at(obtained)).at;
        let pause = due.duration_since(at(obtained)).as_secs();
        assert!(pause <= longest, "{pause} s");
        if longest == 600 {
            assert!(pause > 0);
        }
        if covered == Some(Some(100)) {
            assert!(due > at(100), "a value that was covered until then is not overdue");
        }
    }

    #[test]
    fn values_that_are_never_due_are_not_swept() {
        let spec = json!({
            "mount": "kv", "path": "a", "type": "kv-v2", "destination": {"name": "a"}, "refreshPolicy": "OnChange",
        });
        let timing = Timing::new(&serde_json::from_value(spec).unwrap(), &"a");
        assert!(timing.due(Some(&coverage(None)), at(10)).is_never());
    }
}
