//! Forms of strings.

use crate::text;

/// Form of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

pub(super) fn style(text: &str) -> Style {
    let lines: Vec<&str> = text.split('\n').collect();
    let spaced = |line: &&str| line.ends_with(' ');
    let is_special = text.chars().any(|char| char != '\n' && (char == '\u{feff}' || !text::is_print(char)));
    match lines.len() {
        _ if is_special => Style::Double,
        2.. if lines.iter().any(spaced) => Style::Double,
        2.. => Style::Literal,
        _ if is_other_type(text) => Style::Double,
        _ if is_plain(text) => Style::Plain,
        _ => Style::Single,
    }
}

/// Whether a string of one line has no character with a meaning in YAML.
fn is_plain(text: &str) -> bool {
    let starts_document = text.starts_with("---") || text.starts_with("...");
    let has_indicator = match text.chars().next() {
        Some('-' | '?' | ':') => matches!(text.chars().nth(1), None | Some(' ')),
        Some(first) => "#,[]{}&*!|>'\"%@`".contains(first),
        None => true,
    };
    let has_space = text.starts_with(' ') || text.ends_with(' ');
    !(starts_document
        || has_indicator
        || has_space
        || text.contains(": ")
        || text.contains(" #")
        || text.ends_with(':'))
}

/// Whether YAML 1.1 or 1.2 reads a plain string as null, a Boolean, a number, a time or a merge key.
fn is_other_type(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "y", "n", "yes", "no", "on", "off", "true", "false", "<<", ".nan", "=", ".inf",
        "+.inf", "-.inf",
    ];
    let lower = text.to_ascii_lowercase();
    WORDS.contains(&lower.as_str()) || is_number(&lower) || is_time(text)
}

/// Decimal numbers, those with another base or with `_` or `:` between digits, and fractions.
fn is_number(lower: &str) -> bool {
    let digits = lower.strip_prefix(['+', '-']).unwrap_or(lower);
    let starts = digits.starts_with(|char: char| char.is_ascii_digit())
        || digits.strip_prefix('.').is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
    let compact = digits.replace('_', "");
    let based = |prefix: &str, base: u32| {
        compact
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|char| char.is_digit(base)))
    };
    let is_sexagesimal = || {
        let mut parts = compact.split(':');
        let is_digits =
            |part: &str| !part.is_empty() && part.chars().all(|char| char.is_ascii_digit() || char == '.');
        compact.contains(':') && parts.all(is_digits)
    };
    starts
        && (compact.parse::<f64>().is_ok()
            || based("0x", 16)
            || based("0b", 2)
            || based("0o", 8)
            || is_sexagesimal())
}

/// Dates, and times that start with a date.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: &usize| bytes.get(*at).is_some_and(u8::is_ascii_digit);
    let year = (0..4).filter(is_digit).count() == 4 && bytes.get(4) == Some(&b'-');
    year && text.len() >= 8 && bytes.iter().all(|byte| byte.is_ascii_digit() || b"-:.tTzZ+ ".contains(byte))
}

pub(super) fn written(text: &str, style: Style) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Single => format!("'{}'", text.replace('\'', "''")),
        Style::Double | Style::Literal => {
            let escaped: String = text.chars().map(escaped).collect();
            format!("\"{escaped}\"")
        }
    }
}

fn escaped(char: char) -> String {
    match char {
        '"' | '\\' => format!("\\{char}"),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0' => "\\0".to_owned(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0b' => "\\v".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\x1b' => "\\e".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        char if char != '\u{feff}' && text::is_print(char) => char.to_string(),
        char if u32::from(char) <= 0xff => format!("\\x{:02X}", u32::from(char)),
        char if u32::from(char) <= 0xffff => format!("\\u{:04X}", u32::from(char)),
        char => format!("\\U{:08X}", u32::from(char)),
    }
}
