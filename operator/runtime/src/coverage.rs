//! Namespaces that watches cover.

use std::collections::BTreeSet;

use k8s_openapi::NamespaceResourceScope;
use kube::api::Api;
use kube::{Client, Resource};

use crate::listing::Part;

/// Namespaces that a watch covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// All namespaces. Requires permissions for the whole cluster.
    #[default]
    All,
    /// These namespaces. Requires permissions in each of them only.
    Only(BTreeSet<String>),
}

impl Coverage {
    /// The namespaces of a setting. An empty list means all namespaces.
    #[must_use]
    pub fn of(namespaces: &[String]) -> Self {
        let some: BTreeSet<String> = trimmed(namespaces).collect();
        if some.is_empty() { Self::All } else { Self::Only(some) }
    }

    /// These and additional namespaces.
    #[must_use]
    pub fn with(self, namespaces: &[String]) -> Self {
        match self {
            Self::All => Self::All,
            Self::Only(some) => Self::Only(some.into_iter().chain(trimmed(namespaces)).collect()),
        }
    }

    /// The parts of a watch that cover the namespaces.
    #[must_use]
    pub fn parts<K>(&self, client: &Client) -> Vec<Part<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::All => vec![Part::of_all(Api::all(client.clone()))],
            Self::Only(some) => some
                .iter()
                .map(|name| Part {
                    namespace: Some(name.clone()),
                    api: Api::namespaced(client.clone(), name),
                })
                .collect(),
        }
    }
}

fn trimmed(namespaces: &[String]) -> impl Iterator<Item = String> {
    namespaces.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[rstest]
    #[case("", "", None)]
    #[case("", "own", None)]
    #[case("b a", "", Some("a b"))]
    #[case("b a", "own a", Some("a b own"))]
    fn an_empty_list_covers_everything_and_is_not_narrowed(
        #[case] chosen: &str,
        #[case] more: &str,
        #[case] expected: Option<&str>,
    ) {
        let expected =
            expected.map_or(Coverage::All, |text| Coverage::Only(names(text).into_iter().collect()));
        assert_eq!(Coverage::of(&names(chosen)).with(&names(more)), expected);
    }
}
