//! Quoted strings of Go.

use crate::text::{self, Rune};

/// Characters that stay as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    Printable,
    Ascii,
}

/// Go's `strconv.Quote`, or `strconv.QuoteToASCII`.
pub(crate) fn string(bytes: &[u8], charset: Charset) -> Vec<u8> {
    let mut out = vec![b'"'];
    for rune in text::runes(bytes) {
        if rune.is_invalid() {
            out.extend_from_slice(format!("\\x{:02x}", bytes[rune.at]).as_bytes());
        } else {
            escape(&mut out, rune.char, '"', charset);
        }
    }
    out.push(b'"');
    out
}

/// Go's `strconv.QuoteRune`.
pub(crate) fn char(char: char, charset: Charset) -> Vec<u8> {
    let mut out = vec![b'\''];
    escape(&mut out, char, '\'', charset);
    out.push(b'\'');
    out
}

fn escape(out: &mut Vec<u8>, char: char, quote: char, charset: Charset) {
    if char == quote || char == '\\' {
        out.push(b'\\');
        return text::push(out, char);
    }
    if text::is_print(char) && (charset == Charset::Printable || char.is_ascii()) {
        return text::push(out, char);
    }
    let code = u32::from(char);
    let escaped = match char {
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\x0b' => "\\v".to_owned(),
        _ if code < 0x20 || code == 0x7f => format!("\\x{code:02x}"),
        _ if code < 0x10000 => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    };
    out.extend_from_slice(escaped.as_bytes());
}

/// Whether a raw string can contain the text.
pub(crate) fn can_backquote(bytes: &[u8]) -> bool {
    text::runes(bytes).all(|rune: Rune| {
        let control = rune.char < ' ' && rune.char != '\t';
        !rune.is_invalid() && !control && !['`', '\u{7f}', '\u{feff}'].contains(&rune.char)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped() {
        assert_eq!(string("é\n\u{200b}\"".as_bytes(), Charset::Printable), "\"é\\n\\u200b\\\"\"".as_bytes());
        assert_eq!(string("é".as_bytes(), Charset::Ascii), b"\"\\u00e9\"");
        assert_eq!(string(b"\xff", Charset::Ascii), b"\"\\xff\"");
    }
}
