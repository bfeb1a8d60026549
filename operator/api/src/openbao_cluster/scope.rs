//! OpenBao namespaces in which objects of a cluster can create resources.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OpenBaoClusterSpec;

/// Scope of the operator's policy in OpenBao.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatorScope {
    /// Namespaces of tenants only.
    #[default]
    Tenants,
    /// Also the listed namespaces and the namespaces below them.
    Namespaces,
    /// Every namespace, including the root namespace.
    Root,
}

impl OpenBaoClusterSpec {
    /// Returns whether objects of this cluster may create resources in an OpenBao namespace. `namespace` is a path from
    /// the root namespace of the cluster, which is empty.
    #[must_use]
    pub fn scope_allows(&self, namespace: &str) -> bool {
        match self.operator_scope {
            OperatorScope::Tenants => false,
            OperatorScope::Namespaces => {
                self.operator_namespaces.iter().any(|listed| is_within(namespace, listed))
            }
            OperatorScope::Root => true,
        }
    }
}

/// Returns whether a namespace is another one or is below it. No namespace is within the root namespace, which
/// `operatorNamespaces` cannot list. A path with `..` is in none.
fn is_within(namespace: &str, listed: &str) -> bool {
    let [namespace, listed] = [namespace, listed].map(|path| path.trim_matches('/'));
    let is_clear = namespace.split('/').all(|segment| !["", ".", ".."].contains(&segment));
    let rest = namespace.strip_prefix(listed).filter(|_| is_clear && !listed.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::default(json!({}), "", false)]
    #[case::default(json!({}), "team-a", false)]
    #[case::tenants_ignore_the_list(json!({"operatorNamespaces": ["team-a"]}), "team-a", false)]
    #[case::root(json!({"operatorScope": "Root"}), "", true)]
    #[case::root(json!({"operatorScope": "Root"}), "team-a/apps", true)]
    #[case::equal(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team-a"]}), "team-a", true)]
    #[case::below(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team-a"]}), "team-a/b/c", true)]
    #[case::slashes(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team-a"]}), "/team-a/", true)]
    #[case::second(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["x", "a/b"]}), "a/b", true)]
    #[case::above(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["a/b"]}), "a", false)]
    #[case::beside(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["a/b"]}), "a/c", false)]
    #[case::part_of_a_segment(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team"]}), "team-a", false)]
    #[case::leaves(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team"]}), "team/../other", false)]
    #[case::root_is_not_listed(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["team"]}), "", false)]
    #[case::empty_entry(json!({"operatorScope": "Namespaces", "operatorNamespaces": [""]}), "", false)]
    #[case::empty_entry(json!({"operatorScope": "Namespaces", "operatorNamespaces": ["/"]}), "team", false)]
    #[case::nothing_listed(json!({"operatorScope": "Namespaces"}), "team", false)]
    fn the_scope_decides_by_whole_segments(
        #[case] spec: serde_json::Value,
        #[case] namespace: &str,
        #[case] allowed: bool,
    ) {
        let spec: OpenBaoClusterSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(spec.scope_allows(namespace), allowed);
    }
}
