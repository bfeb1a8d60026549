//! Current state of a project in OpenBao.

use std::collections::BTreeMap;
use std::fmt::Debug;

use steamer_core::error::Error;
use steamer_core::layout::{PIPELINE_MOUNT, PIPELINE_POLICIES, WORKLOAD_MOUNT, WORKLOAD_POLICIES};
use steamer_core::ownership::removal::deleting;
use steamer_openbao::{
    AuthMount, CelRole, Error as OpenBao, JwtConfig, JwtRole, KvConfig, Mount, Namespace, Policy, Session,
};

use super::desired::Project;

/// Resources that exist.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) namespace: Option<Namespace>,
    pub(crate) engine: Option<Mount>,
    pub(crate) kv: Option<KvConfig>,
    /// Auth mounts by path.
    pub(crate) auth: BTreeMap<&'static str, ObservedAuth>,
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// An auth mount with its contents.
#[derive(Debug, Default)]
pub(crate) struct ObservedAuth {
    pub(crate) mount: AuthMount,
    pub(crate) config: Option<JwtConfig>,
    pub(crate) cel_roles: BTreeMap<String, CelRole>,
    pub(crate) jwt_roles: BTreeMap<String, JwtRole>,
}

impl Observed {
    /// The state without the versions of policies, which count writes.
    pub(crate) fn state(&self) -> impl Debug {
        let policies: BTreeMap<_, _> =
            self.policies.iter().map(|(name, found)| (name, &found.policy)).collect();
        (&self.namespace, &self.engine, &self.kv, &self.auth, policies)
    }
}

pub(crate) async fn observe(session: &Session, project: &Project) -> Result<Observed, Error> {
    let Some((parent, name)) = project.namespace.split() else {
        return Ok(Observed::default());
    };
    let Some(namespace) = session.within(parent.as_str()).child_namespace(name).await? else {
        return Ok(Observed::default());
    };
    if namespace.tainted {
        return Err(deleting(&project.published()));
    }
    let session = session.within(project.namespace.as_str());
    let (engine, pipelines, workloads, mut policies, workload_policies) = tokio::try_join!(
        engine(&session, &project.engine),
        auth_mount(&session, PIPELINE_MOUNT),
        auth_mount(&session, WORKLOAD_MOUNT),
        session.policies_below(PIPELINE_POLICIES),
        session.policies_below(WORKLOAD_POLICIES),
    )?;
    let (engine, kv) = engine;
    let auth = [(PIPELINE_MOUNT, pipelines), (WORKLOAD_MOUNT, workloads)];
    let auth = auth.into_iter().filter_map(|(path, mount)| Some((path, mount?))).collect();
    policies.extend(workload_policies);
    Ok(Observed { namespace: Some(namespace), engine, kv, auth, policies })
}

async fn engine(session: &Session, path: &str) -> Result<(Option<Mount>, Option<KvConfig>), OpenBao> {
    Ok(match session.mount(path).await? {
        Some(engine) => (Some(engine), session.kv_config(path).await?),
        None => (None, None),
    })
}

async fn auth_mount(session: &Session, path: &str) -> Result<Option<ObservedAuth>, OpenBao> {
    let Some(mount) = session.auth_mount(path).await? else {
        return Ok(None);
    };
    if mount.kind != "jwt" {
        return Ok(Some(ObservedAuth { mount, ..ObservedAuth::default() }));
    }
    let (config, cel_roles, jwt_roles) =
        tokio::try_join!(session.jwt_config(path), cel_roles(session, path), jwt_roles(session, path))?;
    Ok(Some(ObservedAuth { mount, config, cel_roles, jwt_roles }))
}

async fn cel_roles(session: &Session, mount: &str) -> Result<BTreeMap<String, CelRole>, OpenBao> {
    let names = session.cel_roles(mount).await?;
    existing(names.into_iter().map(async |name| Ok((session.cel_role(mount, &name).await?, name)))).await
}

async fn jwt_roles(session: &Session, mount: &str) -> Result<BTreeMap<String, JwtRole>, OpenBao> {
    let names = session.jwt_roles(mount).await?;
    existing(names.into_iter().map(async |name| Ok((session.jwt_role(mount, &name).await?, name)))).await
}

/// Results of reads, by name. Resources that were deleted after they were listed are omitted.
async fn existing<T>(
    reads: impl Iterator<Item = impl Future<Output = Result<(Option<T>, String), OpenBao>>>,
) -> Result<BTreeMap<String, T>, OpenBao> {
    let found = futures::future::try_join_all(reads).await?;
    Ok(found.into_iter().filter_map(|(found, name)| Some((name, found?))).collect())
}
