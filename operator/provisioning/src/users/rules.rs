//! Verbs as rules of policies.

use std::collections::BTreeSet;

use steamer_api::Verb;
use steamer_core::layout::DATA_ROOT;

/// Login whose tokens have a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Login {
    /// Management of secrets: `user_jwt`.
    User,
    /// Reading of values: `api_jwt`.
    Api,
}

/// The login that gives a verb.
pub(super) fn login(verb: Verb) -> Login {
    match verb {
        Verb::ReadMetadata | Verb::Create | Verb::Write | Verb::Delete => Login::User,
        Verb::ReadValue => Login::Api,
    }
}

/// The logins that give verbs.
pub(crate) fn logins(verbs: impl IntoIterator<Item = Verb>) -> BTreeSet<Login> {
    verbs.into_iter().map(login).collect()
}

/// Returns true for a verb that creates or changes values.
pub(super) fn writes(verb: Verb) -> bool {
    matches!(verb, Verb::Create | Verb::Write)
}

/// A rule: path in the engine, and capabilities.
type Rule = (String, &'static [&'static str]);

/// The rules of a verb for one secret, or for all of them. The login of users never reads a value: no rule of its verbs
/// contains `read` for a path below `data`.
pub(super) fn rules(verb: Verb, secret: Option<&str>) -> Vec<Rule> {
    let name = secret.unwrap_or("*");
    let data = format!("data/{DATA_ROOT}/{name}");
    let metadata = format!("metadata/{DATA_ROOT}/{name}");
    match (verb, secret) {
        // OpenBao lists names below `metadata/` and `detailed-metadata/` only.
        (Verb::ReadMetadata, None) => vec![
            (metadata, &["list", "read", "scan"]),
            (format!("detailed-metadata/{DATA_ROOT}/{name}"), &["list"]),
        ],
        (Verb::ReadMetadata, Some(_)) => vec![(metadata, &["read"])],
        (Verb::Create, _) => vec![(data, &["create"]), (metadata, &["create"])],
        (Verb::Write, _) => vec![(data, &["create", "update"]), (metadata, &["create", "update"])],
        (Verb::Delete, _) => vec![(data, &["delete"]), (metadata, &["delete"])],
        (Verb::ReadValue, None) => vec![(data, &["read"]), (metadata, &["list"])],
        (Verb::ReadValue, Some(_)) => vec![(data, &["read"])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBS: [Verb; 5] = [Verb::ReadMetadata, Verb::Create, Verb::Write, Verb::Delete, Verb::ReadValue];

    #[test]
    fn verbs_have_these_rules() {
        let all = VERBS.iter().flat_map(|verb| [None, Some("DB")].map(|secret| (*verb, secret)));
        let lines = all.map(|(verb, secret)| {
            let rules = rules(verb, secret);
            let rules = rules.iter().map(|(path, can)| format!("{path}: {}", can.join(", ")));
            format!("{verb:?} by {:?}: {}", login(verb), rules.collect::<Vec<_>>().join("; "))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn the_login_of_users_never_reads_a_value() {
        for verb in VERBS.into_iter().filter(|verb| login(*verb) == Login::User) {
            for (path, capabilities) in [None, Some("DB")].into_iter().flat_map(|secret| rules(verb, secret))
            {
                assert!(!path.starts_with("data/") || !capabilities.contains(&"read"), "{verb:?} {path}");
            }
        }
    }
}
