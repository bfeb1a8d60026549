//! Command `steamer openbao-policy`.

use anyhow::ensure;
use steamer_cluster::operator_policy::{self, PolicyScope};

use crate::args::{Policy, Scope};

/// The policy that the arguments describe.
pub(crate) fn text(arguments: &Policy) -> anyhow::Result<String> {
    let scope = scope(arguments)?;
    Ok(if arguments.managed { operator_policy::managed_text(&scope) } else { operator_policy::text(&scope) })
}

fn scope(arguments: &Policy) -> anyhow::Result<PolicyScope> {
    let namespaces = &arguments.namespaces;
    ensure!(
        namespaces.is_empty() || arguments.scope == Scope::Namespaces,
        "--namespaces requires --scope Namespaces"
    );
    for namespace in namespaces {
        ensure!(
            is_listable(namespace),
            "`{namespace}` is not a namespace that operatorNamespaces can contain: write a path such as team-a/apps"
        );
    }
    Ok(match arguments.scope {
        Scope::Tenants => PolicyScope::Tenants,
        Scope::Namespaces => PolicyScope::Namespaces(namespaces.clone()),
        Scope::Root => PolicyScope::Root,
    })
}

/// Returns whether a path selects one namespace below the root namespace. `operatorNamespaces` has the same rules.
fn is_listable(namespace: &str) -> bool {
    let reserved = ["", ".", "..", "root", "sys", "audit", "auth", "cubbyhole", "identity"];
    let has_meaning = |character: char| character.is_control() || "+*{}".contains(character);
    !namespace.contains(has_meaning)
        && !namespace.split('/').any(|segment| reserved.contains(&segment))
        && namespace.trim_matches(' ') == namespace
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn printed(options: &[&str]) -> Result<String, String> {
        let words = ["steamer", "openbao-policy"].iter().chain(options);
        let arguments = Args::try_parse_from(words).map_err(|error| error.to_string())?;
        let Command::OpenbaoPolicy(arguments) = arguments.command else { panic!("another command") };
        text(&arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn the_policy_of_each_scope_is_printed() {
        let listed = PolicyScope::Namespaces(vec!["a".to_owned(), "b/c".to_owned()]);
        assert_eq!(printed(&[]), Ok(operator_policy::text(&PolicyScope::Tenants)));
        assert_eq!(printed(&["--scope", "Root"]), Ok(operator_policy::text(&PolicyScope::Root)));
        assert_eq!(
            printed(&["--managed", "--scope", "Namespaces", "--namespaces", "a,b/c"]),
            Ok(operator_policy::managed_text(&listed))
        );
    }

    #[test]
    fn mistakes_are_refused() {
        let required = "--namespaces requires --scope Namespaces";
        let mistakes: [(&[&str], &str); 7] = [
            (&["--scope", "Namespaces"], "--namespaces"),
            (&["--namespaces", "a"], required),
            (&["--scope", "Root", "--namespaces", "a"], required),
            (&["--scope", "Namespaces", "--namespaces", "a/+"], "`a/+` is not a namespace"),
            (&["--scope", "Namespaces", "--namespaces", "a,/"], "`/` is not a namespace"),
            (&["--scope", "Namespaces", "--namespaces", "auth"], "`auth` is not a namespace"),
            (&["--scope", "Galaxy"], "invalid value"),
        ];
        for (options, expected) in mistakes {
            let refusal = printed(options).unwrap_err();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }
}
