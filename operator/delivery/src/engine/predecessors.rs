//! Secrets that Vault Secrets Operator or External Secrets Operator wrote. Steamer takes them over with `overwrite: true`: it
//! removes the marks of the former operator, which would delete or rewrite the Secret with its own object.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value};

/// API groups of the former operators.
const GROUPS: [&str; 2] = ["secrets.hashicorp.com", "external-secrets.io"];
/// Beginnings of the labels and annotations with which a former operator finds its Secrets. One of them is a digest of the
/// data without a key.
const PREFIXES: [&str; 3] =
    ["secrets.hashicorp.com/", "vso.secrets.hashicorp.com/", "reconcile.external-secrets.io/"];
/// Labels that name Vault Secrets Operator. Other values belong to the user.
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/name", "vault-secrets-operator"), ("app.kubernetes.io/component", "secret-sync")];

/// Returns true for an object of a former operator.
pub(super) fn is_predecessor(reference: &OwnerReference) -> bool {
    let group = reference.api_version.split_once('/').map(|(group, _)| group);
    group.is_some_and(|group| GROUPS.contains(&group))
}

/// Returns true for an object of this or of a former operator.
pub(super) fn is_operator(reference: &OwnerReference) -> bool {
    reference.api_version.starts_with("steamer.dev/") || is_predecessor(reference)
}

/// Removals of the marks in `present` that the spec does not set.
pub(super) fn removals(
    present: &BTreeMap<String, String>,
    spec: &BTreeMap<String, String>,
) -> Map<String, Value> {
    marks(present, spec).map(|key| (key.clone(), Value::Null)).collect()
}

fn marks<'a>(
    present: &'a BTreeMap<String, String>,
    spec: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a String> {
    let is_mark = |(key, value): &(&String, &String)| {
        PREFIXES.iter().any(|prefix| key.starts_with(prefix))
            || LABELS.contains(&(key.as_str(), value.as_str()))
    };
    present.iter().filter(is_mark).map(|(key, _)| key).filter(|key| !spec.contains_key(*key))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn reference(version: &str) -> OwnerReference {
        OwnerReference { api_version: version.to_owned(), ..OwnerReference::default() }
    }

    #[rstest]
    #[case("secrets.hashicorp.com/v1beta1", true)]
    #[case("external-secrets.io/v1", true)]
    #[case("generators.external-secrets.io/v1alpha1", false)]
    #[case("steamer.dev/v1alpha1", false)]
    #[case("v1", false)]
    fn an_owner_is_recognized_by_its_group(#[case] version: &str, #[case] expected: bool) {
        assert_eq!(is_predecessor(&reference(version)), expected);
    }

    #[test]
    fn only_marks_of_a_former_operator_are_removed() {
        let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let present = map(&[
            ("app.kubernetes.io/name", "vault-secrets-operator"),
            ("app.kubernetes.io/component", "web"),
            ("secrets.hashicorp.com/vso-ownerRefUID", "u"),
            ("reconcile.external-secrets.io/data-hash", "h"),
            ("team", "web"),
        ]);
        let spec = map(&[("app.kubernetes.io/name", "mine")]);
        let removed: Vec<String> = removals(&present, &spec).keys().cloned().collect();
        assert_eq!(
            removed,
            ["reconcile.external-secrets.io/data-hash", "secrets.hashicorp.com/vso-ownerRefUID"]
        );
    }
}
