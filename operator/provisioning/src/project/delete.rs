//! Taking a project out of OpenBao: the ways in first, then what they led to.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{Kind, Mode, OpenBaoCluster, Orphan, Provisioned, SecretsProject, SecretsProjectStatus};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::ownership::finalizer::has_finalizer;
use steamer_core::ownership::orphans::Handover;
use steamer_core::ownership::removal::{Owned, owns_namespace, remove_access, remove_project};
use steamer_core::references::target;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::{Action, Dependencies, ObjectName, Reason};

use crate::project::tenant_of;

pub(crate) async fn delete(
    context: &Context,
    dependencies: &Dependencies,
    project: &SecretsProject,
) -> Result<Action, Error> {
    if !has_finalizer(project) {
        return Ok(Action::AwaitChange);
    }
    let lifecycle = &project.spec.lifecycle;
    let Some(provisioned) = provisioned(context, project) else {
        context.remove_finalizer(project).await?;
        return Ok(Action::AwaitChange);
    };
    if lifecycle.suspend || lifecycle.mode == Mode::Observe {
        let note = "deleted while suspended or observed: OpenBao is left as it is";
        context.runtime.events.warn(project, Reason::Suspended, note).await;
    } else if let Err(error) = remove_provisioned(context, dependencies, project, &provisioned).await {
        let cluster = cluster_name(&provisioned, project);
        let orphans = vec![orphan(project, &provisioned)];
        let handover = Handover { orphans, cluster, tenant: Some(tenant_of(project)) };
        context.hand_over_after_deadline(project, lifecycle, error, handover).await?;
    }
    context.remove_finalizer(project).await?;
    Ok(Action::AwaitChange)
}

fn provisioned(context: &Context, project: &SecretsProject) -> Option<Provisioned> {
    context.last::<_, SecretsProjectStatus>(project).provisioned
}

fn cluster_name(provisioned: &Provisioned, project: &SecretsProject) -> ObjectName {
    target(&provisioned.cluster_ref, &project.namespace().unwrap_or_default())
}

fn orphan(project: &SecretsProject, provisioned: &Provisioned) -> Orphan {
    Orphan {
        kind: SecretsProject::KIND.to_owned(),
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
    let mark = context.mark_of(project);
    let namespace = NamespacePath::new(&provisioned.openbao_namespace);
    let policy = project.spec.lifecycle.deletion_policy;
    remove_project(&session, &namespace, Owned { mark: &mark, policy }).await
}

async fn session(
    context: &Context,
    dependencies: &Dependencies,
    cluster: &ObjectName,
) -> Result<Session, Error> {
    let cluster: Arc<OpenBaoCluster> = context.stores.existing(dependencies, cluster)?;
    context.operator_session(dependencies, &cluster).await
}

/// A right was withdrawn: nobody gets in any more. Engines and values stay.
pub(crate) async fn withdraw(
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
    let mark = context.mark_of(project);
    if owns_namespace(&session, &namespace, &mark).await? {
        remove_access(&session.within(namespace.as_str()), &mark).await?;
    }
    Ok(())
}
