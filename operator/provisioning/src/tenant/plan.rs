//! Writes that create and mark the namespaces of a tenant.

use steamer_core::error::Error;
use steamer_openbao::{Namespace, NamespacePath};

use crate::engine::Rights;
use crate::namespaces;
use crate::write::Write;

/// The writes for each level of the namespace, outermost first. An organization can contain several tenants, so its
/// namespace belongs to the installation; the innermost namespace belongs to the tenant.
pub(crate) fn writes(
    innermost: &NamespacePath,
    levels: &[(NamespacePath, Option<Namespace>)],
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for (path, namespace) in levels {
        let organization = rights.mark.organization(path);
        let mark = if path == innermost { rights.mark } else { &organization };
        writes.extend(namespaces::write(path, namespace.as_ref(), &rights.under(mark))?);
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::{Adopt, KindId};
    use steamer_core::ownership::{Mark, Owner};
    use steamer_runtime::ObjectName;

    use super::*;

    /// State of a namespace: missing, without a mark, being deleted, or marked by this owner.
    #[derive(Clone, Copy)]
    enum Level {
        Missing,
        Unmarked,
        Tainted,
        Of(&'static str),
    }
    use Level::{Missing, Of, Tainted, Unmarked};

    fn own() -> Mark {
        let owner = Owner::Object(KindId::SecretsTenant);
        Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "acme") }
    }

    fn namespace(level: Level) -> Option<Namespace> {
        let custom_metadata = match level {
            Missing => return None,
            Of(owner) => Mark::parse(owner).unwrap().metadata(),
            Unmarked | Tainted => Default::default(),
        };
        Some(Namespace { tainted: matches!(level, Tainted), custom_metadata, ..Namespace::default() })
    }

    const ORGANIZATION: Level = Of("i/Organization/-/org_1");
    const TENANT: Level = Of("i/SecretsTenant/ns/acme");
    const DELETED: Level = Of("i/SecretsTenant/ns/deleted");

    #[rstest]
    #[case::new(Missing, Missing, Adopt::Never, "Create org_1/, Create org_1/group_7/")]
    #[case::second_tenant(ORGANIZATION, Missing, Adopt::Never, "Create org_1/group_7/")]
    #[case::settled(ORGANIZATION, TENANT, Adopt::Never, "")]
    #[case::foreign_organization(
        Unmarked,
        Missing,
        Adopt::Never,
        "namespace org_1 in OpenBao belongs to another owner"
    )]
    #[case::adopted_organization(Unmarked, Missing, Adopt::IfUnowned, "Update org_1/, Create org_1/group_7/")]
    #[case::tenant_as_organization(
        TENANT,
        Missing,
        Adopt::Never,
        "namespace org_1 in OpenBao belongs to SecretsTenant ns/acme"
    )]
    #[case::foreign(
        ORGANIZATION,
        DELETED,
        Adopt::Never,
        "namespace org_1/group_7 in OpenBao belongs to SecretsTenant ns/deleted"
    )]
    #[case::adopted(ORGANIZATION, DELETED, Adopt::IfUnowned, "Update org_1/group_7/")]
    #[case::existing_owner(
        ORGANIZATION,
        Of("i/SecretsTenant/ns/other"),
        Adopt::IfUnowned,
        "namespace org_1/group_7 in OpenBao belongs to SecretsTenant ns/other"
    )]
    #[case::other_installation(
        ORGANIZATION,
        Of("j/SecretsTenant/ns/deleted"),
        Adopt::IfUnowned,
        "namespace org_1/group_7 in OpenBao belongs to SecretsTenant ns/deleted"
    )]
    #[case::being_deleted(
        ORGANIZATION,
        Tainted,
        Adopt::IfUnowned,
        "OpenBao is deleting namespace org_1/group_7"
    )]
    fn namespaces_are_created_and_marked_from_the_outside(
        #[case] organization: Level,
        #[case] tenant: Level,
        #[case] adopt: Adopt,
        #[case] expected: &str,
    ) {
        let (outer, inner) = (NamespacePath::new("org_1"), NamespacePath::new("org_1/group_7"));
        let levels = [(outer, namespace(organization)), (inner.clone(), namespace(tenant))];
        let own = own();
        let rights = Rights { mark: &own, adopt, exists: &|mark| mark.name.name != "deleted" };
        let planned = match writes(&inner, &levels, &rights) {
            Ok(writes) => {
                let changes = writes.iter().map(Write::described);
                changes.map(|it| format!("{:?} {}", it.operation, it.path)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        assert!(
            planned == expected || (!expected.is_empty() && planned.starts_with(&format!("{expected}:"))),
            "{planned}"
        );
    }

    #[test]
    fn an_organization_without_a_group_is_a_tenant_itself() {
        let namespace = NamespacePath::new("org_1");
        let own = own();
        let rights = Rights { mark: &own, adopt: Adopt::Never, exists: &|_| true };
        let marks = |levels: &[(NamespacePath, Option<Namespace>)]| {
            format!("{:?}", writes(&namespace, levels, &rights).unwrap())
        };
        assert!(marks(&[(namespace.clone(), None)]).contains(r#"name: "acme""#));
    }
}
