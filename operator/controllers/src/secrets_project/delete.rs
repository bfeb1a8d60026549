//! Taking a project out of OpenBao: the ways in first, then what they led to.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use steamer_api::{
    DeletionPolicy, Lifecycle, Mode, OpenBaoCluster, OpenBaoClusterStatus, Orphan, Provisioned,
    SecretsProject, SecretsProjectStatus, SecretsTenantStatus,
};
use steamer_openbao::{NamespaceDeletion, NamespacePath, Session};
use steamer_runtime::{Action, Dependencies, Name, Reason};

use super::plan::policy_owner;
use super::{PIPELINE_MOUNT, WORKLOAD_MOUNT, tenant_of};
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Mark;
use crate::secrets_tenant::apply::remove_namespaces;

/// What every namespace has.
const BUILT_IN: [&str; 5] = ["cubbyhole/", "identity/", "sys/", "token/", "ns_cubbyhole/"];

pub(super) async fn delete(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Result<Action, Error> {
    if !project.finalizers().iter().any(|finalizer| finalizer == steamer_api::FINALIZER) {
        return Ok(Action::AwaitChange);
    }
    let lifecycle = &project.spec.lifecycle;
    let Some(provisioned) = provisioned(context, project) else {
        context.release(project).await?;
        return Ok(Action::AwaitChange);
    };
    if lifecycle.suspend || lifecycle.mode == Mode::Observe {
        let note = "deleted while suspended or observed: OpenBao is left as it is";
        context.runtime.events.warn(project, Reason::Suspended, note).await;
    } else if let Err(error) = remove_provisioned(context, dependencies, project, &provisioned).await {
        let cluster = cluster_name(&provisioned, project);
        let parents = (vec![orphan(project, &provisioned)], cluster, Some(tenant_of(project)));
        give_up(context, project, lifecycle, error, parents).await?;
    }
    context.release(project).await?;
    Ok(Action::AwaitChange)
}

fn provisioned(context: &Context, project: &SecretsProject) -> Option<Provisioned> {
    context.last::<_, SecretsProjectStatus>(project).provisioned
}

fn cluster_name(provisioned: &Provisioned, project: &SecretsProject) -> Name {
    crate::references::target(&provisioned.cluster_ref, &project.namespace().unwrap_or_default())
}

fn orphan(project: &SecretsProject, provisioned: &Provisioned) -> Orphan {
    Orphan {
        kind: "SecretsProject".to_owned(),
        namespace: project.namespace().unwrap_or_default(),
        name: project.name_any(),
        openbao_namespace: provisioned.openbao_namespace.clone(),
        deletion_policy: project.spec.lifecycle.deletion_policy,
    }
}

async fn remove_provisioned(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
    provisioned: &Provisioned,
) -> Result<(), Error> {
    let session = session(context, dependencies, &cluster_name(provisioned, project)).await?;
    let mark = context.mark("SecretsProject", Name::of(project));
    let namespace = NamespacePath::new(&provisioned.openbao_namespace);
    remove(&session, &namespace, &mark, project.spec.lifecycle.deletion_policy).await
}

async fn session(context: &Context, dependencies: &Dependencies, cluster: &Name) -> Result<Session, Error> {
    let cluster: Arc<OpenBaoCluster> = context.stores.existing(dependencies, cluster)?;
    context.sessions.operator(dependencies, &cluster).await
}

/// A right was withdrawn: nobody gets in any more. Engines and values stay.
pub(super) async fn withdraw(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Result<(), Error> {
    let Some(provisioned) = provisioned(context, project) else {
        return Ok(());
    };
    if project.spec.lifecycle.mode == Mode::Observe {
        return Ok(());
    }
    let session = session(context, dependencies, &cluster_name(&provisioned, project)).await?;
    let namespace = NamespacePath::new(&provisioned.openbao_namespace);
    let mark = context.mark("SecretsProject", Name::of(project));
    match ours(&session, &namespace, &mark).await? {
        true => remove_ways_in(&session.within(namespace.as_str()), &mark).await,
        false => Ok(()),
    }
}

/// Whether the namespace is there and carries the mark.
async fn ours(session: &Session, namespace: &NamespacePath, mark: &Mark) -> Result<bool, Error> {
    let Some((parent, name)) = namespace.split() else {
        return Ok(false);
    };
    match session.within(parent.as_str()).child_namespace(name).await? {
        Some(found) if found.tainted => {
            Err(Error::Deleting(format!("namespace {namespace} is being deleted in OpenBao")))
        }
        found => Ok(found.and_then(|found| Mark::of_metadata(&found.custom_metadata)).as_ref() == Some(mark)),
    }
}

/// Removes a project. What in its namespace is not ours stays, and the namespace with it.
async fn remove(
    session: &Session,
    namespace: &NamespacePath,
    mark: &Mark,
    policy: DeletionPolicy,
) -> Result<(), Error> {
    if !ours(session, namespace, mark).await? {
        return Ok(());
    }
    let inside = session.within(namespace.as_str());
    remove_ways_in(&inside, mark).await?;
    if policy == DeletionPolicy::Retain {
        return Ok(());
    }
    let mut foreign = false;
    for (path, mount) in inside.mounts().await? {
        match Mark::read(&mount.description).as_ref() == Some(mark) {
            true => inside.disable_mount(path.trim_end_matches('/')).await?,
            false => foreign |= !BUILT_IN.contains(&path.as_str()),
        }
    }
    foreign |= inside.auth_mounts().await?.keys().any(|path| !BUILT_IN.contains(&path.as_str()));
    let Some((parent, name)) = namespace.split().filter(|_| !foreign) else {
        return Ok(());
    };
    match session.within(parent.as_str()).delete_namespace(name).await? {
        NamespaceDeletion::InProgress => {
            Err(Error::Deleting(format!("namespace {namespace} is being deleted in OpenBao")))
        }
        NamespaceDeletion::Gone | NamespaceDeletion::HasChildren => Ok(()),
    }
}

/// Auth mounts first: who is in by then loses what the policies gave.
async fn remove_ways_in(inside: &Session, mark: &Mark) -> Result<(), Error> {
    for path in [PIPELINE_MOUNT, WORKLOAD_MOUNT] {
        let mount = inside.auth_mount(path).await?;
        if mount.is_some_and(|mount| Mark::read(&mount.description).as_ref() == Some(mark)) {
            inside.disable_auth(path).await?;
        }
    }
    for prefix in ["pipelines", "workloads"] {
        for (name, policy) in inside.policies_below(prefix).await? {
            if policy_owner(&policy.policy).as_ref() == Some(mark) {
                inside.delete_policy(&name).await?;
            }
        }
    }
    Ok(())
}

/// Removes what deleted objects left behind; what is still left afterwards. An object made again owns its things again.
pub(crate) async fn remove_orphans(
    context: &Context,
    session: &Session,
    orphans: Vec<Orphan>,
) -> Vec<Orphan> {
    let mut left = Vec::new();
    for orphan in orphans {
        let mark = context.mark(&orphan.kind, Name::new(&orphan.namespace, &orphan.name));
        let namespace = NamespacePath::new(&orphan.openbao_namespace);
        let below = format!("{namespace}/");
        let holds_another = left.iter().any(|other: &Orphan| other.openbao_namespace.starts_with(&below));
        let removed = match orphan.kind.as_str() {
            _ if context.lives(&mark) => Ok(()),
            _ if holds_another => Err(Error::Deleting(format!("namespace {namespace} holds another orphan"))),
            "SecretsTenant" => {
                remove_namespaces(context, session, &namespace, &mark, orphan.deletion_policy).await
            }
            _ => remove(session, &namespace, &mark, orphan.deletion_policy).await,
        };
        if let Err(error) = removed {
            let error = &error as &dyn std::error::Error;
            tracing::info!(namespace = %namespace, error, "an orphan is still there");
            left.push(orphan);
        }
    }
    left
}

/// A deletion that cannot be carried out: before the deadline it is tried again; after it, what is left is handed to
/// the parent and the object may go.
pub(crate) async fn give_up<K>(
    context: &Context,
    object: &K,
    lifecycle: &Lifecycle,
    error: Error,
    (orphans, cluster, tenant): (Vec<Orphan>, Name, Option<Name>),
) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let since = object.meta().deletion_timestamp.as_ref().map_or_else(Timestamp::now, |at| at.0);
    let passed = Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default();
    let left = lifecycle.deletion_deadline.get().saturating_sub(passed);
    if matches!(error, Error::Deleting(_)) || !error.is_out_of_reach() {
        return Err(error);
    }
    if !left.is_zero() {
        let pause = (left + Duration::from_millis(100)).min(Duration::from_secs(5));
        return Err(Error::DeletionWaits(Box::new(error), pause));
    }
    let note = format!(
        "deleted without OpenBao, which was out of reach for the whole deletionDeadline: {} is left there and will be removed when it is back",
        orphans.iter().map(|orphan| orphan.openbao_namespace.as_str()).collect::<Vec<_>>().join(", ")
    );
    context.runtime.events.warn(object, Reason::Deleting, &note).await;
    hand_over(context, orphans, &cluster, tenant).await
}

/// To the tenant, or to the cluster when that is gone; when both are, the Event was all there is to say.
async fn hand_over(
    context: &Context,
    orphans: Vec<Orphan>,
    cluster: &Name,
    tenant: Option<Name>,
) -> Result<(), Error> {
    let tenant = tenant.and_then(|name| context.stores.tenants.get(&name));
    if let Some(tenant) = tenant.filter(|tenant| tenant.metadata.deletion_timestamp.is_none()) {
        let mut status: SecretsTenantStatus = context.last(&*tenant);
        remember(&mut status.orphans, orphans);
        context.runtime.statuses.write(&*tenant, &status).await?;
    } else if let Some(cluster) = context.stores.clusters.get(cluster) {
        let mut status: OpenBaoClusterStatus = context.last(&*cluster);
        remember(&mut status.orphans, orphans);
        context.runtime.statuses.write(&*cluster, &status).await?;
    }
    Ok(())
}

fn remember(known: &mut Vec<Orphan>, orphans: Vec<Orphan>) {
    for orphan in orphans {
        if !known.contains(&orphan) {
            known.push(orphan);
        }
    }
}
