//! Times that `mustToDate` reads, in the layouts of Go's `time` package.

use std::fmt;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A date and time with an offset from UTC.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// Seconds east of UTC.
    offset: i64,
}

impl Moment {
    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> i64 {
        let shifted = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        days * 86_400 + self.hour * 3600 + self.minute * 60 + self.second - self.offset
    }

    pub(crate) fn rfc3339(&self) -> String {
        let zone = if self.offset == 0 { "Z".to_owned() } else { self.zone(":") };
        format!("{}T{}{zone}", self.date(), self.clock())
    }

    fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    fn clock(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    fn zone(&self, separator: &str) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs() / 60;
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }

    /// The time that `text` shows in a layout. Without an offset, it is in UTC.
    pub(crate) fn parse(layout: &str, text: &str) -> Option<Self> {
        let mut reader = Reader { text, afternoon: None, moment: EPOCH, unknown: false };
        let mut rest = layout;
        while !rest.is_empty() {
            match FIELDS.iter().find(|(token, _)| rest.starts_with(token)) {
                Some((token, field)) => {
                    reader.field(*field)?;
                    rest = &rest[token.len()..];
                }
                None => {
                    let literal = rest.chars().next()?;
                    reader.text = reader.text.strip_prefix(literal)?;
                    rest = &rest[literal.len_utf8()..];
                }
            }
        }
        reader.finish()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone("");
        let name = if self.offset == 0 { "UTC" } else { &zone };
        write!(f, "{} {} {zone} {name}", self.date(), self.clock())
    }
}

const EPOCH: Moment = Moment { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0, offset: 0 };

#[derive(Clone, Copy)]
enum Field {
    Year,
    ShortYear,
    Month(usize),
    MonthName,
    ShortMonthName,
    Day(usize),
    SpacedDay,
    DayName,
    ShortDayName,
    Hour,
    Hour12(usize),
    Minute(usize),
    Second(usize),
    Half,
    /// Offset with its separator. With `Z`, UTC is a letter.
    Offset(&'static str, Zulu),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zulu {
    Letter,
    Number,
}

/// Tokens of layouts, the longest first.
const FIELDS: &[(&str, Field)] = &[
    ("2006", Field::Year),
    ("January", Field::MonthName),
    ("Jan", Field::ShortMonthName),
    ("Monday", Field::DayName),
    ("Mon", Field::ShortDayName),
    ("Z07:00", Field::Offset(":", Zulu::Letter)),
    ("Z0700", Field::Offset("", Zulu::Letter)),
    ("-07:00", Field::Offset(":", Zulu::Number)),
    ("-0700", Field::Offset("", Zulu::Number)),
    ("01", Field::Month(2)),
    ("02", Field::Day(2)),
    ("03", Field::Hour12(2)),
    ("04", Field::Minute(2)),
    ("05", Field::Second(2)),
    ("06", Field::ShortYear),
    ("15", Field::Hour),
    ("PM", Field::Half),
    ("_2", Field::SpacedDay),
    ("1", Field::Month(1)),
    ("2", Field::Day(1)),
    ("3", Field::Hour12(1)),
    ("4", Field::Minute(1)),
    ("5", Field::Second(1)),
];

struct Reader<'a> {
    text: &'a str,
    afternoon: Option<bool>,
    moment: Moment,
    unknown: bool,
}

impl Reader<'_> {
    /// A number with `least` digits to two digits, or exactly four.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.text.split_at(digits);
        self.text = rest;
        if digits >= least { number.parse().ok() } else { None }
    }

    fn name(&mut self, names: &[&str], length: usize) -> Option<i64> {
        let prefix = |name: &str| name[..length.min(name.len())].to_ascii_lowercase();
        let lower = self.text.to_ascii_lowercase();
        let index = names.iter().position(|name| lower.starts_with(&prefix(name)))?;
        self.text = &self.text[prefix(names[index]).len()..];
        i64::try_from(index).ok()
    }

    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Year => self.moment.year = self.number(4, 4)?,
            Field::ShortYear => {
                let year = self.number(2, 2)?;
                self.moment.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Field::Month(digits) => self.moment.month = self.number(digits, 2)?,
            Field::MonthName => self.moment.month = self.name(&MONTHS, usize::MAX)? + 1,
            Field::ShortMonthName => self.moment.month = self.name(&MONTHS, 3)? + 1,
            Field::Day(digits) => self.moment.day = self.number(digits, 2)?,
            Field::SpacedDay => {
                self.text = self.text.strip_prefix(' ').unwrap_or(self.text);
                self.moment.day = self.number(1, 2)?;
            }
            Field::DayName => self.name(&DAYS, usize::MAX).map(|_| ())?,
            Field::ShortDayName => self.name(&DAYS, 3).map(|_| ())?,
            other => return self.clock(other),
        }
        Some(())
    }

    fn clock(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Hour => self.moment.hour = self.number(1, 2)?,
            Field::Hour12(digits) => self.moment.hour = self.number(digits, 2).filter(|hour| *hour <= 12)?,
            Field::Minute(digits) => self.moment.minute = self.number(digits, 2)?,
            Field::Second(digits) => self.moment.second = self.number(digits, 2)?,
            Field::Half => {
                let (half, rest) = self.text.split_at_checked(2)?;
                self.text = rest;
                self.afternoon = Some(match half {
                    "PM" => true,
                    "AM" => false,
                    _ => return None,
                });
            }
            Field::Offset(_, Zulu::Letter) if self.text.starts_with('Z') => self.text = &self.text[1..],
            Field::Offset(separator, _) => self.moment.offset = self.offset(separator)?,
            _ => self.unknown = true,
        }
        Some(())
    }

    fn offset(&mut self, separator: &str) -> Option<i64> {
        let sign = if self.text.starts_with('-') { -1 } else { 1 };
        self.text = self.text.strip_prefix(['+', '-'])?;
        let hours = self.number(2, 2)?;
        self.text = self.text.strip_prefix(separator)?;
        let minutes = self.number(2, 2)?;
        (hours <= 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    }

    fn finish(mut self) -> Option<Moment> {
        match self.afternoon {
            Some(true) if self.moment.hour < 12 => self.moment.hour += 12,
            Some(false) if self.moment.hour == 12 => self.moment.hour = 0,
            _ => {}
        }
        let moment = self.moment;
        let valid = (1..=12).contains(&moment.month)
            && (1..=days_in(moment.month, moment.year)).contains(&moment.day)
            && moment.hour < 24
            && moment.minute < 60
            && moment.second < 60;
        (valid && self.text.is_empty() && !self.unknown).then_some(moment)
    }
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_of_go_are_read() {
        let moment = Moment::parse("Jan 2, 2006 3:04PM", "Mar 7, 2021 4:05PM").unwrap();
        assert_eq!(moment.to_string(), "2021-03-07 16:05:00 +0000 UTC");
        assert_eq!(moment.unix(), 1_615_133_100);
        assert!(Moment::parse("2006-01-02", "2023-02-29").is_none());
    }
}
