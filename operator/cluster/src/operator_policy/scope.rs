//! Namespaces that a policy covers besides those of tenants.

use steamer_api::{OpenBaoClusterSpec, OperatorScope};

/// `operatorScope` of a cluster, with its namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PolicyScope {
    /// Namespaces of tenants only.
    #[default]
    Tenants,
    /// Also the listed namespaces and the namespaces below them.
    Namespaces(Vec<String>),
    /// Every namespace.
    Root,
}

impl From<&OpenBaoClusterSpec> for PolicyScope {
    fn from(spec: &OpenBaoClusterSpec) -> Self {
        match spec.operator_scope {
            OperatorScope::Tenants => Self::Tenants,
            OperatorScope::Namespaces => Self::Namespaces(spec.operator_namespaces.clone()),
            OperatorScope::Root => Self::Root,
        }
    }
}

impl PolicyScope {
    /// Options of `steamer openbao-policy` that print the policy of this scope, each with a blank before it.
    pub(crate) fn options(&self) -> String {
        match self {
            Self::Tenants => String::new(),
            Self::Namespaces(listed) => {
                format!(" --scope Namespaces --namespaces {}", quoted(&listed.join(",")))
            }
            Self::Root => " --scope Root".to_owned(),
        }
    }

    /// What the policy permits in effect, for conditions. Empty for tenants.
    pub(crate) fn warning(&self) -> &'static str {
        match self {
            Self::Tenants => "",
            Self::Namespaces(_) => {
                "; operatorScope Namespaces is equivalent to root access in operatorNamespaces, because the operator can \
                 write policies and roles there"
            }
            Self::Root => {
                "; operatorScope Root is equivalent to root access to this OpenBao, because the operator can write \
                 policies and roles"
            }
        }
    }
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/-_.,".contains(character);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_prints_the_policy_of_the_scope() {
        let listed =
            |paths: &[&str]| PolicyScope::Namespaces(paths.iter().map(|&path| path.to_owned()).collect());
        assert_eq!(PolicyScope::Tenants.options(), "");
        assert_eq!(PolicyScope::Root.options(), " --scope Root");
        assert_eq!(listed(&["a", "b/c"]).options(), " --scope Namespaces --namespaces a,b/c");
        assert_eq!(listed(&["it's $x"]).options(), r" --scope Namespaces --namespaces 'it'\''s $x'");
    }

    #[test]
    fn a_wide_scope_is_stated_to_be_root_access() {
        assert!(PolicyScope::Root.warning().contains("equivalent to root access"));
        assert!(PolicyScope::Namespaces(Vec::new()).warning().contains("equivalent to root access"));
    }
}
