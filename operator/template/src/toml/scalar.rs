//! Booleans, numbers and times.

use super::cursor::Cursor;
use super::problem::Problem;
use super::table::Node;
use crate::moment::Moment;

/// The value that is next. It is neither a string nor a list nor a table.
pub(super) fn scalar(cursor: &mut Cursor<'_>) -> Result<Node, Problem> {
    let problem = cursor.problem("a value is missing or invalid");
    parsed(token(cursor)).ok_or(problem)
}

fn token<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    let rest = cursor.rest();
    let first = cursor.take(is_part).len();
    // A space can separate a date from its time.
    let after = rest[first..].strip_prefix(' ').unwrap_or_default();
    let has_time = first == 10 && after.starts_with(|char: char| char.is_ascii_digit());
    if !(has_time && is_date(&rest[..first]) && cursor.accept(" ")) {
        return &rest[..first];
    }
    let second = cursor.take(is_part).len();
    &rest[..first + 1 + second]
}

fn is_part(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '_' | '.' | ':')
}

fn parsed(token: &str) -> Option<Node> {
    let number = || integer(token).map(Node::Int).or_else(|| float(token).map(Node::Float));
    match token {
        "true" => Some(Node::Bool(true)),
        "false" => Some(Node::Bool(false)),
        "inf" | "+inf" => Some(Node::Float(f64::INFINITY)),
        "-inf" => Some(Node::Float(f64::NEG_INFINITY)),
        "nan" | "+nan" => Some(Node::Float(f64::NAN)),
        "-nan" => Some(Node::Float(-f64::NAN)),
        _ => number().or_else(|| time(token).map(Node::Text)),
    }
}

fn integer(token: &str) -> Option<i64> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(text) = token.strip_prefix(prefix) {
            return i64::from_str_radix(&digits(text, radix)?, radix).ok();
        }
    }
    let digits = whole(unsigned(token))?;
    let sign = if token.starts_with('-') { "-" } else { "" };
    format!("{sign}{digits}").parse().ok()
}

fn float(token: &str) -> Option<f64> {
    let (mantissa, exponent) = halves(unsigned(token), ['e', 'E']);
    let (before, after) = halves(mantissa, ['.', '.']);
    let is_float = exponent.is_some() || after.is_some();
    let is_valid = whole(before).is_some()
        && after.is_none_or(|part| digits(part, 10).is_some())
        && exponent.is_none_or(|part| digits(unsigned(part), 10).is_some());
    let value: f64 = token.replace('_', "").parse().ok()?;
    (is_float && is_valid && value.is_finite()).then_some(value)
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

/// The parts before and after a separator.
fn halves(text: &str, separators: [char; 2]) -> (&str, Option<&str>) {
    text.split_once(separators).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Digits without their underscores, each of which is between two digits.
fn digits(text: &str, radix: u32) -> Option<String> {
    let is_valid = |part: &str| !part.is_empty() && part.chars().all(|char| char.is_digit(radix));
    text.split('_').all(is_valid).then(|| text.replace('_', ""))
}

/// Decimal digits without a leading zero.
fn whole(text: &str) -> Option<String> {
    digits(text, 10).filter(|digits| digits.len() == 1 || !digits.starts_with('0'))
}

/// A date, a time, or both, as RFC 3339 writes them.
fn time(token: &str) -> Option<String> {
    let text = token.to_ascii_uppercase().replace(' ', "T");
    let is_valid = match text.split_once('T') {
        Some((date, clock)) => is_date(date) && is_clock(clock, true),
        None => is_date(&text) || is_clock(&text, false),
    };
    is_valid.then_some(text)
}

fn is_date(text: &str) -> bool {
    Moment::parse("2006-01-02", text).is_some()
}

fn is_clock(text: &str, has_offset: bool) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|char: char| char.is_ascii_digit()),
        None => rest,
    };
    let has_fraction = !rest.starts_with('.') || rest.len() > offset.len() + 1;
    let is_end = offset.is_empty() || (has_offset && is_offset(offset));
    Moment::parse("15:04:05", clock).is_some() && has_fraction && is_end
}

fn is_offset(text: &str) -> bool {
    let is_clock = |clock: &str| clock.len() == 5 && Moment::parse("15:04", clock).is_some();
    text == "Z" || text.strip_prefix(['+', '-']).is_some_and(is_clock)
}
