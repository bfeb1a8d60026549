//! Names of keys: replacements by regular expressions, and characters that a Secret accepts.

use steamer_api::Rewrite;
use steamer_core::Error;
use steamer_template::{Expression, Unusable};

/// Longest name, in bytes.
const LONGEST: usize = 1024;
/// Most bytes of all names of a source that are rewritten.
const TOTAL: usize = 32 << 10;

/// Replacements in names, in order.
pub(super) struct Naming<'a> {
    rewrites: Vec<(Expression, &'a str)>,
    left: usize,
}

impl<'a> Naming<'a> {
    /// Compiles the replacements.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the expression.
    pub(super) fn parse(rewrite: &'a [Rewrite]) -> Result<Self, Error> {
        let parsed = |Rewrite { source, target }: &'a Rewrite| {
            Ok((expression(source, "source of rewrite")?, target.as_str()))
        };
        Ok(Self { rewrites: rewrite.iter().map(parsed).collect::<Result<_, Error>>()?, left: TOTAL })
    }

    /// The new name. `None` if it is too long, or if the names of the source are.
    pub(super) fn rewritten(&mut self, name: &str) -> Option<String> {
        if self.rewrites.is_empty() {
            return Some(name.to_owned());
        }
        self.left = self.left.checked_sub(name.len()).filter(|_| name.len() <= LONGEST)?;
        let replaced =
            |name: String, (source, target): &(Expression, &str)| source.replace(&name, target, LONGEST);
        self.rewrites.iter().try_fold(name.to_owned(), replaced)
    }
}

/// A compiled expression of a field.
///
/// # Errors
/// [`Error::Invalid`] names the expression and the field.
pub(super) fn expression(text: &str, field: &str) -> Result<Expression, Error> {
    Expression::parse(text).map_err(|unusable| {
        Error::Invalid(match unusable {
            Unusable::Invalid(_) => {
                format!("sources: `{text}` in {field} is not a regular expression of Go: correct it")
            }
            Unusable::TooLarge => format!(
                "sources: `{text}` in {field} is too large when it is compiled: use smaller repetitions and classes"
            ),
        })
    })
}

/// The name with `_` for each character that a key of a Secret cannot contain.
pub(super) fn accepted(name: &str) -> String {
    let accepted = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    name.chars().map(|character| if accepted(character) { character } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(source: &str, target: &str) -> Rewrite {
        Rewrite { source: source.to_owned(), target: target.to_owned() }
    }

    #[test]
    fn replacements_are_applied_in_order() {
        let rewrites = [rewrite("^app-", ""), rewrite("-", "_"), rewrite("^(.*)$", "APP_$1")];
        let mut naming = Naming::parse(&rewrites).unwrap();
        assert_eq!(naming.rewritten("app-db-user").as_deref(), Some("APP_db_user"));
        assert_eq!(naming.rewritten("x").as_deref(), Some("APP_x"));
        assert_eq!(
            Naming::parse(&[]).unwrap().rewritten(&"x".repeat(5000)).map(|name| name.len()),
            Some(5000)
        );
    }

    #[test]
    fn names_are_bounded_one_by_one_and_together() {
        let doubled = [rewrite("^(.*)$", "$1$1")];
        let mut naming = Naming::parse(&doubled).unwrap();
        assert_eq!(naming.rewritten(&"x".repeat(512)).map(|name| name.len()), Some(1024));
        assert_eq!(naming.rewritten(&"x".repeat(513)), None);
        let many = (0..100).filter_map(|_| naming.rewritten(&"x".repeat(512))).count();
        assert!(many < TOTAL / 512, "{many}");
    }

    #[test]
    fn an_expression_that_cannot_be_used_is_named() {
        for (source, part) in [("(a", "`(a` in source of rewrite is not"), ("([a-z]?){500}", "too large")] {
            let error = Naming::parse(&[rewrite(source, "")]).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_path_becomes_a_key_of_a_secret() {
        assert_eq!(accepted("team/db user.v-1_ü"), "team_db_user.v-1__");
    }
}
