//! Conversions between types.

use super::signature::Parameter::{Any, String as Str};
use super::signature::{Function, any, text};
use crate::error::Fault;
use crate::format::printer;
use crate::item::{Element, Item};
use crate::scope::Scope;
use crate::syntax::number;
use crate::text::Text;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("int", &[Any], |_, args| Ok(Item::Int(to_int(any(args, 0))))),
    Function::new("int64", &[Any], |_, args| Ok(Item::Int64(to_int(any(args, 0))))),
    Function::new("float64", &[Any], |_, args| Ok(Item::Float(to_float(any(args, 0))))),
    Function::new("atoi", &[Str], |_, args| Ok(Item::Int(atoi(text(args, 0))))),
    Function::new("toDecimal", &[Any], to_decimal),
    Function::new("toString", &[Any], |scope, args| Ok(Item::String(to_text(scope, any(args, 0))?))),
    Function::new("toStrings", &[Any], |scope, args| {
        let texts = to_texts(scope, any(args, 0))?;
        scope.strings(texts)
    }),
];

/// An integer, or 0 for a value that is none.
pub(super) fn to_int(item: &Item) -> i64 {
    match item {
        Item::Int(int) | Item::Int64(int) => *int,
        Item::Byte(byte) => i64::from(*byte),
        Item::Float(float) => truncate(*float),
        Item::Bool(bool) => i64::from(*bool),
        Item::String(text) | Item::Number(text) => {
            number::parse_int(without_zero_fraction(text), 0).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Go's conversion on amd64.
pub(super) fn truncate(float: f64) -> i64 {
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    if in_range { float as i64 } else { i64::MIN }
}

/// The text without a fraction of zeros, such as `.00`.
fn without_zero_fraction(text: &[u8]) -> &[u8] {
    let trimmed = text.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    match text[..trimmed].split_last() {
        Some((b'.', before)) if trimmed < text.len() => before,
        _ => text,
    }
}

/// A float, or 0 for a value that is none.
pub(super) fn to_float(item: &Item) -> f64 {
    match item {
        Item::Int(int) | Item::Int64(int) => *int as f64,
        Item::Byte(byte) => f64::from(*byte),
        Item::Float(float) => *float,
        Item::Bool(bool) => f64::from(u8::from(*bool)),
        Item::String(text) | Item::Number(text) => number::parse_float(&text.lossy()).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// A decimal integer. A number that is too large is the nearest one.
fn atoi(text: &[u8]) -> i64 {
    if let Some(int) = number::parse_int(text, 10) {
        return int;
    }
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    match text.first() {
        Some(b'-') if is_number => i64::MIN,
        _ if is_number => i64::MAX,
        _ => 0,
    }
}

fn to_decimal(scope: &mut Scope, args: &[Item]) -> Result<Item, Fault> {
    let digits = printer::display(scope, any(args, 0))?;
    Ok(Item::Int64(number::parse_int(&digits, 8).unwrap_or(0)))
}

/// The string, or the text of another value.
pub(super) fn to_text(scope: &mut Scope, item: &Item) -> Result<Text, Fault> {
    match item {
        Item::String(text) | Item::Number(text) => Ok(text.clone()),
        other => Ok(printer::display(scope, other)?.into()),
    }
}

/// The texts of the elements of a list, without nil, or the text of another value.
pub(super) fn to_texts(scope: &mut Scope, item: &Item) -> Result<Vec<Text>, Fault> {
    match item {
        Item::List(list) => {
            let known = list.items.iter().filter(|item| list.element == Element::List || !item.is_nil());
            known.map(|item| to_text(scope, item)).collect()
        }
        nil if nil.is_nil() => Ok(Vec::new()),
        other => Ok(vec![to_text(scope, other)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_too_large_is_the_smallest_integer() {
        assert_eq!(truncate(1e30), i64::MIN);
        assert_eq!(truncate(f64::NAN), i64::MIN);
        assert_eq!(truncate(-3.9), -3);
    }

    #[test]
    fn a_fraction_of_zeros_is_ignored() {
        assert_eq!(to_int(&Item::text("8.00")), 8);
        assert_eq!(to_int(&Item::text("8.10")), 0);
        assert_eq!(to_int(&Item::text("100")), 100);
    }
}
