//! Resources that import leaves out: those that OpenBao creates, and those that Steamer already owns.

use std::collections::BTreeMap;

use serde_json::Value;
use steamer_api::KindId;
use steamer_core::layout::{BUILT_IN_MOUNTS, OPERATOR_ROLE};
use steamer_core::ownership::mark::{Mark, Owner};
use steamer_openbao::Namespace;

use crate::resource::{Class, Fields, Resource, text};

/// Policies that OpenBao creates.
const BUILT_IN_POLICIES: [&str; 2] = ["root", "default"];

/// Returns true if a resource exists without a user, or belongs to Steamer.
pub(crate) fn is_left_out(resource: &Resource) -> bool {
    is_built_in(resource) || is_operator(resource) || is_marked(resource.place.class, &resource.fields)
}

fn is_built_in(resource: &Resource) -> bool {
    let name = &resource.place.name;
    match resource.place.class {
        Class::Policy => BUILT_IN_POLICIES.contains(&name.as_str()),
        Class::Engine | Class::Method => is_built_in_mount(name),
        _ => false,
    }
}

/// Why a namespace is not read, with everything below it. `None` for one that is read.
pub(crate) fn closed(namespace: &Namespace) -> Option<String> {
    const ABOUT: &str = "and the namespaces below it are not imported";
    if namespace.tainted {
        return Some(format!("the namespace is being deleted: it {ABOUT}"));
    }
    let mark = Mark::of_metadata(&namespace.custom_metadata)?;
    let is_tenant = matches!(
        mark.owner,
        Owner::Organization | Owner::Object(KindId::SecretsTenant | KindId::SecretsProject)
    );
    is_tenant.then(|| format!("the namespace belongs to {} {}: it {ABOUT}", mark.owner, mark.name))
}

/// Returns true for a mount that every namespace contains.
pub(crate) fn is_built_in_mount(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    BUILT_IN_MOUNTS.iter().any(|mount| mount.trim_end_matches('/') == path)
}

/// Returns true for the operator's own policy and role. A change of them could end the operator's access.
pub(crate) fn is_operator(resource: &Resource) -> bool {
    matches!(resource.place.class, Class::Policy | Class::Role)
        && resource.place.namespace.is_empty()
        && resource.place.name.rsplit('/').next() == Some(OPERATOR_ROLE)
}

/// Returns true for a resource with the mark of an object of Steamer.
fn is_marked(class: Class, fields: &Fields) -> bool {
    match class {
        Class::Policy => Mark::of_policy(text(fields, "policy")).is_some(),
        Class::Engine | Class::Method => Mark::read(text(fields, "description")).is_some(),
        Class::Namespace => Mark::of_metadata(&metadata(fields, "custom_metadata")).is_some(),
        Class::Group => Mark::of_metadata(&metadata(fields, "metadata")).is_some(),
        _ => false,
    }
}

fn metadata(fields: &Fields, field: &str) -> BTreeMap<String, String> {
    let entries = fields.get(field).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::by_hand("", false, None)]
    #[case::tenant("i/SecretsTenant/ns/a", false, Some("belongs to SecretsTenant ns/a"))]
    #[case::project("i/SecretsProject/ns/a", false, Some("belongs to SecretsProject ns/a"))]
    #[case::organization("i/Organization/-/org_1", false, Some("belongs to Organization"))]
    #[case::another_kind("i/BaoNamespace/ns/a", false, None)]
    #[case::deleted("", true, Some("is being deleted"))]
    fn only_namespaces_of_tenants_are_closed(
        #[case] owner: &str,
        #[case] tainted: bool,
        #[case] expected: Option<&str>,
    ) {
        let custom_metadata = BTreeMap::from([
            ("managed-by".to_owned(), "steamer".to_owned()),
            ("owner".to_owned(), owner.to_owned()),
        ]);
        let found = closed(&Namespace { custom_metadata, tainted, ..Namespace::default() });
        assert_eq!(found.is_some(), expected.is_some());
        assert!(found.zip(expected).is_none_or(|(found, expected)| found.contains(expected)));
    }
}
