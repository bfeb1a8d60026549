//! Regular expressions in Go's syntax.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::pattern;

/// Sizes of compiled expressions, in bytes. The last one is the largest that is allowed.
const SIZES: [usize; 3] = [8 << 10, 64 << 10, 512 << 10];
/// Largest compiled filter, in bytes: the sum of its expressions.
const FILTER_SIZE: usize = 512 << 10;
/// Largest compiled [`Expression`], in bytes.
const EXPRESSION_SIZE: usize = 32 << 10;
/// Bytes of a compiled expression for each of its states, at least.
const STATE: usize = 32;

/// Regular expressions in Go's syntax, for filters of keys.
///
/// ```
/// let patterns = steamer_template::Patterns::parse([r"^db_\d+$", "^user$"]).map_err(|_| "invalid")?;
/// assert!(patterns.is_match("db_1") && patterns.is_match("user") && !patterns.is_match("db_x"));
/// # Ok::<(), &str>(())
/// ```
pub struct Patterns(RegexSet);

/// Reason why a filter cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Go refuses the expression at this position, which starts at 0.
    Invalid(usize),
    /// The expressions together exceed 512 KiB when compiled.
    TooLarge,
}

impl Patterns {
    /// Compiles expressions together, so that their size is bounded however many there are.
    ///
    /// # Errors
    /// Returns [`Unusable`] if Go refuses an expression, or if the expressions are too large.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Unusable> {
        let translate = |(position, text)| translated(text).ok_or(Unusable::Invalid(position));
        let all = texts.into_iter().enumerate().map(translate).collect::<Result<Vec<_>, _>>()?;
        let set = RegexSetBuilder::new(all).size_limit(FILTER_SIZE).dfa_size_limit(FILTER_SIZE).build();
        set.map(Self).map_err(|_| Unusable::TooLarge)
    }

    /// Returns true if an expression matches any part of a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// Returns true if there is no expression.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A small regular expression in Go's syntax, for names.
///
/// ```
/// let expression = steamer_template::Expression::parse("^db-(.*)$").map_err(|_| "invalid")?;
/// assert!(expression.is_match("db-user"));
/// assert_eq!(expression.replace("db-user", "DB_$1", 64).as_deref(), Some("DB_user"));
/// # Ok::<(), &str>(())
/// ```
pub struct Expression(Regex);

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Returns [`Unusable`] if Go refuses the expression, or if it exceeds 32 KiB when compiled.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let translated = translated(text).ok_or(Unusable::Invalid(0))?;
        let mut builder = RegexBuilder::new(&translated);
        let built = builder.size_limit(EXPRESSION_SIZE).dfa_size_limit(EXPRESSION_SIZE).build();
        built.map(Self).map_err(|_| Unusable::TooLarge)
    }

    /// Returns true if the expression matches any part of a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// Replaces every match as Go's `ReplaceAllString`: `$1` and `${name}` in `target` are groups. Returns `None` if the result
    /// exceeds `limit` bytes.
    #[must_use]
    pub fn replace(&self, text: &str, target: &str, limit: usize) -> Option<String> {
        let (mut out, mut end) = (Vec::new(), 0);
        for groups in self.0.captures_iter(text.as_bytes()) {
            let found = groups.get(0)?;
            out.extend_from_slice(text.as_bytes().get(end..found.start())?);
            groups.expand(target.as_bytes(), &mut out);
            end = found.end();
            if out.len() > limit {
                return None;
            }
        }
        out.extend_from_slice(text.as_bytes().get(end..)?);
        String::from_utf8(out).ok().filter(|out| out.len() <= limit)
    }
}

/// The expression in the syntax of the `regex` crate. `None` if one of the two refuses it.
fn translated(text: &str) -> Option<String> {
    let translated = pattern::translate(text)?;
    // The smallest size: only the syntax matters here.
    match RegexBuilder::new(&translated).size_limit(SIZES[0]).build() {
        Err(regex::Error::Syntax(_)) => None,
        _ => Some(translated),
    }
}

/// A compiled expression and the bound of its size.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) regex: Regex,
    /// Bytes.
    size: usize,
}

impl Compiled {
    /// Memory of the expression and of its caches, in bytes.
    pub(crate) fn memory(&self) -> usize {
        2 * self.size
    }

    /// Operations that a search in a text can need: each state of the expression at each byte.
    pub(crate) fn work(&self, text: &[u8]) -> usize {
        (text.len() + 1).saturating_mul(self.size / STATE)
    }
}

/// The compiled expression. `None` if Go refuses it, or if it is too large.
pub(crate) fn compile(text: &str) -> Option<Compiled> {
    let translated = pattern::translate(text)?;
    SIZES.into_iter().find_map(|size| {
        let regex = RegexBuilder::new(&translated).size_limit(size).dfa_size_limit(size).build().ok()?;
        Some(Compiled { regex, size })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_part_unless_it_has_anchors() {
        let matches =
            |pattern: &str, text: &str| Patterns::parse([pattern]).map(|found| found.is_match(text));
        assert_eq!(matches("b", "abc"), Ok(true));
        assert_eq!(matches("^b$", "abc"), Ok(false));
        assert_eq!(matches(r"\d", "٣"), Ok(false), "digits are ASCII, as in Go");
        assert_eq!(matches("(a", "a"), Err(Unusable::Invalid(0)));
        assert_eq!(matches("(?=a)", "a"), Err(Unusable::Invalid(0)));
    }

    #[test]
    fn a_replacement_follows_go_and_is_bounded() {
        let replace = |expression: &str, text: &str, target: &str| {
            Expression::parse(expression).ok().and_then(|it| it.replace(text, target, 16))
        };
        assert_eq!(replace("^(.*)/(.*)$", "a/b", "${2}_$1").as_deref(), Some("b_a"));
        assert_eq!(replace("[^a-z]", "a/b-c", "_").as_deref(), Some("a_b_c"));
        assert_eq!(replace("a", "aa", "$1x").as_deref(), Some(""), "$1x is the group 1x, as in Go");
        assert_eq!(replace("x", "ü", "y").as_deref(), Some("ü"));
        assert_eq!(replace("a", "aaa", "123456"), None);
        assert_eq!(Expression::parse("(?=a)").err(), Some(Unusable::Invalid(0)));
        assert_eq!(Expression::parse("([a-z]?){500}").err(), Some(Unusable::TooLarge));
    }

    #[test]
    fn the_position_of_an_invalid_pattern_is_returned() {
        assert_eq!(Patterns::parse(["a", "b", "(c"]).err(), Some(Unusable::Invalid(2)));
    }

    #[test]
    fn many_patterns_have_the_same_bound_as_one() {
        let large = "[a-z]{500}".to_owned();
        assert!(Patterns::parse([large.as_str()]).is_ok());
        let many = vec![large; 64];
        assert_eq!(Patterns::parse(many.iter().map(String::as_str)).err(), Some(Unusable::TooLarge));
    }

    #[test]
    fn a_large_expression_costs_more_work_and_memory() {
        let [small, large] = ["a", "([a-z]?){500}"].map(|text| compile(text).expect("it compiles"));
        assert!(large.work(b"text") >= 8 * small.work(b"text"));
        assert!(large.memory() > small.memory());
        assert!(compile("(([a-z]?){500}){500}").is_none());
    }
}
