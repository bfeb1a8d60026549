//! Times of a schedule in the format of cron: minute, hour, day of the month, month, day of the week, in a time zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, ToSpan as _};

/// Most days between two times of a schedule: February 29 is at most 8 years away.
const DAYS: usize = 8 * 366 + 1;

/// Longest time that daylight saving skips or repeats, in minutes, with a margin.
const SKIPPED: i64 = 180;

/// Names of months and days of the week.
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Times that repeat. Each field is a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Days of the month and days of the week are both restricted: one of them is sufficient.
    is_either: bool,
}

impl Cron {
    /// Parses five fields, or a name such as `@daily`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return None;
        };
        let of_week = set(weekdays, (0, 7), &WEEKDAYS)?;
        Some(Self {
            minutes: set(minutes, (0, 59), &[])?,
            hours: set(hours, (0, 23), &[])?,
            days: set(days, (1, 31), &[])?,
            months: set(months, (1, 12), &MONTHS)?,
            // 7 is Sunday, too.
            weekdays: of_week | (of_week >> 7),
            is_either: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// The first time after `at`.
    pub(super) fn next(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_datetime(at);
        let mut day = start.date();
        for _ in 0..DAYS {
            // A time of the first day that is earlier can be an hour that daylight saving skips.
            let from = if day == start.date() { minute(start) - SKIPPED } else { 0 };
            let times = self.minutes_of(day).filter(|found| *found >= from);
            if let Some(found) =
                times.filter_map(|found| timestamp(day, found, zone)).find(|found| *found > at)
            {
                return Some(found);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The last time at `at` or before, not before `oldest`.
    pub(super) fn last(&self, at: Timestamp, oldest: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let end = zone.to_datetime(at);
        let mut day = end.date();
        while day >= zone.to_datetime(oldest).date() {
            let until = if day == end.date() { minute(end) + SKIPPED } else { i64::MAX };
            let times: Vec<i64> = self.minutes_of(day).take_while(|found| *found <= until).collect();
            let mut times = times.into_iter().rev().filter_map(|found| timestamp(day, found, zone));
            if let Some(found) = times.find(|found| *found <= at) {
                return Some(found).filter(|found| *found >= oldest);
            }
            day = day.yesterday().ok()?;
        }
        None
    }

    /// The times of a day, in minutes since midnight.
    fn minutes_of(&self, day: Date) -> impl Iterator<Item = i64> + '_ {
        let hours = (0..24).filter(move |hour| self.contains(day) && has(self.hours, *hour));
        hours.flat_map(|hour| {
            (0..60).filter(|minute| has(self.minutes, *minute)).map(move |minute| hour * 60 + minute)
        })
    }

    fn contains(&self, day: Date) -> bool {
        let of_month = has(self.days, i64::from(day.day()));
        let of_week = has(self.weekdays, i64::from(day.weekday().to_sunday_zero_offset()));
        let is_day = if self.is_either { of_month || of_week } else { of_month && of_week };
        is_day && has(self.months, i64::from(day.month()))
    }
}

fn has(set: u64, value: i64) -> bool {
    (set >> value) & 1 == 1
}

fn minute(at: DateTime) -> i64 {
    i64::from(at.hour()) * 60 + i64::from(at.minute())
}

/// The time of a day in a zone. A time that is skipped is the end of the skipped ones; one that occurs twice is the first.
fn timestamp(day: Date, minutes: i64, zone: &TimeZone) -> Option<Timestamp> {
    let span: Span = minutes.minutes();
    let at = day.at(0, 0, 0, 0).checked_add(span).ok()?;
    let ambiguous = zone.to_ambiguous_timestamp(at);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { before, .. } => {
            let after = before.to_timestamp(at).ok()?.checked_add(1.second()).ok()?;
            zone.preceding(after).next().map(|transition| transition.timestamp())
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.compatible().ok(),
    }
}

/// The values of a field: `*`, numbers, names, ranges and steps, separated by commas.
fn set(field: &str, (low, high): (i64, i64), names: &[&str]) -> Option<u64> {
    let mut set = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, number(step).filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let value = |text: &str| {
            let named = names.iter().zip(low..).find(|(name, _)| name.eq_ignore_ascii_case(text));
            // Days of the week start at 0, months at 1.
            named.map(|(_, value)| value).or_else(|| number(text))
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((first, last)) => (value(first)?, value(last)?),
            None if part.contains('/') => (value(range)?, high),
            None => (value(range)?, value(range)?),
        };
        if first < low || last > high || first > last {
            return None;
        }
        for value in (first..=last).step_by(usize::try_from(step).ok()?) {
            set |= 1 << value;
        }
    }
    Some(set)
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    // 2026-11-28 is a Saturday.
    #[rstest]
    #[case::hour("0 * * * *", "2026-11-28T04:00:00Z", "2026-11-28T05:00:00Z")]
    #[case::within("*/15 * * * *", "2026-11-28T04:16:59Z", "2026-11-28T04:30:00Z")]
    #[case::night("30 2 * * *", "2026-11-28T03:00:00Z", "2026-11-29T02:30:00Z")]
    #[case::weekdays("0 9 * * MON-FRI", "2026-11-28T03:00:00Z", "2026-11-30T09:00:00Z")]
    #[case::sunday_is_7("0 9 * * 7", "2026-11-28T03:00:00Z", "2026-11-29T09:00:00Z")]
    #[case::month("0 0 1 jan *", "2026-11-28T03:00:00Z", "2027-01-01T00:00:00Z")]
    #[case::either("0 0 13 * 1", "2026-11-28T03:00:00Z", "2026-11-30T00:00:00Z")]
    #[case::both("0 0 */2 * 1", "2026-11-28T03:00:00Z", "2026-12-07T00:00:00Z")]
    #[case::leap_day("0 0 29 2 *", "2026-11-28T03:00:00Z", "2028-02-29T00:00:00Z")]
    #[case::list("0 1,22-23,5/8 * * *", "2026-11-28T05:00:00Z", "2026-11-28T13:00:00Z")]
    #[case::name("@monthly", "2026-11-28T03:00:00Z", "2026-12-01T00:00:00Z")]
    fn the_next_time_follows_cron(#[case] text: &str, #[case] now: &str, #[case] expected: &str) {
        let cron = Cron::parse(text).unwrap();
        assert_eq!(cron.next(at(now), &TimeZone::UTC), Some(at(expected)));
        assert_eq!(cron.last(at(expected), at(now), &TimeZone::UTC), Some(at(expected)));
    }

    #[test]
    fn a_day_that_never_exists_has_no_time() {
        let cron = Cron::parse("0 0 31 2 *").unwrap();
        let now = at("2026-11-28T03:00:00Z");
        assert_eq!(cron.next(now, &TimeZone::UTC), None);
        assert_eq!(cron.last(now, at("2026-01-01T00:00:00Z"), &TimeZone::UTC), None);
    }

    // Berlin skips 02:00 to 03:00 on 2026-03-29 and repeats it on 2026-10-25. Lord Howe moves its clocks by 30 minutes.
    #[rstest]
    #[case::winter("Europe/Berlin", "0 2 * * *", "2026-01-10T03:00:00Z", "2026-01-11T01:00:00Z")]
    #[case::summer("Europe/Berlin", "0 2 * * *", "2026-07-10T03:00:00Z", "2026-07-11T00:00:00Z")]
    #[case::skipped("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z")]
    #[case::after_the_skipped_hour(
        "Europe/Berlin",
        "0 3 * * *",
        "2026-03-28T12:00:00Z",
        "2026-03-29T01:00:00Z"
    )]
    #[case::skipped_and_later(
        "Europe/Berlin",
        "30 2,3 * * *",
        "2026-03-29T01:00:00Z",
        "2026-03-29T01:30:00Z"
    )]
    #[case::day_after("Europe/Berlin", "30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z")]
    #[case::repeated("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z")]
    #[case::second_occurrence("Europe/Berlin", "30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z")]
    #[case::within_the_second_occurrence(
        "Europe/Berlin",
        "45 2 * * *",
        "2026-10-25T01:15:00Z",
        "2026-10-26T01:45:00Z"
    )]
    #[case::other_day("Pacific/Auckland", "0 9 * * MON", "2026-11-28T03:00:00Z", "2026-11-29T20:00:00Z")]
    #[case::half_an_hour("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z")]
    fn a_schedule_follows_the_clock_of_its_zone(
        #[case] name: &str,
        #[case] text: &str,
        #[case] now: &str,
        #[case] expected: &str,
    ) {
        let (zone, cron) =
            (crate::windows::zone::zone(Some(name), "windows").unwrap(), Cron::parse(text).unwrap());
        assert_eq!(cron.next(at(now), &zone), Some(at(expected)));
        assert_eq!(cron.last(at(expected), at(now), &zone), Some(at(expected)));
        let before = at(expected).checked_sub(1.second()).unwrap();
        assert!(cron.last(before, at("2026-01-01T00:00:00Z"), &zone).unwrap() <= at(now));
    }

    #[rstest]
    #[case("* * * *")]
    #[case("* * * * * *")]
    #[case("60 * * * *")]
    #[case("* 24 * * *")]
    #[case("* * 0 * *")]
    #[case("* * * 13 *")]
    #[case("* * * * 8")]
    #[case("*/0 * * * *")]
    #[case("5-1 * * * *")]
    #[case("-1 * * * *")]
    #[case("@every 5m")]
    #[case("")]
    fn another_format_is_refused(#[case] text: &str) {
        assert_eq!(Cron::parse(text), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[-*/,0-9A-Za-z@ ]{0,40}|\\PC*") {
            if let Some(cron) = Cron::parse(&text) {
                let now = at("2026-11-28T03:00:00Z");
                for zone in [TimeZone::UTC, crate::windows::zone::zone(Some("America/New_York"), "windows").unwrap()] {
                    if let Some(next) = cron.next(now, &zone) {
                        prop_assert!(next > now);
                        prop_assert_eq!(cron.last(next, now, &zone), Some(next));
                    }
                }
            }
        }
    }
}
