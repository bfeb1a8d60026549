use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{
    DeletionPolicy, Mode, OpenBaoCluster, Operation, Orphan, SecretsTenant, SecretsTenantStatus,
};
use steamer_openbao::{NamespaceDeletion, NamespacePath, Session};
use steamer_runtime::{Action, Dependencies, Name, Reason};

use super::plan::Step;
use super::{fetch, namespace_of, projects_of};
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Mark;
use crate::references::target;
use crate::secrets_project;

pub(super) async fn apply(session: &Session, plan: &[Step]) -> Result<(), Error> {
    for Step { path, mark, operation } in plan {
        let Some((parent, name)) = path.split() else {
            continue;
        };
        let parent = session.within(parent.as_str());
        match operation {
            Operation::Create => parent.create_namespace(name, &mark.metadata()).await?,
            _ => parent.mark_namespace(name, &mark.metadata()).await?,
        }
    }
    Ok(())
}

/// Removes what deleted projects left behind; what is still left afterwards.
pub(super) async fn adopt_orphans(
    context: &Context,
    tenant: &SecretsTenant,
    session: &Session,
) -> Vec<Orphan> {
    let orphans = context.last::<_, SecretsTenantStatus>(tenant).orphans;
    secrets_project::remove_orphans(context, session, orphans).await
}

/// Projects go first; then the namespaces, if they are to go.
pub(super) async fn delete(
    context: &Context,
    dependencies: &Dependencies,
    tenant: &SecretsTenant,
) -> Result<Action, Error> {
    let name = Name::of(tenant);
    if !tenant.finalizers().iter().any(|finalizer| finalizer == steamer_api::FINALIZER) {
        return Ok(Action::AwaitChange);
    }
    dependencies.on(projects_of(name.clone()));
    let projects = context.stores.projects.filter(|project| secrets_project::tenant_of(project) == name);
    if !projects.is_empty() {
        let names: Vec<String> =
            projects.iter().take(3).map(|project| Name::of(&**project).to_string()).collect();
        return Err(Error::Waiting(format!(
            "deleted after its projects: {} (of {})",
            names.join(", "),
            projects.len()
        )));
    }
    let lifecycle = &tenant.spec.lifecycle;
    let left_alone = lifecycle.suspend || lifecycle.mode == Mode::Observe;
    if left_alone {
        context
            .runtime
            .events
            .warn(tenant, Reason::Suspended, "deleted while suspended or observed: OpenBao is left as it is")
            .await;
    } else if let Err(error) = remove(context, dependencies, tenant).await {
        let orphan = Orphan {
            kind: "SecretsTenant".to_owned(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            openbao_namespace: namespace_of(tenant).as_str().to_owned(),
            deletion_policy: lifecycle.deletion_policy,
        };
        // What its projects left goes before what they lay in.
        let mut orphans = context.last::<_, SecretsTenantStatus>(tenant).orphans;
        orphans.push(orphan);
        let parents = (orphans, cluster_name(tenant), None);
        secrets_project::give_up(context, tenant, lifecycle, error, parents).await?;
    }
    context.release(tenant).await?;
    Ok(Action::AwaitChange)
}

fn cluster_name(tenant: &SecretsTenant) -> Name {
    target(&tenant.spec.cluster_ref, &tenant.namespace().unwrap_or_default())
}

async fn remove(context: &Context, dependencies: &Dependencies, tenant: &SecretsTenant) -> Result<(), Error> {
    let cluster: Arc<OpenBaoCluster> = context.stores.existing(dependencies, &cluster_name(tenant))?;
    let session = context.sessions.operator(dependencies, &cluster).await?;
    // Asks something of OpenBao first: what it answers when it is out of reach is what a deadline is for.
    fetch::levels(&session, &namespace_of(tenant)).await?;
    let left = adopt_orphans(context, tenant, &session).await;
    if !left.is_empty() {
        return Err(Error::Deleting(format!(
            "{} of its projects are still being removed from OpenBao",
            left.len()
        )));
    }
    let mark = context.mark("SecretsTenant", Name::of(tenant));
    remove_namespaces(context, &session, &namespace_of(tenant), &mark, tenant.spec.lifecycle.deletion_policy)
        .await
}

/// Deletes a tenant's namespace, and its organization where no other tenant is in it. With `Retain` a namespace goes
/// only when nothing is in it. What is not ours stays.
pub(crate) async fn remove_namespaces(
    context: &Context,
    session: &Session,
    path: &NamespacePath,
    mark: &Mark,
    policy: DeletionPolicy,
) -> Result<(), Error> {
    if policy == DeletionPolicy::Retain {
        return Ok(());
    }
    let levels = fetch::levels(session, path).await?;
    for (level, found) in levels.into_iter().rev() {
        let Some((parent, name)) = level.split() else {
            continue;
        };
        let expected = if level == *path {
            mark.clone()
        } else {
            context.mark("Organization", Name::new("-", level.as_str()))
        };
        match found {
            Some(found) if Mark::of_metadata(&found.custom_metadata).as_ref() == Some(&expected) => {}
            Some(_) => return Ok(()),
            None => continue,
        }
        match session.within(parent.as_str()).delete_namespace(name).await? {
            NamespaceDeletion::Gone => {}
            NamespaceDeletion::HasChildren => return Ok(()),
            NamespaceDeletion::InProgress => {
                return Err(Error::Deleting(format!("namespace {level} is being deleted in OpenBao")));
            }
        }
    }
    Ok(())
}
