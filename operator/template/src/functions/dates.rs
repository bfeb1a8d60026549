//! Times and durations.

use std::rc::Rc;

use super::signature::Parameter::{Any, String as Str};
use super::signature::{Function, any, lossy};
use crate::error::Fault;
use crate::item::Item;
use crate::moment::Moment;
use crate::scope::Scope;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const CHANGING: &str =
    "the result depends on the current time, so that the secret would change with every refresh";

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("mustToDate", &[Str, Str], |scope, args| {
        let (layout, text) = (lossy(args, 0), lossy(args, 1));
        scope.step((layout.len() + text.len()) / 16)?;
        let moment = Moment::parse(&layout, &text).ok_or(Fault::new("the text does not have this layout"))?;
        Ok(Item::Moment(Rc::new(moment)))
    }),
    Function::new("ago", &[Any], |_, _| Err(Fault::new(CHANGING))),
    Function::new("duration", &[Any], |_, args| Ok(Item::text(shown(seconds(any(args, 0)))))),
    Function::new("durationRound", &[Any], rounded),
];

/// Nanoseconds of a number of seconds.
fn seconds(item: &Item) -> i64 {
    let count = match item {
        Item::Int64(int) => *int,
        Item::String(text) => {
            let text = text.lossy();
            let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let largest = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            if is_number { text.parse().unwrap_or(largest) } else { 0 }
        }
        _ => 0,
    };
    count.wrapping_mul(1_000_000_000)
}

/// Go's text of a duration, such as `1h2m3.5s`.
fn shown(nanoseconds: i64) -> String {
    let total = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if total == 0 {
        return "0s".to_owned();
    }
    let (hours, minutes) = (total / HOUR, total % HOUR / MINUTE);
    let rest = total % MINUTE;
    let fraction = format!("{:09}", rest % SECOND);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{fraction}s", rest / SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

/// Nanoseconds of a text such as `1h30m`.
fn parsed(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let after = &rest[end..];
        let length = after.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(after.len());
        total += number * unit(&after[..length])?;
        rest = &after[length..];
    }
    (total < 9.2e18).then_some(sign * total as i64)
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

fn rounded(_: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let duration = match any(args, 0) {
        Item::String(text) => parsed(&text.lossy()).unwrap_or(0),
        Item::Int64(int) => *int,
        Item::Moment(_) => return Err(Fault::new(CHANGING)),
        _ => 0,
    };
    let total = duration.unsigned_abs();
    let units = [(365 * DAY, "y"), (30 * DAY, "mo"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let text = match units.iter().find(|(size, _)| total > *size) {
        Some((size, name)) => format!("{}{name}", total / size),
        None => "0s".to_owned(),
    };
    Ok(Item::text(text))
}
