//! Claims of projects: which namespaces may claim which IDs of a tenant.

use kube::ResourceExt;
use steamer_api::{ProjectClaim, Scope, SecretsTenant};
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_runtime::ObjectName;

/// Checks that the tenant allows an object in `namespace` to claim the project or group of that ID.
///
/// # Errors
/// [`Error::NotAllowed`].
pub(crate) fn allow(tenant: &SecretsTenant, namespace: &str, scope: Scope, id: i64) -> Result<(), Error> {
    let own = tenant.namespace().unwrap_or_default();
    if tenant.spec.projects.is_empty() && namespace == own {
        return Ok(());
    }
    let listed = |claim: &ProjectClaim| {
        let ids = match scope {
            Scope::Project => &claim.ids,
            Scope::Group => &claim.group_ids,
        };
        claim.namespaces.iter().any(|listed| listed == namespace) && ids.contains(&id)
    };
    if tenant.spec.projects.iter().any(listed) {
        return Ok(());
    }
    let (tenant, subject) = (ObjectName::of(tenant), subject(scope, id));
    Err(Error::NotAllowed(format!(
        "SecretsTenant {tenant} does not allow namespace {namespace} to claim {subject}: list it in spec.projects of the \
         SecretsTenant"
    )))
}

/// Returns true if the tenant allows an object in `namespace` to claim the project or group with the OpenBao namespace
/// `name`.
pub(crate) fn admits(tenant: &SecretsTenant, namespace: &str, name: &str) -> bool {
    let (claims, own) = (&tenant.spec.projects, tenant.namespace().unwrap_or_default());
    if claims.is_empty() && namespace == own {
        return true;
    }
    let is_named = |scope: Scope, ids: &[i64]| ids.iter().any(|id| layout::project(scope, *id) == name);
    claims.iter().any(|claim| {
        claim.namespaces.iter().any(|listed| listed == namespace)
            && (is_named(Scope::Project, &claim.ids) || is_named(Scope::Group, &claim.group_ids))
    })
}

/// The project or group of that ID, as messages name it.
pub(crate) fn subject(scope: Scope, id: i64) -> String {
    let entity = match scope {
        Scope::Project => "project",
        Scope::Group => "group",
    };
    format!("{entity} {id}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::SecretsTenantSpec;

    use super::*;

    fn tenant(projects: &str) -> SecretsTenant {
        let text = format!(
            r#"{{"clusterRef":{{"name":"main"}},"organizationId":1,"groupId":7,"issuerRef":{{"name":"i"}},"projects":{projects}}}"#
        );
        let spec: SecretsTenantSpec = serde_json::from_str(&text).unwrap();
        let mut tenant = SecretsTenant::new("acme", spec);
        tenant.metadata.namespace = Some("openbao".into());
        tenant
    }

    #[rstest]
    #[case("[]", "openbao", Scope::Project, 42, true)]
    #[case("[]", "web", Scope::Project, 42, false)]
    #[case(r#"[{"name":"w","namespaces":["web"],"ids":[42]}]"#, "web", Scope::Project, 42, true)]
    #[case(r#"[{"name":"w","namespaces":["web"],"ids":[42]}]"#, "web", Scope::Project, 43, false)]
    #[case(r#"[{"name":"w","namespaces":["web"],"ids":[42]}]"#, "web", Scope::Group, 42, false)]
    #[case(r#"[{"name":"w","namespaces":["web"],"ids":[42]}]"#, "openbao", Scope::Project, 42, false)]
    #[case(r#"[{"name":"w","namespaces":["web"],"groupIds":[7]}]"#, "web", Scope::Group, 7, true)]
    fn only_listed_claims_are_allowed(
        #[case] projects: &str,
        #[case] namespace: &str,
        #[case] scope: Scope,
        #[case] id: i64,
        #[case] expected: bool,
    ) {
        assert_eq!(allow(&tenant(projects), namespace, scope, id).is_ok(), expected);
        assert_eq!(admits(&tenant(projects), namespace, &layout::project(scope, id)), expected);
    }
}
