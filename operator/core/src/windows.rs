//! Windows: times in which a change is made.

mod cron;
mod zone;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use steamer_api::{SyncWindow, WindowKind};

use crate::Error;
use cron::Cron;
use zone::zone;

/// Most ends and starts of windows that are computed at once.
const STEPS: usize = 200;

/// Times that repeat, in the format of cron.
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Parses a schedule. `field`: where the spec contains it.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field, and the schedule or the time zone.
    pub fn parse(schedule: &str, time_zone: Option<&str>, field: &str) -> Result<Self, Error> {
        let cron = Cron::parse(schedule).ok_or_else(|| invalid(field, schedule))?;
        Ok(Self { cron, zone: zone(time_zone, field)? })
    }

    /// The first time after `at`, if there is one.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        self.cron.next(at, &self.zone)
    }
}

/// The windows of an object.
pub struct Windows(Vec<Window>);

struct Window {
    cron: Cron,
    zone: TimeZone,
    duration: SignedDuration,
    kind: WindowKind,
}

impl Windows {
    /// Parses windows. `field`: where the spec contains them.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field, and the schedule or the time zone.
    pub fn parse(windows: &[SyncWindow], field: &str) -> Result<Self, Error> {
        let window = |window: &SyncWindow| {
            let cron = Cron::parse(&window.schedule).ok_or_else(|| invalid(field, &window.schedule))?;
            let seconds = i64::try_from(window.duration.get().as_secs()).unwrap_or(i64::MAX);
            let zone = zone(window.time_zone.as_deref(), field)?;
            Ok(Window { cron, zone, duration: SignedDuration::from_secs(seconds), kind: window.kind })
        };
        windows.iter().map(window).collect::<Result<_, Error>>().map(Self)
    }

    /// When the next change is made, if none is now. [`Timestamp::MAX`]: never.
    #[must_use]
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..STEPS {
            match self.change(at) {
                None => return Some(at).filter(|at| *at > now),
                Some(next) if next > at && next < Timestamp::MAX => at = next,
                Some(_) => return Some(Timestamp::MAX),
            }
        }
        // The windows are computed again then.
        Some(at)
    }

    /// The end of a closed time: of the window that denies, or the start of the next one that allows. `None` if it is open.
    fn change(&self, at: Timestamp) -> Option<Timestamp> {
        if let Some(end) = self.of(WindowKind::Deny).filter_map(|window| window.end(at)).max() {
            return Some(end);
        }
        let is_open = self.of(WindowKind::Allow).any(|window| window.end(at).is_some());
        let is_restricted = self.of(WindowKind::Allow).next().is_some();
        let start =
            || self.of(WindowKind::Allow).filter_map(|window| window.cron.next(at, &window.zone)).min();
        (is_restricted && !is_open).then(|| start().unwrap_or(Timestamp::MAX))
    }

    fn of(&self, kind: WindowKind) -> impl Iterator<Item = &Window> {
        self.0.iter().filter(move |window| window.kind == kind)
    }
}

impl Window {
    /// When the window ends that contains `at`.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let oldest = at.checked_sub(self.duration).ok()?;
        let end = self.cron.last(at, oldest, &self.zone)?.checked_add(self.duration).ok()?;
        (end > at).then_some(end)
    }
}

fn invalid(field: &str, schedule: &str) -> Error {
    Error::Invalid(format!(
        "{field}: window `{schedule}` is not a schedule of cron: write minute, hour, day of the month, month and day of the \
         week, such as `0 2 * * MON-FRI`"
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn closed_until(windows: &[(&str, &str, &str)], now: &str) -> Option<String> {
        let window = |(kind, schedule, duration): &(&str, &str, &str)| {
            serde_json::from_value(json!({"kind": kind, "schedule": schedule, "duration": duration})).unwrap()
        };
        let windows: Vec<SyncWindow> = windows.iter().map(window).collect();
        let until = Windows::parse(&windows, FIELD).unwrap().closed_until(now.parse().unwrap());
        until.map(|at| if at == Timestamp::MAX { "never".to_owned() } else { at.to_string() })
    }

    const FIELD: &str = "spec.windows";
    const NIGHT: (&str, &str, &str) = ("Allow", "0 22 * * *", "8h");
    const FREEZE: (&str, &str, &str) = ("Deny", "0 0 24 12 *", "72h");

    #[rstest]
    #[case::no_window(&[], "2026-11-28T12:00:00Z", None)]
    #[case::before(&[NIGHT], "2026-11-28T12:00:00Z", Some("2026-11-28T22:00:00Z"))]
    #[case::start(&[NIGHT], "2026-11-28T22:00:00Z", None)]
    #[case::after_midnight(&[NIGHT], "2026-11-29T05:59:59Z", None)]
    #[case::end(&[NIGHT], "2026-11-29T06:00:00Z", Some("2026-11-29T22:00:00Z"))]
    #[case::not_frozen(&[FREEZE], "2026-11-28T12:00:00Z", None)]
    #[case::frozen(&[FREEZE], "2026-12-25T12:00:00Z", Some("2026-12-27T00:00:00Z"))]
    #[case::frozen_night(&[NIGHT, FREEZE], "2026-12-24T12:00:00Z", Some("2026-12-27T00:00:00Z"))]
    #[case::frozen_until_the_day(
        &[("Allow", "0 12 * * *", "1h"), FREEZE], "2026-12-24T12:30:00Z", Some("2026-12-27T12:00:00Z")
    )]
    #[case::two_allow(&[NIGHT, ("Allow", "0 12 * * *", "1h")], "2026-11-28T12:30:00Z", None)]
    #[case::always_denied(&[("Deny", "* * * * *", "1h")], "2026-11-28T12:00:00Z", Some("2026-12-06T20:00:00Z"))]
    #[case::denied_each_minute(&[("Deny", "* * * * *", "1m")], "2026-11-28T12:00:00Z", Some("2026-11-28T15:20:00Z"))]
    #[case::never_allowed(&[("Allow", "0 0 31 2 *", "1h")], "2026-11-28T12:00:00Z", Some("never"))]
    fn changes_wait_for_the_next_open_window(
        #[case] windows: &[(&str, &str, &str)],
        #[case] now: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(closed_until(windows, now).as_deref(), expected);
    }

    #[test]
    fn a_schedule_that_is_not_cron_is_named_with_its_field() {
        let error = |window| {
            let window: SyncWindow = serde_json::from_value(window).unwrap();
            Windows::parse(&[window], FIELD).err().unwrap().to_string()
        };
        let schedule = error(json!({"kind": "Allow", "schedule": "at noon", "duration": "1h"}));
        assert!(schedule.contains("spec.windows: window `at noon` is not a schedule of cron"), "{schedule}");
        let window =
            json!({"kind": "Allow", "schedule": "@daily", "duration": "1h", "timeZone": "Europe/Atlantis"});
        let zone = error(window);
        assert!(zone.contains("spec.windows: `Europe/Atlantis` is not a time zone"), "{zone}");
    }

    #[test]
    fn a_window_opens_at_the_time_of_its_zone() {
        let window =
            json!({"kind": "Allow", "schedule": "0 2 * * *", "duration": "2h", "timeZone": "Europe/Berlin"});
        let windows = Windows::parse(&[serde_json::from_value(window).unwrap()], FIELD).unwrap();
        let until = |now: &str| windows.closed_until(now.parse().unwrap()).map(|at| at.to_string());
        assert_eq!(until("2026-07-10T12:00:00Z").as_deref(), Some("2026-07-11T00:00:00Z"));
        assert_eq!(until("2026-07-11T01:59:59Z"), None);
        assert_eq!(until("2026-12-11T00:30:00Z").as_deref(), Some("2026-12-11T01:00:00Z"));
    }
}
