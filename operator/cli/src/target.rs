//! Names of objects on the command line, such as `secretsproject/web`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use anyhow::{Result, anyhow, bail};
use steamer_api::{KindId, definitions};

/// An object on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: KindId,
    pub(crate) name: String,
}

/// Parses `kind/name ...`, or `kind name ...`. A kind can have its plural, its short name, and the API group.
///
/// # Errors
/// When a text is not the name of an object.
pub(crate) fn targets(texts: &[String]) -> Result<Vec<Target>> {
    let target = |kind: &str, name: &str| {
        if name.is_empty() {
            bail!("{kind}/ lacks a name: write <kind>/<name>, such as secretsproject/web");
        }
        Ok(Target { kind: self::kind(kind)?, name: name.to_owned() })
    };
    match texts {
        [kind, names @ ..] if !kind.contains('/') => {
            if names.is_empty() {
                bail!("{kind} lacks a name: write <kind>/<name>, such as secretsproject/web");
            }
            names.iter().map(|name| target(kind, name)).collect()
        }
        several => {
            let parts = several.iter().map(|text| {
                text.split_once('/').map_or_else(
                    || {
                        Err(anyhow!(
                            "{text} is not an object: write <kind>/<name>, such as secretsproject/web"
                        ))
                    },
                    |(kind, name)| target(kind, name),
                )
            });
            parts.collect()
        }
    }
}

/// The name of an OpenBaoCluster, with or without the kind.
///
/// # Errors
/// When the kind is another one.
pub(crate) fn cluster_name(text: &str) -> Result<&str> {
    match text.split_once('/') {
        None => Ok(text),
        Some((kind, name)) if self::kind(kind)? == KindId::OpenBaoCluster => Ok(name),
        Some(_) => bail!("{text} is not an OpenBaoCluster: write its name, such as main"),
    }
}

/// The kind of a name in the singular, in the plural, or short.
///
/// # Errors
/// When Steamer has no such kind.
fn kind(text: &str) -> Result<KindId> {
    let name = text.to_lowercase();
    let name = name.strip_suffix(".steamer.dev").unwrap_or(&name);
    names().get(name).copied().ok_or_else(|| {
        let known: Vec<&str> = KindId::ALL.iter().map(|kind| kind.as_str()).collect();
        anyhow!("{text} is not a kind of Steamer: write one of {}", known.join(", "))
    })
}

fn names() -> &'static BTreeMap<String, KindId> {
    static NAMES: OnceLock<BTreeMap<String, KindId>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let of_kind = |definition: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
            let names = definition.spec.names;
            let kind = KindId::parse(&names.kind);
            let all = names.short_names.unwrap_or_default().into_iter().chain([names.plural, names.kind.to_lowercase()]);
            all.filter_map(move |name| kind.map(|kind| (name, kind))).collect::<Vec<_>>()
        };
        definitions().into_iter().flat_map(of_kind).collect()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn texts(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[rstest]
    #[case("secretsproject/web", "SecretsProject web")]
    #[case("SecretsProjects web shop", "SecretsProject web, SecretsProject shop")]
    #[case("bss/a obc/main", "BaoStaticSecret a, OpenBaoCluster main")]
    #[case("baopolicies.steamer.dev/a", "BaoPolicy a")]
    #[case("secretsproject", "secretsproject lacks a name: write <kind>/<name>, such as secretsproject/web")]
    #[case(
        "secretsproject/",
        "secretsproject/ lacks a name: write <kind>/<name>, such as secretsproject/web"
    )]
    #[case("bss/a b", "b is not an object: write <kind>/<name>, such as secretsproject/web")]
    fn objects_are_named_as_in_kubectl(#[case] line: &str, #[case] expected: &str) {
        let found = match targets(&texts(line)) {
            Ok(found) => {
                found.iter().map(|it| format!("{} {}", it.kind, it.name)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn an_unknown_kind_is_refused_with_those_that_exist() {
        let error = targets(&texts("secret/a")).unwrap_err().to_string();
        assert!(error.contains("secret is not a kind of Steamer: write one of OpenBaoCluster, "), "{error}");
    }

    #[test]
    fn a_cluster_has_a_name_with_or_without_its_kind() {
        assert_eq!(cluster_name("main").unwrap(), "main");
        assert_eq!(cluster_name("obc/main").unwrap(), "main");
        assert!(cluster_name("secretstenant/main").is_err());
    }
}
