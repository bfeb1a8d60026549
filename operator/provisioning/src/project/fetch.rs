use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{JWTIssuer, OpenBaoCluster, PipelinePolicy, SecretsProject, SecretsTenant};
use steamer_core::access::service_accounts::ApiIssuer;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout::{PIPELINE_MOUNT, PIPELINE_POLICIES, WORKLOAD_MOUNT, WORKLOAD_POLICIES};
use steamer_core::references::{namespace_key, seniority};
use steamer_openbao::{
    AuthMount, CelRole, Error as OpenBao, JwtConfig, JwtRole, KvConfig, Mount, Namespace, Policy, Session,
};
use steamer_runtime::{Dependencies, ObjectName};

use crate::jwt_issuer;
use crate::pipeline_policy::{policies_of, project_of};
use crate::project::project_claim;
use crate::project::validate::Project;
use crate::tenant::claims;

/// What a project refers to, with every right checked.
pub(crate) struct References {
    pub(crate) tenant: Arc<SecretsTenant>,
    pub(crate) cluster: Arc<OpenBaoCluster>,
    pub(crate) cluster_name: ObjectName,
    pub(crate) issuer: Arc<JWTIssuer>,
    pub(crate) issuer_ca: String,
    /// Who signs ServiceAccount tokens; asked for only where there are workloads.
    pub(crate) api_issuer: Option<Arc<ApiIssuer>>,
    pub(crate) session: Session,
}

pub(crate) async fn references(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Result<References, Error> {
    let (spec, namespace) = (&project.spec, project.namespace().unwrap_or_default());
    let stores = &context.stores;
    let tenant: Arc<SecretsTenant> = stores.resolve(dependencies, &spec.tenant_ref, &namespace)?;
    claims(&tenant, &namespace, spec.scope, spec.id)?;
    older_claim(context, dependencies, project)?;
    if tenant.status.as_ref().is_none_or(|status| status.openbao_namespace.is_none()) {
        return Err(Error::Waiting(format!(
            "SecretsTenant {} has not made its namespace yet",
            ObjectName::of(&*tenant)
        )));
    }
    let tenants = tenant.namespace().unwrap_or_default();
    let cluster: Arc<OpenBaoCluster> = stores.resolve(dependencies, &tenant.spec.cluster_ref, &tenants)?;
    let issuer: Arc<JWTIssuer> = match &spec.issuer_ref {
        Some(reference) => stores.resolve(dependencies, reference, &namespace)?,
        None => stores.resolve(dependencies, &tenant.spec.issuer_ref, &tenants)?,
    };
    let ca = jwt_issuer::fetch::ca(context, dependencies, &issuer).await?;
    let api_issuer = match spec.workloads.is_empty() {
        true => None,
        false => Some(context.api_issuer.get(&context.client).await?),
    };
    Ok(References {
        session: context.operator_session(dependencies, &cluster).await?,
        cluster_name: ObjectName::of(&*cluster),
        issuer_ca: String::from_utf8_lossy(&ca).into_owned(),
        tenant,
        cluster,
        issuer,
        api_issuer,
    })
}

/// Of two objects that claim the same id of a tenant, the older has it.
fn older_claim(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Result<(), Error> {
    let claim = project_claim(project);
    dependencies.on(claim.clone());
    let age = |project: &SecretsProject| {
        let provisioned = project.status.as_ref().is_some_and(|status| status.provisioned.is_some());
        seniority(project, provisioned)
    };
    let rivals = context.stores.of::<SecretsProject>().filter(|other| project_claim(other) == claim);
    match rivals.iter().min_by_key(|other| age(other)) {
        Some(first) if age(first) < age(project) => Err(Error::Conflict(format!(
            "SecretsProject {} claims {:?} {} already and is older",
            ObjectName::of(&**first),
            project.spec.scope,
            project.spec.id
        ))),
        _ => Ok(()),
    }
}

/// The policies that the project allows, oldest first.
pub(crate) fn policies(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Vec<Arc<PipelinePolicy>> {
    let name = ObjectName::of(project);
    dependencies.on(policies_of(name.clone()));
    let mut policies = context.stores.of::<PipelinePolicy>().filter(|policy| project_of(policy) == name);
    policies.retain(|policy| {
        let from = policy.namespace().unwrap_or_default();
        if from != name.namespace {
            dependencies.on(namespace_key(&from));
        }
        context.stores.named::<SecretsProject>(dependencies, &name, &from).is_ok()
    });
    policies.sort_by_key(|policy| seniority(&**policy, true));
    policies
}

/// What is in OpenBao.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) namespace: Option<Namespace>,
    pub(crate) engine: Option<Mount>,
    pub(crate) kv: Option<KvConfig>,
    pub(crate) auth: BTreeMap<&'static str, SeenAuth>,
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// An auth mount and what is in it.
pub(crate) struct SeenAuth {
    pub(crate) mount: AuthMount,
    pub(crate) config: Option<JwtConfig>,
    pub(crate) cel_roles: BTreeMap<String, CelRole>,
    pub(crate) jwt_roles: BTreeMap<String, JwtRole>,
}

pub(crate) async fn openbao(session: &Session, project: &Project) -> Result<Seen, Error> {
    let tenant = session.within(project.tenant_namespace.as_str());
    let Some(namespace) = tenant.child_namespace(&project.own).await? else {
        return Ok(Seen::default());
    };
    if namespace.tainted {
        return Err(Error::Deleting(format!(
            "namespace {} is still being deleted in OpenBao",
            project.namespace
        )));
    }
    let session = session.within(project.namespace.as_str());
    let (engine, pipelines, workloads, mut policies, more_policies) = tokio::try_join!(
        engine(&session, &project.engine),
        auth_mount(&session, PIPELINE_MOUNT),
        auth_mount(&session, WORKLOAD_MOUNT),
        session.policies_below(PIPELINE_POLICIES),
        session.policies_below(WORKLOAD_POLICIES),
    )?;
    let (engine, kv) = engine;
    let auth = [(PIPELINE_MOUNT, pipelines), (WORKLOAD_MOUNT, workloads)];
    let auth = auth.into_iter().filter_map(|(path, seen)| Some((path, seen?))).collect();
    policies.extend(more_policies);
    Ok(Seen { namespace: Some(namespace), engine, kv, auth, policies })
}

async fn engine(session: &Session, path: &str) -> Result<(Option<Mount>, Option<KvConfig>), OpenBao> {
    Ok(match session.mount(path).await? {
        Some(engine) => (Some(engine), session.kv_config(path).await?),
        None => (None, None),
    })
}

async fn auth_mount(session: &Session, path: &str) -> Result<Option<SeenAuth>, OpenBao> {
    let Some(mount) = session.auth_mount(path).await? else {
        return Ok(None);
    };
    if mount.kind != "jwt" {
        let (cel_roles, jwt_roles) = (BTreeMap::new(), BTreeMap::new());
        return Ok(Some(SeenAuth { mount, config: None, cel_roles, jwt_roles }));
    }
    let cel_roles = async {
        let names = session.cel_roles(path).await?;
        present(names.into_iter().map(async |name| Ok((session.cel_role(path, &name).await?, name)))).await
    };
    let jwt_roles = async {
        let names = session.jwt_roles(path).await?;
        present(names.into_iter().map(async |name| Ok((session.jwt_role(path, &name).await?, name)))).await
    };
    let (config, cel_roles, jwt_roles) = tokio::try_join!(session.jwt_config(path), cel_roles, jwt_roles)?;
    Ok(Some(SeenAuth { mount, config, cel_roles, jwt_roles }))
}

/// What is read, by name; what is gone meanwhile is left out.
async fn present<T>(
    reads: impl Iterator<Item = impl Future<Output = Result<(Option<T>, String), OpenBao>>>,
) -> Result<BTreeMap<String, T>, OpenBao> {
    let found = futures::future::try_join_all(reads).await?;
    Ok(found.into_iter().filter_map(|(found, name)| Some((name, found?))).collect())
}
