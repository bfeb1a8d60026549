//! Names of keys: replacements by regular expressions and templates, and characters that a Secret accepts.

use steamer_api::Rewrite;
use steamer_core::Error;
use steamer_template::{Expression, Limits, Template, Unusable, Value};

/// Longest name, in bytes.
const LONGEST: usize = 1024;
/// Most bytes of all names of a source that are rewritten.
const TOTAL: usize = 32 << 10;

/// Steps of a template for one name.
const STEPS: u64 = 20_000;
/// Steps of the templates for all names of an object. They run on the asynchronous runtime.
const ALL_STEPS: u64 = 500_000;

/// Steps that the templates for all names of an object share.
pub(crate) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(ALL_STEPS)
    }
}

/// Replacements in names, in order.
pub(crate) struct Naming<'a> {
    rewrites: Vec<Step<'a>>,
    left: usize,
}

enum Step<'a> {
    Expression(Expression, &'a str),
    Template(Template),
}

impl<'a> Naming<'a> {
    /// Compiles the replacements. `field`: where the spec contains them.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the expression, or the position in the template.
    pub(crate) fn parse(rewrite: &'a [Rewrite], field: &str) -> Result<Self, Error> {
        let rewrites = rewrite.iter().map(|rewrite| Step::parse(rewrite, field)).collect::<Result<_, _>>()?;
        Ok(Self { rewrites, left: TOTAL })
    }

    /// Continues with another source, whose names are bounded on their own.
    pub(crate) fn restart(&mut self) {
        self.left = TOTAL;
    }

    /// The new name. `None` if it is too long, if the names of the source are, if a template fails, or if the budget is used up.
    pub(crate) fn rewritten(&mut self, name: &str, budget: &mut Budget) -> Option<String> {
        if self.rewrites.is_empty() {
            return Some(name.to_owned());
        }
        self.left = self.left.checked_sub(name.len()).filter(|_| name.len() <= LONGEST)?;
        self.rewrites.iter().try_fold(name.to_owned(), |name, step| step.replaced(name, budget))
    }
}

impl<'a> Step<'a> {
    fn parse(rewrite: &'a Rewrite, field: &str) -> Result<Self, Error> {
        let Rewrite { source, target, template } = rewrite;
        match (source, target, template) {
            (Some(source), Some(target), None) => {
                Ok(Self::Expression(expression(source, field, "source of rewrite")?, target))
            }
            (None, None, Some(text)) => match Template::parse("rewrite", text) {
                Ok(template) => Ok(Self::Template(template)),
                Err(error) => Err(Error::Invalid(format!("{field}: {error}"))),
            },
            _ => Err(Error::Invalid(format!(
                "{field}: a rewrite has source and target, or only template: correct it"
            ))),
        }
    }

    fn replaced(&self, name: String, budget: &mut Budget) -> Option<String> {
        match self {
            Self::Expression(source, target) => source.replace(&name, target, LONGEST),
            Self::Template(template) => {
                let limits = Limits { steps: STEPS.min(budget.0), output: LONGEST, ..Limits::default() };
                let value = Value::map([("value", Value::from(name))]);
                let (bytes, steps) = template.render_counted(&value, &limits).ok()?;
                budget.0 = budget.0.saturating_sub(steps);
                String::from_utf8(bytes).ok()
            }
        }
    }
}

/// A compiled expression of a field.
///
/// # Errors
/// [`Error::Invalid`] names the expression and the field.
pub(crate) fn expression(text: &str, place: &str, field: &str) -> Result<Expression, Error> {
    Expression::parse(text).map_err(|unusable| {
        Error::Invalid(match unusable {
            Unusable::Invalid(_) => {
                format!("{place}: `{text}` in {field} is not a regular expression of Go: correct it")
            }
            Unusable::TooLarge => format!(
                "{place}: `{text}` in {field} is too large when it is compiled: use smaller repetitions and classes"
            ),
        })
    })
}

/// The name with `_` for each character that a key of a Secret cannot contain.
pub(crate) fn accepted(name: &str) -> String {
    let accepted = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    name.chars().map(|character| if accepted(character) { character } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(source: &str, target: &str) -> Rewrite {
        Rewrite { source: Some(source.to_owned()), target: Some(target.to_owned()), template: None }
    }

    fn template(text: &str) -> Rewrite {
        Rewrite { template: Some(text.to_owned()), ..Rewrite::default() }
    }

    fn rewritten(naming: &mut Naming<'_>, name: &str) -> Option<String> {
        naming.rewritten(name, &mut Budget::default())
    }

    #[test]
    fn the_names_of_an_object_share_the_steps_of_templates() {
        let (rewrites, mut budget) = ([template("{{ range 1000 }}{{ end }}{{ .value }}")], Budget::default());
        let mut naming = Naming::parse(&rewrites, "sources").unwrap();
        let named = (0..1000).filter_map(|_| naming.rewritten("a", &mut budget)).count();
        assert!((1..=500).contains(&named), "{named}");
        let mut another = Naming::parse(&rewrites, "sources").unwrap();
        assert_eq!(another.rewritten("a", &mut budget), None);
    }

    #[test]
    fn replacements_are_applied_in_order() {
        let rewrites = [rewrite("^app-", ""), rewrite("-", "_"), rewrite("^(.*)$", "APP_$1")];
        let mut naming = Naming::parse(&rewrites, "sources").unwrap();
        assert_eq!(rewritten(&mut naming, "app-db-user").as_deref(), Some("APP_db_user"));
        assert_eq!(rewritten(&mut naming, "x").as_deref(), Some("APP_x"));
        assert_eq!(
            rewritten(&mut Naming::parse(&[], "sources").unwrap(), &"x".repeat(5000)).map(|name| name.len()),
            Some(5000)
        );
    }

    #[test]
    fn a_template_replaces_a_name() {
        let rewrites = [rewrite("^app-", ""), template(r#"{{ .value | upper | replace "-" "_" }}"#)];
        let mut naming = Naming::parse(&rewrites, "sources").unwrap();
        assert_eq!(rewritten(&mut naming, "app-db-user").as_deref(), Some("DB_USER"));
        for text in ["{{ fail .value }}", r#"{{ repeat 2000 .value }}"#, "{{ range 1000000 }}{{ end }}"] {
            let rewrites = [template(text)];
            let mut naming = Naming::parse(&rewrites, "sources").unwrap();
            assert_eq!(rewritten(&mut naming, "a"), None, "{text}");
        }
    }

    #[test]
    fn a_template_that_cannot_be_parsed_is_named_and_a_mixture_is_refused() {
        let error = |rewrite| Naming::parse(&[rewrite], "spec.data").err().unwrap().to_string();
        assert!(
            error(template("{{ .value | nope }}")).starts_with("spec.data: template \"rewrite\", line 1")
        );
        let mixture = Rewrite { template: Some("x".to_owned()), ..rewrite("a", "b") };
        assert!(
            error(mixture).contains("or only template")
                && error(Rewrite::default()).contains("or only template")
        );
    }

    #[test]
    fn names_are_bounded_one_by_one_and_together() {
        let doubled = [rewrite("^(.*)$", "$1$1")];
        let mut naming = Naming::parse(&doubled, "sources").unwrap();
        assert_eq!(rewritten(&mut naming, &"x".repeat(512)).map(|name| name.len()), Some(1024));
        assert_eq!(rewritten(&mut naming, &"x".repeat(513)), None);
        let many = (0..100).filter_map(|_| rewritten(&mut naming, &"x".repeat(512))).count();
        assert!(many < TOTAL / 512, "{many}");
    }

    #[test]
    fn an_expression_that_cannot_be_used_is_named() {
        for (source, part) in [("(a", "`(a` in source of rewrite is not"), ("([a-z]?){500}", "too large")] {
            let error = Naming::parse(&[rewrite(source, "")], "sources").err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_path_becomes_a_key_of_a_secret() {
        assert_eq!(accepted("team/db user.v-1_ü"), "team_db_user.v-1__");
    }
}
