//! Everything from Kubernetes that a project depends on.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{JWTIssuer, OpenBaoCluster, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_core::access::service_accounts::ApiIssuer;
use steamer_core::error::Error;
use steamer_core::references::seniority;
use steamer_openbao::Session;
use steamer_runtime::ObjectName;

use super::issuer::{MissingIssuer, issuer};
use crate::engine::{Lookup, Pass};
use crate::jwt_issuer::fetch::ca;
use crate::relations::{children, project_of};
use crate::tenant::claims;

/// Objects that a project refers to. Every right is checked.
pub(crate) struct References {
    pub(crate) tenant: Arc<SecretsTenant>,
    pub(crate) cluster: Arc<OpenBaoCluster>,
    pub(crate) issuer: Arc<JWTIssuer>,
    /// The spec refers to a JWTIssuer that does not exist. `issuer` is the one that the project used before.
    pub(crate) missing_issuer: Option<MissingIssuer>,
}

/// Everything that validation needs.
pub(crate) struct Found {
    pub(crate) references: References,
    /// CA of the issuer's server, in PEM. Empty: publicly trusted certificates.
    pub(crate) issuer_ca: String,
    /// Issuer of ServiceAccount tokens. None for a project without workloads.
    pub(crate) api_issuer: Option<Arc<ApiIssuer>>,
    /// PipelinePolicies that the project allows, oldest first.
    pub(crate) policies: Vec<Arc<PipelinePolicy>>,
}

pub(crate) fn references(project: &SecretsProject, lookup: &Lookup<'_>) -> Result<References, Error> {
    let spec = &project.spec;
    let namespace = project.namespace().unwrap_or_default();
    let tenant: Arc<SecretsTenant> = lookup.resolve(&spec.tenant_ref, &namespace)?;
    claims::allow(&tenant, &namespace, spec.scope, spec.id)?;
    let tenant_namespace = tenant.namespace().unwrap_or_default();
    let cluster = lookup.resolve(&tenant.spec.cluster_ref, &tenant_namespace)?;
    let (issuer, missing_issuer) =
        issuer(project, &tenant, &|reference, from| lookup.resolve(reference, from))?;
    Ok(References { tenant, cluster, issuer, missing_issuer })
}

pub(crate) async fn fetch(
    project: &SecretsProject,
    references: References,
    pass: &Pass<'_>,
) -> Result<(Session, Found), Error> {
    // A disabled project has no access, so it needs no issuer.
    if project.spec.enabled
        && let Some(missing) = references.missing_issuer
    {
        return Err(Error::other(missing));
    }
    has_namespace(&references.tenant)?;
    let issuer_ca = ca(pass.context, pass.dependencies, &references.issuer).await?;
    let issuer_ca = String::from_utf8_lossy(&issuer_ca).into_owned();
    let api_issuer = if project.spec.workloads.is_empty() {
        None
    } else {
        Some(pass.context.api_issuer.get(&pass.context.client).await?)
    };
    let session = pass.session(&references.cluster).await?;
    let policies = needed_policies(project, &pass.lookup())?;
    Ok((session, Found { references, issuer_ca, api_issuer, policies }))
}

fn has_namespace(tenant: &SecretsTenant) -> Result<(), Error> {
    if tenant.status.as_ref().is_some_and(|status| status.lifecycle.openbao_namespace.is_some()) {
        return Ok(());
    }
    let name = ObjectName::of(tenant);
    Err(Error::Waiting(format!("SecretsTenant {name} has not created its OpenBao namespace yet")))
}

/// As [`policies`]. A disabled project loses its access even while its policies are unknown.
fn needed_policies(project: &SecretsProject, lookup: &Lookup<'_>) -> Result<Vec<Arc<PipelinePolicy>>, Error> {
    match policies(project, lookup) {
        Err(_) if !project.spec.enabled => Ok(Vec::new()),
        found => found,
    }
}

/// The PipelinePolicies that the project allows, oldest first.
///
/// # Errors
/// [`Error::Waiting`] while the PipelinePolicies of a namespace that the project allows are unknown: without them, the
/// project would delete their access.
pub(crate) fn policies(
    project: &SecretsProject,
    lookup: &Lookup<'_>,
) -> Result<Vec<Arc<PipelinePolicy>>, Error> {
    let name = ObjectName::of(project);
    let key = children::<PipelinePolicy>(name.clone());
    let of_project = |policy: &PipelinePolicy| project_of(policy) == name;
    let mut policies = Vec::new();
    for policy in lookup.children::<PipelinePolicy, SecretsProject>((key, &name), of_project)? {
        if lookup.allows::<SecretsProject>(&name, &policy.namespace().unwrap_or_default())? {
            policies.push(policy);
        }
    }
    policies.sort_by_key(|policy| seniority(&**policy, true));
    Ok(policies)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_core::Stores;
    use steamer_runtime::{Index, Key};

    use super::*;
    use crate::project::samples::{policy, project, refusal};

    /// A project in namespace `ns`, which does not allow the others, with a policy in the cache.
    fn stores(project: &SecretsProject) -> Stores {
        let stores = Stores::default();
        let policies = stores.of::<PipelinePolicy>();
        for namespace in ["ns", "ci"] {
            policies.listed(Some(namespace), 0);
        }
        let policy = policy("all", json!({"branches": ["main"]}));
        policies.insert(ObjectName::of(&*policy), policy);
        stores.of::<SecretsProject>().insert(ObjectName::of(project), Arc::new(project.clone()));
        stores
    }

    #[rstest]
    #[case::none("Same", None, Some(1))]
    #[case::own("Same", Some("ns"), None)]
    #[case::other_that_is_not_allowed("Same", Some("ci"), Some(1))]
    #[case::other_that_is_allowed("All", Some("ci"), None)]
    fn a_project_waits_while_a_list_of_its_policies_is_refused(
        #[case] from: &str,
        #[case] refused: Option<&str>,
        #[case] expected: Option<usize>,
    ) {
        let project = project(json!({"spec": {"allowedNamespaces": {"from": from}}}));
        let (stores, index) = (stores(&project), Arc::<Index>::default());
        let store = stores.of::<PipelinePolicy>();
        assert!(refused.is_none_or(|namespace| store.failed(Some(namespace), &refusal())));
        let dependencies = index.pass("test", ObjectName::of(&project));
        let found = policies(&project, &Lookup { stores: &stores, dependencies: &dependencies });
        if let Err(error) = &found {
            assert!(matches!(error, Error::Waiting(_)), "{error}");
            assert!(index.is_awaited(&Key::of_list("PipelinePolicy", refused.unwrap_or_default())));
        }
        assert_eq!(found.ok().map(|policies| policies.len()), expected);
    }

    #[rstest]
    #[case::enabled(true, false)]
    #[case::disabled(false, true)]
    fn a_disabled_project_does_not_wait_for_its_policies(#[case] enabled: bool, #[case] expected: bool) {
        let project = project(json!({"spec": {"enabled": enabled}}));
        let (stores, index) = (stores(&project), Arc::<Index>::default());
        assert!(stores.of::<PipelinePolicy>().failed(Some("ns"), &refusal()));
        let dependencies = index.pass("test", ObjectName::of(&project));
        let lookup = Lookup { stores: &stores, dependencies: &dependencies };
        assert_eq!(needed_policies(&project, &lookup).is_ok(), expected);
    }

    #[test]
    fn policies_are_unknown_if_their_project_left_the_cache() {
        let project = project(json!({}));
        let (stores, index) = (Stores::default(), Arc::<Index>::default());
        let policy = policy("all", json!({"branches": ["main"]}));
        stores.of::<PipelinePolicy>().insert(ObjectName::of(&*policy), policy);
        assert!(stores.of::<SecretsProject>().failed(Some("ns"), &refusal()));
        let dependencies = index.pass("test", ObjectName::of(&project));
        let found = policies(&project, &Lookup { stores: &stores, dependencies: &dependencies });
        assert!(matches!(found, Err(Error::Waiting(_))));
    }
}
