//! Namespaces in which the kinds of the platform team are honored.

use std::collections::BTreeSet;

use steamer_api::{KindId, Property};

use crate::error::Error;

/// Namespaces of objects of [`Property::Restricted`] kinds. Empty: all namespaces.
#[derive(Clone, Debug, Default)]
pub struct ClusterNamespaces(BTreeSet<String>);

impl ClusterNamespaces {
    /// The namespaces of a list. Blank entries are ignored.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(|name| name.trim().to_owned());
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// Refuses an object of a restricted kind in any other namespace.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the flag.
    pub fn honor(&self, kind: KindId, namespace: &str) -> Result<(), Error> {
        if self.0.is_empty() || !kind.is(Property::Restricted) || self.0.contains(namespace) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{kind} objects are not honored in namespace {namespace}: move the object, or add the namespace to \
             --cluster-namespaces of the operator (Helm value clusterNamespaces)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_names_a_server_or_an_issuer_is_restricted() {
        let all = ClusterNamespaces::default();
        let some = ClusterNamespaces::new(["openbao".to_owned(), " platform ".to_owned(), String::new()]);
        for kind in KindId::ALL {
            let restricted = matches!(kind.as_str(), "OpenBaoCluster" | "SecretsTenant" | "JWTIssuer");
            assert!(all.honor(*kind, "team").is_ok());
            assert!(some.honor(*kind, "openbao").is_ok() && some.honor(*kind, "platform").is_ok());
            assert_eq!(some.honor(*kind, "team").is_err(), restricted, "{kind}");
        }
        let text = some.honor(KindId::JWTIssuer, "team").unwrap_err().to_string();
        assert!(text.contains("namespace team") && text.contains("--cluster-namespaces"), "{text}");
    }
}
