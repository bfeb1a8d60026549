//! Numbers in the syntax of Go.

use std::borrow::Cow;

/// A number in a template. Its type depends on its use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f64>,
    /// Whether the number is a float where the type is free.
    pub(crate) prefers_float: bool,
}

impl Number {
    pub(crate) fn char(char: u32) -> Self {
        Self { int: Some(i64::from(char)), float: Some(f64::from(char)), prefers_float: false }
    }

    /// The number of a token.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let has_point = text.contains(['.', 'e', 'E', 'p', 'P']);
        if let Some(int) = parse_int(text.as_bytes(), 0) {
            return Some(Self { int: Some(int), float: Some(int as f64), prefers_float: false });
        }
        let unsigned = parse_int_wide(text.as_bytes(), 0).filter(|wide| u64::try_from(*wide).is_ok());
        if let Some(wide) = unsigned {
            return Some(Self { int: None, float: Some(wide as f64), prefers_float: false });
        }
        let float = parse_float(text).filter(|_| has_point)?;
        let whole = float.fract() == 0.0 && float.abs() < 9.2e18;
        let is_hex = text.starts_with("0x") && !text.contains(['p', 'P']);
        Some(Self { int: whole.then_some(float as i64), float: Some(float), prefers_float: !is_hex })
    }
}

/// Go's `strconv.ParseInt`. Base 0 reads prefixes and underscores.
pub(crate) fn parse_int(text: &[u8], base: u32) -> Option<i64> {
    parse_int_wide(text, base).and_then(|wide| i64::try_from(wide).ok())
}

fn parse_int_wide(text: &[u8], base: u32) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = if base == 0 { prefix(digits)? } else { (base, Cow::Borrowed(digits)) };
    let valid = !digits.is_empty() && digits.bytes().all(|digit| char::from(digit).is_digit(radix));
    let magnitude = valid.then(|| i128::from_str_radix(&digits, radix).ok())??;
    Some(if negative { -magnitude } else { magnitude })
}

/// Base and digits of an unsigned number with an optional prefix.
fn prefix(digits: &str) -> Option<(u32, Cow<'_, str>)> {
    let lower = digits.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (radix, rest) = match lower.as_str() {
        "0x" => (16, &digits[2..]),
        "0b" => (2, &digits[2..]),
        "0o" => (8, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.contains('_') {
        return Some((radix, Cow::Borrowed(rest)));
    }
    // An underscore must follow a digit or a prefix, and a digit must follow it.
    let starts = radix == 10 && rest.starts_with('_');
    let bad = starts || rest.ends_with('_') || rest.contains("__");
    (!bad).then(|| (radix, Cow::Owned(rest.replace('_', ""))))
}

/// Go's `strconv.ParseFloat`. A number that is too large is no number.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let between_digits = !text.contains("__") && !text.starts_with('_') && !text.ends_with('_');
    let text = &if between_digits { text.replace('_', "") } else { text.to_owned() };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    let lower = unsigned.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        return hex_float(hex).map(|float| sign * float);
    }
    let plain = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let starts = unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.');
    let float = (plain && starts).then(|| unsigned.parse::<f64>().ok())??;
    float.is_finite().then_some(sign * float)
}

/// A hexadecimal float without its prefix. It needs an exponent.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().ok()?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let float = value * 2.0_f64.powi(exponent.checked_sub(shift)?);
    float.is_finite().then_some(float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("42", Some(42))]
    #[case("0x1F", Some(31))]
    #[case("017", Some(15))]
    #[case("0b101", Some(5))]
    #[case("1_000", Some(1000))]
    #[case("1__0", None)]
    #[case("08", None)]
    #[case("9223372036854775808", None)]
    #[case("-9223372036854775808", Some(i64::MIN))]
    #[case("", None)]
    #[case("+", None)]
    fn integers_have_the_syntax_of_go(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(parse_int(text.as_bytes(), 0), expected);
    }

    #[rstest]
    #[case("1.5", Some(1.5))]
    #[case(".5", Some(0.5))]
    #[case("0x1p-2", Some(0.25))]
    #[case("1e400", None)]
    #[case("1_0", Some(10.0))]
    #[case("1__0", None)]
    #[case("infinit", None)]
    fn floats_have_the_syntax_of_go(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(parse_float(text), expected);
    }
}
