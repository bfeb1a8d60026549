//! Everything from Kubernetes that a project depends on.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{
    AdditionalIssuer, JWTIssuer, OpenBaoCluster, PipelinePolicy, Reference, SecretsProject, SecretsTenant,
    UserPolicy,
};
use steamer_core::access::service_accounts::ApiIssuer;
use steamer_core::error::Error;
use steamer_core::references::{seniority, target};
use steamer_openbao::Session;
use steamer_runtime::ObjectName;

use super::desired::Unusable;
use super::issuer::{MissingIssuer, issuer};
use crate::engine::{Lookup, Pass};
use crate::grants::{Grant, project_of};
use crate::jwt_issuer::fetch::ca;
use crate::relations::children;
use crate::tenant::claims;

/// Objects that a project refers to. Every right is checked.
pub(crate) struct References {
    pub(crate) tenant: Arc<SecretsTenant>,
    pub(crate) cluster: Arc<OpenBaoCluster>,
    pub(crate) issuer: Arc<JWTIssuer>,
    /// The spec refers to a JWTIssuer that does not exist. `issuer` is the one that the project used before.
    pub(crate) missing_issuer: Option<MissingIssuer>,
    pub(crate) additional: Vec<Additional>,
    /// Additional issuers whose JWTIssuer does not exist, does not allow the reference, or is incomplete.
    pub(crate) unusable: Vec<Unusable>,
}

/// An additional issuer of a project.
pub(crate) struct Additional {
    pub(crate) spec: AdditionalIssuer,
    pub(crate) issuer: Arc<JWTIssuer>,
}

/// Everything that validation needs.
pub(crate) struct Found {
    pub(crate) references: References,
    /// CA of the issuer's server, in PEM. Empty: publicly trusted certificates.
    pub(crate) issuer_ca: String,
    /// CAs of the servers of the additional issuers, in their order. None for one that is unusable.
    pub(crate) additional_cas: Vec<Option<String>>,
    /// Issuer of ServiceAccount tokens. None for a project without workloads.
    pub(crate) api_issuer: Option<Arc<ApiIssuer>>,
    /// PipelinePolicies that the project allows, oldest first.
    pub(crate) policies: Vec<Arc<PipelinePolicy>>,
    /// UserPolicies that the project allows, oldest first.
    pub(crate) users: Vec<Arc<UserPolicy>>,
}

/// Objects that grant access, oldest first.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) policies: &'a [Arc<PipelinePolicy>],
    pub(crate) users: &'a [Arc<UserPolicy>],
}

impl Found {
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources { policies: &self.policies, users: &self.users }
    }
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
    let (additional, unusable) = additional(project, &|reference| lookup.resolve(reference, &namespace))?;
    Ok(References { tenant, cluster, issuer, missing_issuer, additional, unusable })
}

/// Resolves a reference in the project.
type Resolve<'a> = &'a dyn Fn(&Reference) -> Result<Arc<JWTIssuer>, Error>;

/// The additional issuers. One that cannot be used does not affect the jobs of the others.
///
/// # Errors
/// An issuer that is unknown at the moment: its jobs keep their access.
fn additional(
    project: &SecretsProject,
    resolve: Resolve<'_>,
) -> Result<(Vec<Additional>, Vec<Unusable>), Error> {
    let (mut additional, mut unusable) = (Vec::new(), Vec::new());
    for spec in &project.spec.additional_issuers {
        let (error, previous) = match resolve(&spec.issuer_ref) {
            Ok(issuer) => {
                additional.push(Additional { spec: spec.clone(), issuer });
                continue;
            }
            Err(error @ Error::NotFound { .. }) => (error, previous(project, spec, resolve)?),
            Err(error @ Error::Denied { .. }) => (error, None),
            Err(error) => return Err(error),
        };
        unusable.push(Unusable::new(&spec.name, &error, previous.is_some()));
        additional.extend(previous.map(|issuer| Additional { spec: spec.clone(), issuer }));
    }
    Ok((additional, unusable))
}

/// The JWTIssuer that the auth mount of an additional issuer trusts. A wrong name in `issuerRef` does not end its access.
fn previous(
    project: &SecretsProject,
    spec: &AdditionalIssuer,
    resolve: Resolve<'_>,
) -> Result<Option<Arc<JWTIssuer>>, Error> {
    let namespace = project.namespace().unwrap_or_default();
    let written = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let recorded = written.and_then(|written| written.additional_issuers.get(&spec.name));
    let recorded = recorded.and_then(|recorded| recorded.issuer_ref.as_ref());
    let is_other = |it: &&Reference| target(it, &namespace) != target(&spec.issuer_ref, &namespace);
    match recorded.filter(is_other).map(resolve) {
        None | Some(Err(Error::NotFound { .. } | Error::Denied { .. })) => Ok(None),
        Some(found) => found.map(Some),
    }
}

pub(crate) async fn fetch(
    project: &SecretsProject,
    mut references: References,
    pass: &Pass<'_>,
) -> Result<(Session, Found), Error> {
    // A disabled project has no access, so it needs no issuer.
    if project.spec.enabled
        && let Some(missing) = references.missing_issuer.take()
    {
        return Err(Error::other(missing));
    }
    has_namespace(&references.tenant)?;
    let issuer_ca = ca_text(&references.issuer, pass).await?;
    let additional_cas = additional_cas(&mut references, pass).await?;
    let api_issuer = if project.spec.workloads.is_empty() {
        None
    } else {
        Some(pass.context.api_issuer.get(&pass.context.client).await?)
    };
    let session = pass.session(&references.cluster).await?;
    let policies = needed_policies(project, &pass.lookup())?;
    let users = needed_policies(project, &pass.lookup())?;
    Ok((session, Found { references, issuer_ca, additional_cas, api_issuer, policies, users }))
}

/// The CAs of the additional issuers. An issuer whose CA is missing becomes unusable.
async fn additional_cas(references: &mut References, pass: &Pass<'_>) -> Result<Vec<Option<String>>, Error> {
    let mut cas = Vec::new();
    for Additional { spec, issuer } in &references.additional {
        match ca_text(issuer, pass).await {
            Ok(ca) => cas.push(Some(ca)),
            Err(error) if is_mistake(&error) => {
                references.unusable.push(Unusable::new(&spec.name, &error, true));
                cas.push(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(cas)
}

/// Returns true if an object must change before the error ends.
const fn is_mistake(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound { .. }
            | Error::Denied { .. }
            | Error::NotAllowed(_)
            | Error::Invalid(_)
            | Error::Waiting(_)
    )
}

async fn ca_text(issuer: &JWTIssuer, pass: &Pass<'_>) -> Result<String, Error> {
    let ca = ca(pass.context, pass.dependencies, issuer).await?;
    Ok(String::from_utf8_lossy(&ca).into_owned())
}

fn has_namespace(tenant: &SecretsTenant) -> Result<(), Error> {
    if tenant.status.as_ref().is_some_and(|status| status.lifecycle.openbao_namespace.is_some()) {
        return Ok(());
    }
    let name = ObjectName::of(tenant);
    Err(Error::Waiting(format!("SecretsTenant {name} has not created its OpenBao namespace yet")))
}

/// As [`policies`]. A disabled project loses its access even while its policies are unknown.
fn needed_policies<G: Grant>(project: &SecretsProject, lookup: &Lookup<'_>) -> Result<Vec<Arc<G>>, Error> {
    match policies(project, lookup) {
        Err(_) if !project.spec.enabled => Ok(Vec::new()),
        found => found,
    }
}

/// The objects of a kind that grant access and that the project allows, oldest first.
///
/// # Errors
/// [`Error::Waiting`] while the objects of a namespace that the project allows are unknown: without them, the project would
/// delete their access.
pub(crate) fn policies<G: Grant>(
    project: &SecretsProject,
    lookup: &Lookup<'_>,
) -> Result<Vec<Arc<G>>, Error> {
    let name = ObjectName::of(project);
    let key = children::<G>(name.clone());
    let of_project = |policy: &G| project_of(policy) == name;
    let mut policies = Vec::new();
    for policy in lookup.children::<G, SecretsProject>((key, &name), of_project)? {
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
        let found =
            policies::<PipelinePolicy>(&project, &Lookup { stores: &stores, dependencies: &dependencies });
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
        assert_eq!(needed_policies::<PipelinePolicy>(&project, &lookup).is_ok(), expected);
    }

    #[rstest]
    #[case::exists("gitea", None, Some(("gitea", None)))]
    #[case::deleted("deleted", Some("deleted"), Some(("", Some(false))))]
    #[case::wrong_name("wrong", Some("gitea"), Some(("gitea", Some(true))))]
    #[case::wrong_name_from_the_start("wrong", None, Some(("", Some(false))))]
    #[case::not_allowed("denied", Some("gitea"), Some(("", Some(false))))]
    #[case::unknown("unknown", Some("gitea"), None)]
    fn only_a_deleted_issuer_and_a_withdrawn_grant_end_the_access_of_its_jobs(
        #[case] stated: &str,
        #[case] recorded: Option<&str>,
        #[case] expected: Option<(&str, Option<bool>)>,
    ) {
        let resolve = |reference: &Reference| match reference.name.as_str() {
            "gitea" => Ok(crate::project::samples::gitea().issuer),
            "denied" => {
                Err(Error::Denied { kind: "JWTIssuer", name: target(reference, "ns"), from: "ns".to_owned() })
            }
            "unknown" => Err(Error::Waiting("unknown".to_owned())),
            _ => Err(Error::NotFound { kind: "JWTIssuer", name: target(reference, "ns") }),
        };
        let issuers =
            json!({"gitea": {"issuerRef": recorded.map(|name| json!({"name": name, "namespace": "ns"}))}});
        let project = project(json!({
            "spec": {"additionalIssuers": [{"name": "gitea", "issuerRef": {"name": stated}, "id": 7}]},
            "status": {"provisioned": {
                "clusterRef": {"name": "main"}, "tenantNamespace": "t", "openbaoNamespace": "t/p", "engine": "secrets/kv",
                "additionalIssuers": issuers,
            }},
        }));
        let found = additional(&project, &resolve).ok();
        let found = found.map(|(additional, unusable)| {
            let used = additional.first().map(|it| ObjectName::of(&*it.issuer).name).unwrap_or_default();
            (used, unusable.first().map(|it| it.keeps_mount))
        });
        assert_eq!(found, expected.map(|(used, kept)| (used.to_owned(), kept)));
    }

    #[test]
    fn policies_are_unknown_if_their_project_left_the_cache() {
        let project = project(json!({}));
        let (stores, index) = (Stores::default(), Arc::<Index>::default());
        let policy = policy("all", json!({"branches": ["main"]}));
        stores.of::<PipelinePolicy>().insert(ObjectName::of(&*policy), policy);
        assert!(stores.of::<SecretsProject>().failed(Some("ns"), &refusal()));
        let dependencies = index.pass("test", ObjectName::of(&project));
        let found =
            policies::<PipelinePolicy>(&project, &Lookup { stores: &stores, dependencies: &dependencies });
        assert!(matches!(found, Err(Error::Waiting(_))));
    }
}
