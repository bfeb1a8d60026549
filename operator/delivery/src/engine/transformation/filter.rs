//! Filter of the keys of a value.

use std::collections::BTreeMap;

use steamer_core::Error;
use steamer_template::Pattern;

/// Keys of a value that are written.
pub(super) struct Filter {
    /// Empty: all keys.
    includes: Vec<Pattern>,
    excludes: Vec<Pattern>,
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
        let matches = |pattern: &Pattern| pattern.is_match(key);
        !self.excludes.iter().any(matches) && (self.includes.is_empty() || self.includes.iter().any(matches))
    }
}

fn patterns(expressions: &BTreeMap<String, String>, field: &str) -> Result<Vec<Pattern>, Error> {
    let parse = |(expression, origin): (&String, &String)| {
        Pattern::parse(expression).ok_or_else(|| {
            Error::Invalid(format!(
                "{origin}: `{expression}` in {field} is not a regular expression of Go: correct it"
            ))
        })
    };
    expressions.iter().map(parse).collect()
}
