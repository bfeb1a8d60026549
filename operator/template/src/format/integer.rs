//! Integers, as Go's `fmt` writes them.

use super::flags::Flags;
use super::quote::{self, Charset};
use crate::text;

/// Appends an integer with verb `d`, `v`, `b`, `o`, `O`, `x`, `X`. `value` covers both int64 and uint64.
pub(crate) fn write(out: &mut Vec<u8>, flags: &Flags, verb: char, value: i128) {
    let negative = value < 0;
    if flags.precision == Some(0) && value == 0 {
        return flags.pad_with_spaces(out, b"");
    }
    let mut digits = digits(verb, value.unsigned_abs());
    let minimum = minimum(flags, negative);
    if digits.len() < minimum {
        digits.insert_str(0, &"0".repeat(minimum - digits.len()));
    }
    let prefix = prefix(flags, verb, &digits);
    let sign = match negative {
        true => "-",
        false if flags.plus => "+",
        false if flags.space => " ",
        false => "",
    };
    flags.pad_with_spaces(out, format!("{sign}{prefix}{digits}").as_bytes());
}

fn digits(verb: char, value: u128) -> String {
    match verb {
        'b' => format!("{value:b}"),
        'o' | 'O' => format!("{value:o}"),
        'x' => format!("{value:x}"),
        'X' => format!("{value:X}"),
        _ => value.to_string(),
    }
}

/// Fewest digits, from the precision or from zero padding.
fn minimum(flags: &Flags, negative: bool) -> usize {
    match (flags.precision, flags.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero && !flags.minus => {
            width.saturating_sub(usize::from(negative || flags.plus || flags.space))
        }
        _ => 0,
    }
}

fn prefix(flags: &Flags, verb: char, digits: &str) -> &'static str {
    match verb {
        'O' if flags.sharp && !digits.starts_with('0') => "0o0",
        'O' => "0o",
        'b' if flags.sharp => "0b",
        'o' if flags.sharp && !digits.starts_with('0') => "0",
        'x' if flags.sharp => "0x",
        'X' if flags.sharp => "0X",
        _ => "",
    }
}

/// Appends the character of a code: verb `c` or `q`.
pub(crate) fn write_char(out: &mut Vec<u8>, flags: &Flags, verb: char, value: i128) {
    // A negative code is converted to uint64 first.
    let code = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    if verb == 'q' {
        let charset = if flags.plus { Charset::Ascii } else { Charset::Printable };
        return flags.pad(out, &quote::char(code, charset));
    }
    flags.pad(out, code.to_string().as_bytes());
}

/// Appends `U+0041`, and the character with `#`.
pub(crate) fn write_unicode(out: &mut Vec<u8>, flags: &Flags, value: i128) {
    let code = value as u64;
    let digits = flags.precision.unwrap_or(4).max(4);
    let mut text = format!("U+{code:0digits$X}");
    let char = u32::try_from(code).ok().and_then(char::from_u32).filter(|char| text::is_print(*char));
    if let Some(char) = char.filter(|_| flags.sharp) {
        text = format!("{text} '{char}'");
    }
    flags.pad_with_spaces(out, text.as_bytes());
}
