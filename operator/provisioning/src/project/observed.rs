//! Current state of a project in OpenBao.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use steamer_core::error::Error;
use steamer_core::layout::{POLICY_PREFIXES, additional_issuers, additional_policies, is_login_mount};
use steamer_core::ownership::removal::{access_policies, deleting};
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
    pub(crate) auth: BTreeMap<String, ObservedAuth>,
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
    let mounts = session.auth_mounts().await?;
    let known = project.known_issuers.iter().map(String::as_str);
    let additional: BTreeSet<&str> = additional_issuers(mounts.keys()).chain(known).collect();
    let additional = additional.into_iter().map(additional_policies);
    let prefixes = POLICY_PREFIXES.into_iter().map(str::to_owned).chain(additional).collect();
    let (engine, auth, policies) = tokio::try_join!(
        engine(&session, &project.engine),
        auth(&session, mounts),
        below(&session, prefixes)
    )?;
    let (engine, kv) = engine;
    Ok(Observed { namespace: Some(namespace), engine, kv, auth, policies })
}

/// The policies below prefixes.
async fn below(session: &Session, prefixes: Vec<String>) -> Result<BTreeMap<String, Policy>, OpenBao> {
    let reads = prefixes.iter().map(|prefix| access_policies(session, prefix));
    Ok(futures::future::try_join_all(reads).await?.into_iter().flatten().collect())
}

async fn engine(session: &Session, path: &str) -> Result<(Option<Mount>, Option<KvConfig>), OpenBao> {
    Ok(match session.mount(path).await? {
        Some(engine) => (Some(engine), session.kv_config(path).await?),
        None => (None, None),
    })
}

/// The auth mounts that can belong to a project, with their contents.
async fn auth(
    session: &Session,
    mounts: BTreeMap<String, AuthMount>,
) -> Result<BTreeMap<String, ObservedAuth>, OpenBao> {
    let paths = mounts.into_iter().map(|(path, mount)| (path.trim_end_matches('/').to_owned(), mount));
    let reads = paths.filter(|(path, _)| is_login_mount(path)).map(async |(path, mount)| {
        let contents = auth_mount(session, &path, mount).await?;
        Ok::<_, OpenBao>((path, contents))
    });
    Ok(futures::future::try_join_all(reads).await?.into_iter().collect())
}

async fn auth_mount(session: &Session, path: &str, mount: AuthMount) -> Result<ObservedAuth, OpenBao> {
    if mount.kind != "jwt" {
        return Ok(ObservedAuth { mount, ..ObservedAuth::default() });
    }
    let (config, cel_roles, jwt_roles) =
        tokio::try_join!(session.jwt_config(path), cel_roles(session, path), jwt_roles(session, path))?;
    Ok(ObservedAuth { mount, config, cel_roles, jwt_roles })
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
