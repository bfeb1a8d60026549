//! Flags, width and precision of a directive such as `%-8.3f`.

use crate::text;

#[derive(Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) width: Option<usize>,
    pub(crate) precision: Option<usize>,
    pub(crate) plus: bool,
    pub(crate) minus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    /// `%#v`
    pub(crate) sharp_v: bool,
}

impl Flags {
    /// Appends `text`, padded to the width.
    pub(crate) fn pad(&self, out: &mut Vec<u8>, text: &[u8]) {
        let missing = self.width.map_or(0, |width| width.saturating_sub(text::runes(text).count()));
        if !self.minus {
            self.fill(out, missing);
        }
        out.extend_from_slice(text);
        if self.minus {
            self.fill(out, missing);
        }
    }

    pub(crate) fn pad_with_spaces(mut self, out: &mut Vec<u8>, text: &[u8]) {
        self.zero = false;
        self.pad(out, text);
    }

    pub(crate) fn fill(&self, out: &mut Vec<u8>, count: usize) {
        let byte = if self.zero && !self.minus { b'0' } else { b' ' };
        out.resize(out.len() + count, byte);
    }

    /// The first characters of `text`, as many as the precision.
    pub(crate) fn truncate<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let Some(precision) = self.precision else { return text };
        text::runes(text).nth(precision).map_or(text, |rune| &text[..rune.at])
    }

    /// Bytes that the width and the precision can add.
    pub(crate) fn size(&self) -> usize {
        self.width.unwrap_or(0) + self.precision.unwrap_or(0)
    }
}
