//! Patterns for names of environments and branches.

use std::fmt;

/// A pattern for names of environments and branches: `*` matches any text, including `/` and line breaks; every other
/// character matches itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern. None for a text of `*` only, which matches every name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let narrows = text.chars().any(|character| character != '*');
        narrows.then(|| Self(text.to_owned()))
    }

    /// The text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern as a regular expression (RE2). Every character other than ASCII letters and digits is escaped by its
    /// number, so that it can neither end a string literal nor have a meaning in RE2.
    #[must_use]
    pub fn regex(&self) -> String {
        let mut regex = String::from("^(?s:");
        let mut last = ' ';
        for character in self.0.chars() {
            match character {
                '*' if last == '*' => {}
                '*' => regex.push_str(".*"),
                other => regex.push_str(&escaped(other)),
            }
            last = character;
        }
        regex.push_str(")$");
        regex
    }

    /// Returns true if the pattern matches a name. Reference implementation for the CEL program in OpenBao.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A regular expression (RE2) for exactly these texts.
pub(super) fn any_of<T: ToString>(texts: impl IntoIterator<Item = T>) -> String {
    let literal = |text: T| text.to_string().chars().map(escaped).collect::<String>();
    let literals: Vec<String> = texts.into_iter().map(literal).collect();
    format!("^(?s:{})$", literals.join("|"))
}

/// A character that matches itself.
fn escaped(character: char) -> String {
    if character.is_ascii_alphanumeric() {
        character.to_string()
    } else {
        format!("\\x{{{:x}}}", u32::from(character))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("main", "main", true)]
    #[case("main", "maOn", false)]
    #[case("release/*", "release/", true)]
    #[case("release/*", "release/1/2", true)]
    #[case("release/*", "release", false)]
    #[case("*-prod", "eu-prod", true)]
    #[case("a*b*c", "a\nbxbc", true)]
    #[case("a*b*c", "acb", false)]
    #[case("a*a", "a", false)]
    #[case("a.c", "abc", false)]
    #[case("ß*", "ßx", true)]
    fn a_star_matches_any_text_and_the_rest_is_literal(
        #[case] pattern: &str,
        #[case] name: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(Pattern::new(pattern).unwrap().matches(name), expected);
    }

    #[test]
    fn a_list_of_texts_has_no_special_characters() {
        assert_eq!(any_of(["push", "a|b)"]), r"^(?s:push|a\x{7c}b\x{29})$");
        assert_eq!(any_of([1, 23]), "^(?s:1|23)$");
    }

    #[test]
    fn a_pattern_of_stars_matches_everything() {
        assert_eq!(Pattern::new("*"), None);
        assert_eq!(Pattern::new("**"), None);
    }

    #[test]
    fn no_character_of_a_pattern_has_a_meaning_in_the_program() {
        let regex = Pattern::new("a\"'\\.(*)\n{}").unwrap().regex();
        assert_eq!(regex, r"^(?s:a\x{22}\x{27}\x{5c}\x{2e}\x{28}.*\x{29}\x{a}\x{7b}\x{7d})$");
    }
}
