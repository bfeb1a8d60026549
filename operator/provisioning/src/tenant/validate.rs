use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{ProjectClaim, Scope, SecretsTenant};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::references::seniority;
use steamer_runtime::{Dependencies, ObjectName};

use crate::tenant::tenant_claim;

/// Of two tenants that claim the same namespace, the older has it.
pub(crate) fn validate(
    context: &Context,
    dependencies: &Dependencies,
    tenant: &SecretsTenant,
) -> Result<(), Error> {
    let claim = tenant_claim(tenant);
    dependencies.on(claim.clone());
    let rivals = context.stores.of::<SecretsTenant>().filter(|other| tenant_claim(other) == claim);
    match oldest(&rivals) {
        Some(first) if first.uid() != tenant.uid() && age(first) < age(tenant) => {
            Err(Error::Conflict(format!(
                "SecretsTenant {} claims {} already and is older",
                ObjectName::of(&**first),
                layout::tenant(tenant)
            )))
        }
        _ => Ok(()),
    }
}

fn oldest(tenants: &[Arc<SecretsTenant>]) -> Option<&Arc<SecretsTenant>> {
    tenants.iter().min_by_key(|tenant| age(tenant))
}

fn age(tenant: &SecretsTenant) -> (i64, bool, ObjectName) {
    let made = tenant.status.as_ref().is_some_and(|status| status.openbao_namespace.is_some());
    seniority(tenant, made)
}

/// Whether the tenant lets an object in `namespace` be the project or group of that number.
pub(crate) fn claims(tenant: &SecretsTenant, namespace: &str, scope: Scope, id: i64) -> Result<(), Error> {
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
    Err(Error::NotAllowed(format!(
        "SecretsTenant {} does not list {} {id} for namespace {namespace}: its projects[] decides",
        ObjectName::of(tenant),
        if scope == Scope::Project { "project" } else { "group" },
    )))
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
    fn only_what_is_listed_is_honoured(
        #[case] projects: &str,
        #[case] namespace: &str,
        #[case] scope: Scope,
        #[case] id: i64,
        #[case] expected: bool,
    ) {
        assert_eq!(claims(&tenant(projects), namespace, scope, id).is_ok(), expected);
    }
}
