//! Constraints such as `>= 1.2, < 2 || ^3`, as `Masterminds/semver` reads them.

use std::cmp::Ordering;

use crate::version::{self, Version, compare_prerelease};

/// Operators, the longest first.
const OPERATORS: [&str; 12] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^", ""];

/// Whether a version satisfies a constraint. Without a result, the constraint is invalid.
pub(crate) fn check(constraint: &str, version: &Version) -> Option<bool> {
    let alternatives = constraint.split("||").map(alternative).collect::<Option<Vec<_>>>()?;
    Some(alternatives.iter().any(|terms| terms.iter().all(|term| term.allows(version))))
}

/// A number that is missing or `x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wild {
    Major,
    Minor,
    Patch,
    Nothing,
}

struct Term {
    operator: &'static str,
    version: Version,
    wild: Wild,
}

/// Terms between commas or spaces.
fn alternative(text: &str) -> Option<Vec<Term>> {
    let text = ranges(text);
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (operator, after) =
            OPERATORS.iter().find_map(|operator| Some((*operator, rest.strip_prefix(operator)?)))?;
        let after = after.trim_start();
        let end = after.find(|char: char| char == ',' || char.is_whitespace() || "=!<>~^".contains(char));
        let (version, after) = after.split_at(end.unwrap_or(after.len()));
        terms.push(term(operator, version)?);
        let spaced = after.trim_start();
        if spaced.is_empty() {
            return Some(terms);
        }
        let separated = spaced.len() < after.len() || spaced.starts_with(',');
        rest = separated.then(|| spaced.strip_prefix(',').unwrap_or(spaced).trim_start())?;
        if rest.is_empty() {
            return None;
        }
    }
}

/// `1.0 - 2.0` as two terms.
fn ranges(text: &str) -> String {
    match text.split_once(" - ") {
        Some((low, high)) => format!(">= {}, <= {}", low.trim(), high.trim()),
        None => text.to_owned(),
    }
}

fn term(operator: &'static str, text: &str) -> Option<Term> {
    let parts = version::parts(text)?;
    let is_wild = |number: Option<&&str>| number.is_none_or(|number| matches!(*number, "x" | "X" | "*"));
    let numbers = &parts.numbers;
    let (kept, wild) = match [0, 1, 2].into_iter().find(|index| is_wild(numbers.get(*index))) {
        Some(0) => (0, Wild::Major),
        Some(1) => (1, Wild::Minor),
        Some(_) => (2, Wild::Patch),
        None => (3, Wild::Nothing),
    };
    let known = numbers[..kept].iter().copied().chain(std::iter::repeat("0"));
    let mut normal: String = known.take(3).collect::<Vec<_>>().join(".");
    if !parts.prerelease.is_empty() {
        normal = format!("{normal}-{}", parts.prerelease);
    }
    Some(Term { operator, version: Version::parse(&normal)?, wild })
}

impl Term {
    fn allows(&self, version: &Version) -> bool {
        let hidden = !version.prerelease.is_empty() && self.version.prerelease.is_empty();
        if hidden && !(self.operator == "!=" && self.wild == Wild::Nothing) {
            return false;
        }
        let order = version.compare(&self.version);
        match self.operator {
            "!=" => self.differs(version),
            ">" => self.greater(version),
            "<" => order == Ordering::Less,
            ">=" | "=>" => order != Ordering::Less,
            "<=" | "=<" => self.at_most(version),
            "^" => order != Ordering::Less && self.caret(version),
            "~" | "~>" => self.tilde(version),
            _ if self.wild == Wild::Nothing => order == Ordering::Equal,
            _ => self.tilde(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let ([major, minor, _], own) = (version.numbers, self.version.numbers);
        match self.wild {
            Wild::Nothing => version.compare(&self.version) != Ordering::Equal,
            _ if own[0] != major => true,
            // `*` is compared like 0.0.x.
            Wild::Minor => false,
            _ if own[1] != minor => true,
            Wild::Patch => {
                compare_prerelease(&version.prerelease, &self.version.prerelease) != Ordering::Equal
            }
            Wild::Major => version.compare(&self.version) != Ordering::Equal,
        }
    }

    fn greater(&self, version: &Version) -> bool {
        let ([major, minor, _], own) = (version.numbers, self.version.numbers);
        match self.wild {
            Wild::Nothing => version.compare(&self.version) == Ordering::Greater,
            _ if major != own[0] => major > own[0],
            Wild::Minor => false,
            Wild::Patch => minor > own[1],
            Wild::Major => version.compare(&self.version) == Ordering::Greater,
        }
    }

    fn at_most(&self, version: &Version) -> bool {
        let ([major, minor, _], own) = (version.numbers, self.version.numbers);
        match self.wild {
            Wild::Nothing => version.compare(&self.version) != Ordering::Greater,
            Wild::Minor => major <= own[0],
            _ => major < own[0] || (major == own[0] && minor <= own[1]),
        }
    }

    fn tilde(&self, version: &Version) -> bool {
        if version.compare(&self.version) == Ordering::Less {
            return false;
        }
        let exact = matches!(self.wild, Wild::Nothing | Wild::Major);
        if self.version.numbers == [0, 0, 0] && exact {
            return true;
        }
        let same_minor = self.wild == Wild::Minor || version.numbers[1] == self.version.numbers[1];
        version.numbers[0] == self.version.numbers[0] && same_minor
    }

    fn caret(&self, version: &Version) -> bool {
        let ([major, minor, patch], own) = (version.numbers, self.version.numbers);
        if own[0] > 0 || self.wild == Wild::Minor {
            return major == own[0];
        }
        if own[1] > 0 || self.wild == Wild::Patch {
            return major == 0 && minor == own[1];
        }
        major == 0 && minor == 0 && patch == own[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("^1.2", "1.9.0", Some(true))]
    #[case("~1.2.0", "1.3.0", Some(false))]
    #[case(">= 1.0, < 2.0.0", "1.2.3", Some(true))]
    #[case("1.0 - 2.0", "2.0.0", Some(true))]
    #[case("^0.3 || >3", "0.3.9", Some(true))]
    #[case("*", "2.0.0-beta", Some(false))]
    #[case("bad", "1.0.0", None)]
    fn constraints_select_versions(
        #[case] constraint: &str,
        #[case] version: &str,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(check(constraint, &Version::parse(version).unwrap()), expected);
    }
}
