//! Durations in text form, such as `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration in text form, of at most `HOURS`: `30s`, `5m`, `1h30m`, `250ms`.
///
/// Keeps the text it was parsed from, so that a GitOps tool sees no difference to its repository after a write. The
/// value is never longer than [`LONGEST`](Self::LONGEST), because a stored object can be older than the bounds of its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundedDuration<const HOURS: u64> {
    text: String,
    value: StdDuration,
}

/// A duration of at most one year.
pub type Duration = BoundedDuration<8760>;

/// A duration that only OpenBao measures, such as the lifetime of a certificate, of at most 100 years.
pub type LongDuration = BoundedDuration<876_000>;

/// Digits that count after a decimal point.
const DECIMALS: u32 = 9;

impl<const HOURS: u64> BoundedDuration<HOURS> {
    /// Longest value. A longer text has this value.
    pub const LONGEST: StdDuration = StdDuration::from_secs(HOURS * 3600);

    /// Returns a duration of whole seconds.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self { text: format!("{seconds}s"), value: StdDuration::from_secs(seconds).min(Self::LONGEST) }
    }

    /// Returns the value as a standard duration.
    #[must_use]
    pub fn get(&self) -> StdDuration {
        self.value
    }
}

impl<const HOURS: u64> fmt::Display for BoundedDuration<HOURS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<const HOURS: u64> std::str::FromStr for BoundedDuration<HOURS> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('-') {
            return Err(format!("`{text}` is negative: a duration must be 0s or more"));
        }
        let nanoseconds = nanoseconds(text)
            .ok_or_else(|| format!("`{text}` is not a duration such as 30s, 5m or 1h30m"))?
            .min(Self::LONGEST.as_nanos());
        let value = StdDuration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        Ok(Self { text: text.to_owned(), value })
    }
}

/// Returns the sum of all parts, such as `1h` and `30m`.
fn nanoseconds(text: &str) -> Option<u128> {
    let (mut sum, mut rest) = (0_u128, text);
    while !rest.is_empty() || text.is_empty() {
        let (part, tail) = part(rest)?;
        sum = sum.saturating_add(part);
        rest = tail;
    }
    Some(sum)
}

/// Returns the value of the first part and the text behind it.
fn part(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text)?;
    let (decimals, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest)?,
        None => ("", rest),
    };
    let (unit, rest) = unit(rest)?;
    let whole = saturated(whole).saturating_mul(unit);
    let counted = decimals.len().min(DECIMALS as usize);
    let scale = 10_u128.pow(u32::try_from(counted).unwrap_or(DECIMALS));
    Some((whole.saturating_add(saturated(&decimals[..counted]) * unit / scale), rest))
}

/// Splits the digits off. There must be at least one.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn unit(text: &str) -> Option<(u128, &str)> {
    let units = [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
    units.into_iter().find_map(|(unit, value)| Some((value, text.strip_prefix(unit)?)))
}

/// Returns the value of decimal digits.
fn saturated(digits: &str) -> u128 {
    let add = |sum: u128, digit: u8| sum.saturating_mul(10).saturating_add(u128::from(digit - b'0'));
    digits.bytes().fold(0, add)
}

impl<const HOURS: u64> Serialize for BoundedDuration<HOURS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, const HOURS: u64> Deserialize<'de> for BoundedDuration<HOURS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<const HOURS: u64> JsonSchema for BoundedDuration<HOURS> {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let years = HOURS / 8760;
        let longest = if years == 1 { "a year".to_owned() } else { format!("{years} years") };
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [
                {
                    "rule": format!("self.matches('{}')", pattern(HOURS)),
                    "message": format!("write a duration with its unit, such as 30s, 5m or 1h30m, of at most {HOURS}h"),
                },
                {
                    "rule": format!("duration(self) <= duration('{HOURS}h')"),
                    "message": format!("must be at most {HOURS}h ({longest}): set a shorter duration"),
                },
            ],
        })
    }
}

/// Form of a text. The number of digits, and of units of long durations, keeps `duration()` of the other rules from overflowing
/// at 292 years.
fn pattern(hours: u64) -> String {
    let part = |digits: u32, unit: &str| format!("[0-9]{{1,{digits}}}([.][0-9]{{1,9}})?{unit}");
    let [minutes, seconds, milliseconds] = [part(6, "m"), part(8, "s"), part(11, "ms")];
    if hours <= 8760 {
        return format!("^({}|{minutes}|{seconds}|{milliseconds})+$", part(4, "h"));
    }
    // Each unit once, in this order.
    let hours = part(6, "h");
    format!("^(({hours})({minutes})?({seconds})?|({minutes})({seconds})?|{seconds}|{milliseconds})$")
}

#[cfg(test)]
mod tests {
    use std::ops::Add;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_keeps_its_original_text() {
        let duration: Duration = serde_json::from_str(r#""1h30m""#).unwrap();
        assert_eq!(duration.get(), StdDuration::from_secs(5400));
        assert_eq!(serde_json::to_string(&duration).unwrap(), r#""1h30m""#);
    }

    #[test]
    fn an_invalid_duration_is_rejected() {
        for text in
            ["", "5", "five minutes", "-5s", "1d", ".5s", "5.s", "1h ", " 1h", "1h-5m", "1us", "m", "٣s"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_the_sum_of_its_parts() {
        let cases = [
            ("0s", 0),
            ("250ms", 250),
            ("1.5s", 1500),
            ("1h30m0.25s", 5_400_250),
            ("0.0010000000009s", 1),
            ("2h2h", 14_400_000),
        ];
        for (text, milliseconds) in cases {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get(), StdDuration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn a_duration_without_bounds_is_one_year() {
        for text in
            ["99999999999999999999h", "4000000000000000h", "9999h", &"9".repeat(500).add("s"), "8760h0.001s"]
        {
            assert_eq!(text.parse::<Duration>().unwrap().get(), Duration::LONGEST, "{text}");
        }
        assert_eq!(Duration::from_secs(u64::MAX).get(), Duration::LONGEST);
    }

    #[test]
    fn a_duration_of_openbao_can_be_longer_than_a_year() {
        let ten_years: LongDuration = "87600h".parse().unwrap();
        assert_eq!(ten_years.get(), StdDuration::from_secs(87_600 * 3600));
        let longest: LongDuration = "9999999h".parse().unwrap();
        assert_eq!(longest.get(), LongDuration::LONGEST);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*|([0-9]{0,40}([.][0-9]{0,40})?(ms|s|m|h|d)?){0,4}") {
            let parsed = text.parse::<Duration>();
            prop_assert!(parsed.is_err() || parsed.is_ok_and(|duration| duration.get() <= Duration::LONGEST));
        }

        #[test]
        fn milliseconds_are_parsed_exactly(hours in 0_u64..1000, minutes in 0_u64..600, milliseconds in 0_u64..100_000) {
            let duration: Duration = format!("{hours}h{minutes}m{milliseconds}ms").parse().unwrap();
            let expected = StdDuration::from_millis((hours * 60 + minutes) * 60_000 + milliseconds);
            prop_assert_eq!(duration.get(), expected);
        }
    }
}
