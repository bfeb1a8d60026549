use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{
    Kind, Mode, OpenBaoCluster, Operation, Orphan, SecretsProject, SecretsTenant, SecretsTenantStatus,
};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::finalizer::has_finalizer;
use steamer_core::ownership::orphans::{self, Handover};
use steamer_core::ownership::removal::{Owned, levels, remove_namespaces};
use steamer_core::references::target;
use steamer_openbao::Session;
use steamer_runtime::{Action, Dependencies, ObjectName, Reason};

use crate::project;
use crate::tenant::plan::Step;
use crate::tenant::projects_of;

pub(crate) async fn apply(session: &Session, plan: &[Step]) -> Result<(), Error> {
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
pub(crate) async fn remove_orphans(
    context: &Context,
    tenant: &SecretsTenant,
    session: &Session,
) -> Vec<Orphan> {
    let orphans = context.last::<_, SecretsTenantStatus>(tenant).orphans;
    orphans::remove_orphans(context, session, orphans).await
}

/// Projects go first; then the namespaces, if they are to go.
pub(crate) async fn delete(
    context: &Context,
    dependencies: &Dependencies,
    tenant: &SecretsTenant,
) -> Result<Action, Error> {
    let name = ObjectName::of(tenant);
    if !has_finalizer(tenant) {
        return Ok(Action::AwaitChange);
    }
    dependencies.on(projects_of(name.clone()));
    let projects =
        context.stores.of::<SecretsProject>().filter(|project| project::tenant_of(project) == name);
    if !projects.is_empty() {
        let names: Vec<String> =
            projects.iter().take(3).map(|project| ObjectName::of(&**project).to_string()).collect();
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
            kind: SecretsTenant::KIND.to_owned(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            openbao_namespace: layout::tenant(tenant).as_str().to_owned(),
            deletion_policy: lifecycle.deletion_policy,
        };
        // What its projects left goes before what they lay in.
        let mut orphans = context.last::<_, SecretsTenantStatus>(tenant).orphans;
        orphans.push(orphan);
        let handover = Handover { orphans, cluster: cluster_name(tenant), tenant: None };
        context.hand_over_after_deadline(tenant, lifecycle, error, handover).await?;
    }
    context.remove_finalizer(tenant).await?;
    Ok(Action::AwaitChange)
}

fn cluster_name(tenant: &SecretsTenant) -> ObjectName {
    target(&tenant.spec.cluster_ref, &tenant.namespace().unwrap_or_default())
}

async fn remove(context: &Context, dependencies: &Dependencies, tenant: &SecretsTenant) -> Result<(), Error> {
    let cluster: Arc<OpenBaoCluster> = context.stores.existing(dependencies, &cluster_name(tenant))?;
    let session = context.operator_session(dependencies, &cluster).await?;
    // Asks something of OpenBao first: what it answers when it is out of reach is what a deadline is for.
    levels(&session, &layout::tenant(tenant)).await?;
    let left = remove_orphans(context, tenant, &session).await;
    if !left.is_empty() {
        return Err(Error::Deleting(format!(
            "{} of its projects are still being removed from OpenBao",
            left.len()
        )));
    }
    let mark = context.mark_of(tenant);
    let owned = Owned { mark: &mark, policy: tenant.spec.lifecycle.deletion_policy };
    remove_namespaces(context, &session, &layout::tenant(tenant), owned).await
}
