//! Quoted strings and characters of Go.

use crate::text;

/// The value of a quoted string or raw string, with its quotes.
pub(crate) fn string(quoted: &str) -> Option<Vec<u8>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if quoted.starts_with('`') {
        return Some(inner.replace('\r', "").into_bytes());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, after) = unit(rest, '"')?;
        match unit {
            Unit::Char(char) => text::push(&mut bytes, char),
            Unit::Byte(byte) => bytes.push(byte),
        }
        rest = after;
    }
    Some(bytes)
}

/// The code of a character constant, with its quotes.
pub(crate) fn char(quoted: &str) -> Option<u32> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    let (unit, rest) = unit(inner, '\'')?;
    let code = match unit {
        Unit::Char(char) => u32::from(char),
        Unit::Byte(byte) => u32::from(byte),
    };
    rest.is_empty().then_some(code)
}

/// One character, or the byte of `\x` and of an octal escape.
enum Unit {
    Char(char),
    Byte(u8),
}

fn unit(text: &str, quote: char) -> Option<(Unit, &str)> {
    let first = text.chars().next()?;
    let rest = &text[first.len_utf8()..];
    if first == quote {
        return None;
    }
    if first == '\\' { escape(rest, quote) } else { Some((Unit::Char(first), rest)) }
}

fn escape(text: &str, quote: char) -> Option<(Unit, &str)> {
    let code = text.chars().next()?;
    let rest = &text[code.len_utf8()..];
    let simple = match code {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        '\'' | '"' if code == quote => quote,
        _ => return numeric(code, text),
    };
    Some((Unit::Char(simple), rest))
}

fn numeric(code: char, text: &str) -> Option<(Unit, &str)> {
    let (skipped, digits, radix) = match code {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        '0'..='7' => (0, 3, 8),
        _ => return None,
    };
    let number = text.get(skipped..skipped + digits)?;
    let valid = number.chars().all(|digit| digit.is_digit(radix));
    let value = valid.then(|| u32::from_str_radix(number, radix).ok())??;
    let rest = &text[skipped + digits..];
    match code {
        'u' | 'U' => Some((Unit::Char(char::from_u32(value)?), rest)),
        _ => Some((Unit::Byte(u8::try_from(value).ok()?), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(string(r#""\x41\u00e9\101\t\"\\""#).unwrap(), "A\u{e9}A\t\"\\".as_bytes());
        assert_eq!(string(r#""\xff""#).unwrap(), [0xff]);
        assert_eq!(string("`a\\n`").unwrap(), b"a\\n");
    }

    #[test]
    fn unknown_escapes_are_refused() {
        for text in [r#""\q""#, r#""\'""#, r#""\u12""#, r#""\ud800""#, r#""\400""#] {
            assert!(string(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_character_constant_is_one_character() {
        assert_eq!(char("'a'"), Some(97));
        assert_eq!(char(r"'\''"), Some(39));
        assert_eq!(char("'ab'"), None);
        assert_eq!(char("''"), None);
    }
}
