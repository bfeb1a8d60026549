//! Names and paths of applications. They become parts of paths in policies, so wildcards and templates are refused.

use super::rule::Rule;

/// Name of an application. `<app>-ops` is the policy of its CI jobs.
pub(crate) const APP_NAME: Rule = (
    "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && !self.endsWith('-ops') && !(self in ['root', 'default', 'steamer', 'steamer-mark'])",
    "app must consist of lower-case letters, digits and -, start and end with a letter or a digit, not end with -ops (the policy of \
     the CI jobs of another application), and not be root, default, steamer or steamer-mark",
);

/// Path of a mount or folder in a policy.
pub(crate) const APP_PATH: Rule = (
    "self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$')",
    "must be a path of letters, digits, -, _ and ., without / at its start or end, such as teams/web",
);

/// Path with an optional `/*` at its end.
pub(crate) const APP_EXTRA_PATH: Rule = (
    "self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*(/[*])?$') && self.contains('/')",
    "path must be a path in a secrets engine of letters, digits, -, _ and ., such as kvv1/cloudflare/web or kvv1/cloudflare/web/*: * \
     is only allowed as the last segment, because web* also matches webapp",
);

/// Path in a secrets engine.
pub(crate) const APP_ENGINE_PATH: Rule = (
    "!self.lowerAscii().matches('(^|/)(sys|auth|identity|cubbyhole)(/|$)')",
    "path must not contain sys, auth, identity or cubbyhole as a segment: CI jobs get no rights to policies, roles, tokens and \
     identities; write a BaoPolicy and list it in extraPolicies",
);

/// Audience of the tokens of ServiceAccounts.
pub(crate) const APP_AUDIENCE: Rule = (
    "self.matches('^[!-~]+$') && !self.contains('*')",
    "audience must consist of visible ASCII characters without blanks and *",
);

/// Name of a role or database in PostgreSQL.
pub(crate) const DATABASE_IDENTIFIER: Rule = (
    "self.matches('^[A-Za-z_][A-Za-z0-9_-]*$') && !(self in ['none', 'public'])",
    "must be a name in PostgreSQL of letters, digits, _ and -, other than none and public",
);

/// Returns true for a name of an application that [`APP_NAME`] refuses. The names of objects pass no rule.
#[must_use]
pub fn is_no_app_name(name: &str) -> bool {
    let is_label =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let reserved = ["root", "default", "steamer", "steamer-mark"].contains(&name);
    let is_long = name.is_empty() || name.len() > 58;
    !is_label || reserved || is_long || name.starts_with('-') || name.ends_with('-') || name.ends_with("-ops")
}

/// Returns true for a mount that [`APP_PATH`] refuses.
#[must_use]
pub fn is_no_app_path(path: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let starts =
        |segment: &str| segment.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric() || it == b'_');
    path.split('/').any(|segment| !starts(segment) || !segment.bytes().all(is_character))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web", false)]
    #[case("web-2", false)]
    #[case("web-ops", true)]
    #[case("web-ops2", false)]
    #[case("web.api", true)]
    #[case("Web", true)]
    #[case("web_", true)]
    #[case("-web", true)]
    #[case("web-", true)]
    #[case("", true)]
    #[case("default", true)]
    #[case("root", true)]
    #[case("steamer", true)]
    fn a_name_that_could_be_another_policy_is_refused(#[case] name: &str, #[case] refused: bool) {
        assert_eq!(is_no_app_name(name), refused);
    }

    #[rstest]
    #[case("postgres", false)]
    #[case("teams/db", false)]
    #[case("+/db", true)]
    #[case("db*", true)]
    #[case("db/", true)]
    #[case("../db", true)]
    #[case("{{identity.entity.id}}", true)]
    fn a_path_with_a_wildcard_is_refused(#[case] path: &str, #[case] refused: bool) {
        assert_eq!(is_no_app_path(path), refused);
    }
}
