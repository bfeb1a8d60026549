//! Semantic versions, as `Masterminds/semver` reads them.

use std::cmp::Ordering;
use std::fmt;

/// A version. Missing numbers are 0.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) numbers: [u64; 3],
    pub(crate) prerelease: String,
    pub(crate) metadata: String,
    pub(crate) original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if self.metadata.is_empty() { Ok(()) } else { write!(f, "+{}", self.metadata) }
    }
}

/// Numbers, prerelease and metadata of a text. The numbers are not checked.
pub(crate) struct Parts<'a> {
    pub(crate) numbers: Vec<&'a str>,
    pub(crate) prerelease: &'a str,
    pub(crate) metadata: &'a str,
}

/// Splits `v1.2.3-beta+build`.
pub(crate) fn parts(text: &str) -> Option<Parts<'_>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, metadata) = text.split_once('+').map_or((text, None), |(text, data)| (text, Some(data)));
    let (numbers, prerelease) = text.split_once('-').map_or((text, None), |(text, pre)| (text, Some(pre)));
    let valid = |part: Option<&str>| part.is_none_or(|part| part.split('.').all(is_identifier));
    let numbers: Vec<&str> = numbers.split('.').collect();
    let complete = numbers.len() <= 3 && numbers.iter().all(|number| !number.is_empty());
    (complete && valid(prerelease) && valid(metadata)).then(|| Parts {
        numbers,
        prerelease: prerelease.unwrap_or_default(),
        metadata: metadata.unwrap_or_default(),
    })
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = parts(text)?;
        let mut numbers = [0; 3];
        for (number, text) in numbers.iter_mut().zip(&parts.numbers) {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            *number = digits.then(|| text.parse().ok()).flatten()?;
        }
        let leading_zero = |part: &str| part.len() > 1 && part.starts_with('0') && is_number(part);
        if parts.prerelease.split('.').any(leading_zero) {
            return None;
        }
        Some(Self {
            numbers,
            prerelease: parts.prerelease.to_owned(),
            metadata: parts.metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// Order of precedence, without metadata.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_prerelease(&self.prerelease, &other.prerelease))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A release is later than its prereleases.
pub(crate) fn compare_prerelease(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => compare_identifiers(left, right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compare_identifiers(left: &str, right: &str) -> Ordering {
    match (left.parse::<u64>(), right.parse::<u64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_precedence() {
        let texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "v1.2", "2"];
        let versions: Vec<Version> = texts.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(versions.windows(2).all(|pair| pair[0].compare(&pair[1]) == Ordering::Less));
    }

    #[test]
    fn invalid_versions_are_refused() {
        for text in ["", "x", "1.2.3.4", "1.2.3-01", "1.2.3-", "1..2", "1.2.3+a_b"] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }
}
