//! Regular expressions in Go's syntax.

use regex::bytes::{Regex, RegexBuilder};

use crate::pattern;

/// Largest compiled expression, in bytes.
const SIZE: usize = 1 << 20;

/// A regular expression in Go's syntax, for filters of keys.
///
/// ```
/// let pattern = steamer_template::Pattern::parse(r"^db_\d+$").ok_or("invalid")?;
/// assert!(pattern.is_match("db_1") && !pattern.is_match("db_x"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Parses an expression. `None` if Go refuses it, or if it is too large.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        compile(text).map(Self)
    }

    /// Returns true if the expression matches any part of a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

/// The compiled expression. `None` if Go refuses it, or if it is too large.
pub(crate) fn compile(text: &str) -> Option<Regex> {
    let translated = pattern::translate(text)?;
    RegexBuilder::new(&translated).size_limit(SIZE).dfa_size_limit(SIZE).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_part_unless_it_has_anchors() {
        let matches = |pattern: &str, text: &str| Pattern::parse(pattern).map(|found| found.is_match(text));
        assert_eq!(matches("b", "abc"), Some(true));
        assert_eq!(matches("^b$", "abc"), Some(false));
        assert_eq!(matches(r"\d", "٣"), Some(false), "digits are ASCII, as in Go");
        assert_eq!(matches("(a", "a"), None);
        assert_eq!(matches("(?=a)", "a"), None);
    }
}
