//! Writes that create and mark the namespaces of a tenant.

use steamer_api::KindId;
use steamer_core::error::Error;
use steamer_core::layout::is_organization;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::{Namespace, NamespacePath};

use crate::engine::Rights;
use crate::namespaces;
use crate::write::Write;

/// The writes for each level of the namespace, outermost first. The innermost namespace belongs to the tenant. An
/// organization can contain several tenants, so its namespace belongs to the installation, or to the tenant of the whole
/// organization.
pub(crate) fn writes(
    innermost: &NamespacePath,
    levels: &[(NamespacePath, Option<Namespace>)],
    rights: &Rights<'_>,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for (path, namespace) in levels {
        let level = Level { path, namespace: namespace.as_ref() };
        writes.extend(if path == innermost { level.own(rights)? } else { level.outer(rights)? });
    }
    Ok(writes)
}

/// One level of the namespace of a tenant.
struct Level<'a> {
    path: &'a NamespacePath,
    namespace: Option<&'a Namespace>,
}

impl Level<'_> {
    /// The tenant of a whole organization takes over a namespace that tenants of groups have created.
    fn own(&self, rights: &Rights<'_>) -> Result<Option<Write>, Error> {
        let shared = rights.mark.organization(self.path);
        match self.namespace {
            Some(found)
                if is_organization(self.path) && self.owner().as_ref() == Some(&shared) && !found.tainted =>
            {
                Ok(Write::adopt_namespace(self.path, rights.mark))
            }
            found => namespaces::write(self.path, found, rights),
        }
    }

    /// A namespace of the tenant of the whole organization contains the tenants of its groups.
    fn outer(&self, rights: &Rights<'_>) -> Result<Option<Write>, Error> {
        let shared = rights.mark.organization(self.path);
        let is_of_tenant = |found: &Mark| {
            let is_tenant = found.owner == Owner::Object(KindId::SecretsTenant);
            is_tenant && found.installation == rights.mark.installation
        };
        let owner = self.owner().filter(is_of_tenant).unwrap_or(shared);
        namespaces::write(self.path, self.namespace, &rights.under(&owner))
    }

    fn owner(&self) -> Option<Mark> {
        Mark::of_metadata(&self.namespace?.custom_metadata)
    }
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
    enum State {
        Missing,
        Unmarked,
        Tainted,
        Of(&'static str),
    }
    use State::{Missing, Of, Tainted, Unmarked};

    fn own() -> Mark {
        let owner = Owner::Object(KindId::SecretsTenant);
        Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "acme") }
    }

    fn namespace(level: State) -> Option<Namespace> {
        let custom_metadata = match level {
            Missing => return None,
            Of(owner) => Mark::parse(owner).unwrap().metadata(),
            Unmarked | Tainted => Default::default(),
        };
        Some(Namespace { tainted: matches!(level, Tainted), custom_metadata, ..Namespace::default() })
    }

    const ORGANIZATION: State = Of("i/Organization/-/org_1");
    const TENANT: State = Of("i/SecretsTenant/ns/acme");
    const DELETED: State = Of("i/SecretsTenant/ns/deleted");

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
    #[case::beside_the_tenant_of_the_organization(
        Of("i/SecretsTenant/ns/other"),
        Missing,
        Adopt::Never,
        "Create org_1/group_7/"
    )]
    #[case::beside_a_deleted_tenant_of_the_organization(DELETED, TENANT, Adopt::Never, "")]
    #[case::organization_of_a_project(
        Of("i/SecretsProject/ns/web"),
        Missing,
        Adopt::Never,
        "namespace org_1 in OpenBao belongs to SecretsProject ns/web"
    )]
    #[case::organization_of_another_installation(
        Of("j/SecretsTenant/ns/other"),
        Missing,
        Adopt::Never,
        "namespace org_1 in OpenBao belongs to SecretsTenant ns/other"
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
        #[case] organization: State,
        #[case] tenant: State,
        #[case] adopt: Adopt,
        #[case] expected: &str,
    ) {
        let (outer, inner) = (NamespacePath::new("org_1"), NamespacePath::new("org_1/group_7"));
        let levels = [(outer, namespace(organization)), (inner.clone(), namespace(tenant))];
        let own = own();
        let rights = Rights {
            mark: &own,
            root: &NamespacePath::root(),
            adopt,
            exists: &|mark| mark.name.name != "deleted",
        };
        let planned = match writes(&inner, &levels, &rights) {
            Ok(writes) => {
                let changes = writes.iter().map(|write| write.described(rights.root));
                changes.map(|it| format!("{:?} {}", it.operation, it.path)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        assert!(
            planned == expected || (!expected.is_empty() && planned.starts_with(&format!("{expected}:"))),
            "{planned}"
        );
    }

    #[rstest]
    #[case::new(Missing, Adopt::Never, "Create org_1/")]
    #[case::after_tenants_of_its_groups(ORGANIZATION, Adopt::Never, "Update org_1/")]
    #[case::settled(TENANT, Adopt::Never, "")]
    #[case::unmarked(Unmarked, Adopt::Never, "namespace org_1 in OpenBao belongs to another owner")]
    #[case::retained(DELETED, Adopt::Never, "namespace org_1 in OpenBao belongs to SecretsTenant ns/deleted")]
    #[case::adopted(DELETED, Adopt::IfUnowned, "Update org_1/")]
    #[case::of_another_installation(
        Of("j/Organization/-/org_1"),
        Adopt::IfUnowned,
        "namespace org_1 in OpenBao belongs to Organization -/org_1"
    )]
    #[case::being_deleted(Tainted, Adopt::Never, "OpenBao is deleting namespace org_1")]
    fn an_organization_can_be_a_tenant_beside_those_of_its_groups(
        #[case] found: State,
        #[case] adopt: Adopt,
        #[case] expected: &str,
    ) {
        let (path, own) = (NamespacePath::new("org_1"), own());
        let rights = Rights {
            mark: &own,
            root: &NamespacePath::root(),
            adopt,
            exists: &|mark| mark.name.name != "deleted",
        };
        let planned = match writes(&path, &[(path.clone(), namespace(found))], &rights) {
            Ok(writes) => {
                assert!(writes.iter().all(|write| format!("{write:?}").contains(r#"name: "acme""#)));
                let changes = writes.iter().map(|write| write.described(rights.root));
                changes.map(|it| format!("{:?} {}", it.operation, it.path)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(planned.split(':').next(), Some(expected));
    }

    #[test]
    fn a_conflict_names_the_published_namespace() {
        let (path, own, root) = (NamespacePath::new("org_1"), own(), NamespacePath::new("teams/a"));
        let rights = Rights { mark: &own, root: &root, adopt: Adopt::Never, exists: &|_| true };
        for found in [Unmarked, Tainted] {
            let error = writes(&path, &[(path.clone(), namespace(found))], &rights).unwrap_err();
            assert!(error.to_string().contains("namespace teams/a/org_1"), "{error}");
        }
    }
}
