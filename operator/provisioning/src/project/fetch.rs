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
    let policies = policies(project, &pass.lookup());
    Ok((session, Found { references, issuer_ca, api_issuer, policies }))
}

fn has_namespace(tenant: &SecretsTenant) -> Result<(), Error> {
    if tenant.status.as_ref().is_some_and(|status| status.lifecycle.openbao_namespace.is_some()) {
        return Ok(());
    }
    let name = ObjectName::of(tenant);
    Err(Error::Waiting(format!("SecretsTenant {name} has not created its OpenBao namespace yet")))
}

/// The PipelinePolicies that the project allows, oldest first.
pub(crate) fn policies(project: &SecretsProject, lookup: &Lookup<'_>) -> Vec<Arc<PipelinePolicy>> {
    let name = ObjectName::of(project);
    let key = children::<PipelinePolicy>(name.clone());
    let mut policies = lookup.list(key, |policy: &PipelinePolicy| project_of(policy) == name);
    policies.retain(|policy| lookup.allows::<SecretsProject>(&name, &policy.namespace().unwrap_or_default()));
    policies.sort_by_key(|policy| seniority(&**policy, true));
    policies
}
