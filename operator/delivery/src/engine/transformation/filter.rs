//! Filter of the keys of a value.

use std::collections::BTreeMap;

use steamer_core::Error;
use steamer_template::{Patterns, Unusable};

/// Keys of a value that are written.
pub(super) struct Filter {
    /// Empty: all keys.
    includes: Patterns,
    excludes: Patterns,
}

impl Filter {
    /// Parses expressions, each with its origin.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the expression and its origin.
    pub(super) fn parse(
        includes: &BTreeMap<String, String>,
        excludes: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        Ok(Self { includes: patterns(includes, "includes")?, excludes: patterns(excludes, "excludes")? })
    }

    /// Returns true if a key is written. An exclusion has precedence.
    pub(super) fn accepts(&self, key: &str) -> bool {
        !self.excludes.is_match(key) && (self.includes.is_empty() || self.includes.is_match(key))
    }
}

fn patterns(expressions: &BTreeMap<String, String>, field: &str) -> Result<Patterns, Error> {
    Patterns::parse(expressions.keys().map(String::as_str)).map_err(|unusable| match unusable {
        Unusable::Invalid(position) => {
            let (expression, origin) = expressions.iter().nth(position).unzip();
            let [expression, origin] = [expression, origin].map(|text| text.map(String::as_str).unwrap_or_default());
            Error::Invalid(format!(
                "{origin}: `{expression}` in {field} is not a regular expression of Go: correct it"
            ))
        }
        Unusable::TooLarge => Error::Invalid(format!(
            "the regular expressions in {field} are too large when they are compiled together: use fewer or shorter ones, \
             and smaller repetitions"
        )),
    })
}
