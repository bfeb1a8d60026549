//! Removal of resources from OpenBao by their mark. Resources of other owners stay.

use std::collections::BTreeMap;

use steamer_api::{DeletionPolicy, OwnedResource};
use steamer_openbao::{Error as OpenBao, Namespace, NamespaceDeletion, NamespacePath, Policy, Session};

use super::mark::Mark;
use crate::error::Error;
use crate::layout::{
    AUTH_MOUNTS, BUILT_IN_MOUNTS, PIPELINE_POLICIES, POLICY_PREFIXES, WORKLOAD_POLICIES, additional_issuers,
    additional_mount, additional_policies, is_default_policy, is_organization,
};

/// Prefixes of policies that each version of the operator's policy permits to list.
const FIRST_PREFIXES: [&str; 2] = [PIPELINE_POLICIES, WORKLOAD_POLICIES];

/// The owner of what is removed, and what happens to its values.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    /// Mark of the owner. Resources with another mark stay.
    pub mark: &'a Mark,
    /// Whether engines and namespaces are deleted too.
    pub policy: DeletionPolicy,
    /// Paths of the resources, for kinds whose resources carry no mark.
    pub resources: &'a [OwnedResource],
    /// Returns true if the owner was recreated in the meantime. Its values then stay.
    pub is_reclaimed: &'a (dyn Fn() -> bool + Send + Sync),
}

/// Returns true if the namespace exists and carries the mark.
///
/// # Errors
/// [`Error::Deleting`] while OpenBao deletes the namespace.
pub async fn owns_namespace(
    session: &Session,
    namespace: &NamespacePath,
    mark: &Mark,
) -> Result<bool, Error> {
    let Some((parent, name)) = namespace.split() else {
        return Ok(false);
    };
    match session.within(parent.as_str()).child_namespace(name).await? {
        Some(found) if found.tainted => Err(deleting(&published(session, namespace))),
        found => Ok(found.and_then(|found| Mark::of_metadata(&found.custom_metadata)).as_ref() == Some(mark)),
    }
}

/// Removes the auth mounts and policies of the owner, and with `Delete` also its engines and the namespace. The namespace
/// stays if it contains resources of another owner.
///
/// # Errors
/// [`Error::Deleting`] while OpenBao deletes the namespace.
pub async fn remove_project(
    session: &Session,
    namespace: &NamespacePath,
    Owned { mark, policy, is_reclaimed, .. }: Owned<'_>,
) -> Result<(), Error> {
    if !owns_namespace(session, namespace, mark).await? {
        return Ok(());
    }
    let inside = session.within(namespace.as_str());
    remove_access(&inside, mark).await?;
    if policy == DeletionPolicy::Retain || is_reclaimed() {
        return Ok(());
    }
    let mut foreign = remove_engines(&inside, mark).await?;
    foreign |= inside.auth_mounts().await?.keys().any(|path| !BUILT_IN_MOUNTS.contains(&path.as_str()));
    let Some((parent, name)) = namespace.split().filter(|_| !foreign && !is_reclaimed()) else {
        return Ok(());
    };
    match session.within(parent.as_str()).delete_namespace(name).await? {
        NamespaceDeletion::InProgress => Err(deleting(&published(session, namespace))),
        NamespaceDeletion::Gone | NamespaceDeletion::HasChildren => Ok(()),
    }
}

/// Removes the engines of the owner. Returns true if other mounts remain.
async fn remove_engines(inside: &Session, mark: &Mark) -> Result<bool, Error> {
    let mut foreign = false;
    for (path, mount) in inside.mounts().await? {
        if Mark::read(&mount.description).as_ref() == Some(mark) {
            inside.disable_mount(path.trim_end_matches('/')).await?;
        } else {
            foreign |= !BUILT_IN_MOUNTS.contains(&path.as_str());
        }
    }
    Ok(foreign)
}

/// Removes the auth mounts and policies of the owner. Auth mounts go first, so that no new token is issued. A token
/// that stays valid until it expires, such as a batch token, loses its access with the policies. Returns true if there
/// were any.
///
/// # Errors
/// Any error of OpenBao.
pub async fn remove_access(inside: &Session, mark: &Mark) -> Result<bool, Error> {
    let mounts = inside.auth_mounts().await?;
    let owned = |path: &str| {
        let mount = mounts.get(&format!("{path}/"));
        mount.is_some_and(|mount| Mark::read(&mount.description).as_ref() == Some(mark))
    };
    let mut found = false;
    for path in AUTH_MOUNTS.into_iter().filter(|path| owned(path)) {
        inside.disable_auth(path).await?;
        found = true;
    }
    for prefix in POLICY_PREFIXES {
        found |= remove_policies(inside, prefix, mark).await?;
    }
    for issuer in additional_issuers(mounts.keys()).filter(|issuer| owned(&additional_mount(issuer))) {
        // The mount is the last one: it shows which policies an interrupted removal has left.
        remove_policies(inside, &additional_policies(issuer), mark).await?;
        inside.disable_auth(&additional_mount(issuer)).await?;
        found = true;
    }
    Ok(found)
}

/// The policies of a project below a prefix.
///
/// # Errors
/// Any error of OpenBao.
pub async fn access_policies(inside: &Session, prefix: &str) -> Result<BTreeMap<String, Policy>, OpenBao> {
    match inside.policies_below(prefix).await {
        // The policy of an older version lacks this right, so there are no such policies. OpenBaoCluster reports it.
        Err(OpenBao::Denied { .. }) if !FIRST_PREFIXES.contains(&prefix) => Ok(BTreeMap::new()),
        found => found,
    }
}

/// Removes the policies of the owner. Returns true if there were any.
async fn remove_policies(inside: &Session, prefix: &str, mark: &Mark) -> Result<bool, Error> {
    let mut found = false;
    for (name, policy) in access_policies(inside, prefix).await? {
        // Owners may edit a policy that is written once, so that its mark decides nothing.
        if is_default_policy(&name) || Mark::of_policy(&policy.policy).as_ref() == Some(mark) {
            inside.delete_policy(&name).await?;
            found = true;
        }
    }
    Ok(found)
}

/// Deletes the namespace of a tenant, and the namespace of its organization if no other tenant uses it. Does nothing with
/// `Retain`. Namespaces of other owners, and namespaces that contain others, stay. The namespace of an organization that
/// contains tenants belongs to the installation again.
///
/// # Errors
/// [`Error::Deleting`] while OpenBao deletes a namespace.
pub async fn remove_namespaces(
    session: &Session,
    path: &NamespacePath,
    Owned { mark, policy, is_reclaimed, .. }: Owned<'_>,
) -> Result<(), Error> {
    if policy == DeletionPolicy::Retain {
        return Ok(());
    }
    for (level, found) in levels(session, path).await?.into_iter().rev() {
        let Some((parent, name)) = level.split() else {
            continue;
        };
        let Some(found) = found else { continue };
        let expected = if level == *path { mark.clone() } else { mark.organization(&level) };
        if Mark::of_metadata(&found.custom_metadata).as_ref() != Some(&expected) || is_reclaimed() {
            return Ok(());
        }
        match session.within(parent.as_str()).delete_namespace(name).await? {
            NamespaceDeletion::Gone => {}
            NamespaceDeletion::HasChildren => return hand_back(session, &level, &expected).await,
            NamespaceDeletion::InProgress => return Err(deleting(&published(session, &level))),
        }
    }
    Ok(())
}

/// Marks the namespace of an organization as one of the installation.
async fn hand_back(session: &Session, level: &NamespacePath, owner: &Mark) -> Result<(), Error> {
    let shared = owner.organization(level);
    match level.split() {
        Some((parent, name)) if is_organization(level) && *owner != shared => {
            Ok(session.within(parent.as_str()).mark_namespace(name, &shared.metadata()).await?)
        }
        _ => Ok(()),
    }
}

/// A namespace as clients of the server address it. Sessions of the operator are in the root of the cluster.
fn published(session: &Session, namespace: &NamespacePath) -> NamespacePath {
    session.namespace().join(namespace.as_str())
}

/// The error while OpenBao deletes a namespace, which is published.
#[must_use]
pub fn deleting(namespace: &NamespacePath) -> Error {
    Error::Deleting(format!("OpenBao is deleting namespace {namespace}"))
}

/// Reads each level of a namespace, outermost first. Levels below a missing one are not requested.
///
/// # Errors
/// Any error of OpenBao.
pub async fn levels(
    session: &Session,
    path: &NamespacePath,
) -> Result<Vec<(NamespacePath, Option<Namespace>)>, Error> {
    let mut paths = vec![path.clone()];
    while let Some((parent, _)) =
        paths.last().and_then(NamespacePath::split).filter(|(parent, _)| !parent.is_root())
    {
        paths.push(parent);
    }
    let mut levels: Vec<(NamespacePath, Option<Namespace>)> = Vec::new();
    for path in paths.into_iter().rev() {
        let below_missing = levels.last().is_some_and(|(_, found)| found.is_none());
        let found = match path.split() {
            Some((parent, name)) if !below_missing => {
                session.within(parent.as_str()).child_namespace(name).await?
            }
            _ => None,
        };
        levels.push((path, found));
    }
    Ok(levels)
}
