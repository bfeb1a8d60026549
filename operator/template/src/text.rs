//! Strings of Go: bytes that are usually, but not always, UTF-8.

use std::borrow::Borrow;
use std::ops::Deref;
use std::rc::Rc;

/// An immutable string that is cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Text(Rc<[u8]>);

impl Text {
    /// The text with U+FFFD instead of each sequence of bytes that is not UTF-8.
    pub(crate) fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// The characters of `bytes` as Go's `range` sees them: a byte that is not UTF-8 is one U+FFFD.
pub(crate) fn runes(bytes: &[u8]) -> Runes<'_> {
    Runes { rest: bytes, offset: 0 }
}

/// A character with its position and its length in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Rune {
    pub(crate) at: usize,
    pub(crate) size: usize,
    pub(crate) char: char,
}

impl Rune {
    /// Whether the character stands for a byte that is not UTF-8.
    pub(crate) fn is_invalid(self) -> bool {
        self.char == char::REPLACEMENT_CHARACTER && self.size == 1
    }
}

/// Iterator of [`runes`].
pub(crate) struct Runes<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl Iterator for Runes<'_> {
    type Item = Rune;

    fn next(&mut self) -> Option<Rune> {
        let first = *self.rest.first()?;
        let length = match first {
            0..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 0,
        };
        let decoded = self.rest.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let (char, size) = match decoded.and_then(|text| text.chars().next()) {
            Some(char) => (char, length),
            None => (char::REPLACEMENT_CHARACTER, 1),
        };
        let rune = Rune { at: self.offset, size, char };
        self.rest = &self.rest[size..];
        self.offset += size;
        Some(rune)
    }
}

/// Appends `char` as UTF-8.
pub(crate) fn push(bytes: &mut Vec<u8>, char: char) {
    bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Go's `unicode.IsPrint`.
pub(crate) fn is_print(char: char) -> bool {
    if char.is_ascii() {
        return (' '..='~').contains(&char);
    }
    // Only the first character of a string is escaped as a combining mark.
    let probe: String = ['a', char].iter().collect();
    probe.escape_debug().count() == 2
}

/// Go's `unicode.IsSpace`.
pub(crate) fn is_space(char: char) -> bool {
    char.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_byte_is_one_rune() {
        let found: Vec<(char, usize)> = runes(b"a\xffz\xe4\xb8").map(|rune| (rune.char, rune.size)).collect();
        assert_eq!(found, [('a', 1), ('\u{fffd}', 1), ('z', 1), ('\u{fffd}', 1), ('\u{fffd}', 1)]);
    }

    #[test]
    fn printable_characters_are_those_of_go() {
        assert!(is_print('é') && is_print('世') && is_print('\u{301}'));
        assert!(!is_print('\u{a0}') && !is_print('\u{200b}') && !is_print('\u{7f}'));
    }
}
