//! The end of a cluster: its pods, then the logins of its nodes; its data only when that was asked for twice.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::DeleteParams;
use steamer_api::{DeletionPolicy, FINALIZER, OpenBaoCluster};
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies, ObjectName, Reason, describe};

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::controller::Controller;
use crate::database::incarnations::RoleAdmin;
use crate::database::schema::Occupant;
use crate::guard::GuardTarget;
use crate::managed::fetch;
use crate::managed::fetch::{Found, fetch, guard_target, mark};
use crate::managed::validate::validate;
use crate::objects::seal::static_secret;

/// With the cluster's name: consent to delete its data.
const DELETE_DATA: &str = "steamer.dev/delete-data";
/// How long a database is waited for.
const DEADLINE: i64 = 600;

pub(crate) async fn delete(
    controller: &Controller,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
    name: ObjectName,
) -> Result<Action, Error> {
    let context = &controller.context;
    if !object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(Action::AwaitChange);
    }
    // Nobody is to call a leader lost that goes in its own time.
    controller.guards.forget(&name);
    let child_api =
        ChildApi { client: context.client.clone(), stores: &context.cluster_objects, cluster: name.clone() };
    child_api.remove::<StatefulSet>(&name.name).await?;
    let pods = child_api.all::<Pod>().len();
    if pods > 0 {
        return Err(Error::Deleting(format!("{pods} pods end")));
    }
    let cleared = clear(controller, dependencies, object, &child_api).await;
    if let Err(error) = cleared {
        let since = object.metadata.deletion_timestamp.as_ref().map_or(0, |at| at.0.as_second());
        let late = Timestamp::now().as_second() > since + DEADLINE;
        if !late && !matches!(error, Error::NotFound { .. }) {
            let text = format!("the database is not cleared of this cluster's logins: {}", describe(&error));
            return Err(match error {
                Error::Conflict(_) | Error::Invalid(_) => error,
                _ => Error::DeletionWaits(Box::new(Error::Waiting(text)), Duration::from_secs(5)),
            });
        }
        let note = format!("let go with the logins of its nodes still in the database: {}", describe(&error));
        context.runtime.events.warn(object, Reason::Deleting, &note).await;
    }
    context.remove_finalizer(object).await?;
    Ok(Action::AwaitChange)
}

async fn clear(
    controller: &Controller,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
    child_api: &ChildApi<'_>,
) -> Result<(), Error> {
    let context = &controller.context;
    let found: Found = fetch(context, dependencies, object).await?;
    let spec = fetch::spec(object)?;
    let (cluster, _) = validate(object, &found)?;
    let guard_target = guard_target(controller, child_api, &cluster);
    let mark = mark(context, &cluster);
    if let Some(admin) = &guard_target.admin {
        let role_admin = RoleAdmin { owner: &guard_target.owner, admin, mark: &mark };
        for role in admin.node_roles(&cluster.name.name, &mark).await?.iter().filter(|role| role.own) {
            admin.end_sessions(&role.name).await?;
            role_admin.forget(&role.name).await?;
        }
    }
    if spec.deletion_policy == DeletionPolicy::Delete {
        delete_data(object, child_api, &cluster, &guard_target).await?;
    }
    Ok(())
}

async fn delete_data(
    object: &OpenBaoCluster,
    child_api: &ChildApi<'_>,
    cluster: &Cluster,
    guard_target: &GuardTarget,
) -> Result<(), Error> {
    if object.annotations().get(DELETE_DATA) != Some(&cluster.name.name) {
        return Err(Error::Invalid(format!(
            "deletionPolicy is Delete: annotate this OpenBaoCluster with {DELETE_DATA}={} and all its secrets are gone, or \
             set deletionPolicy to Retain",
            cluster.name.name
        )));
    }
    if guard_target.owner.occupant(&guard_target.mark).await? == Occupant::Own {
        guard_target.owner.drop_tables().await?;
    }
    let mut names = vec![cluster.recovery_secret()];
    names.extend(cluster.spec.seal.r#static.as_ref().map(|seal| static_secret(cluster, seal)));
    for name in names {
        // One that someone else has made stays.
        if let Some(secret) = child_api.get::<Secret>(&name) {
            let parameters = DeleteParams::default();
            child_api.api::<Secret>().delete(&secret.name_any(), &parameters).await.map(drop)?;
        }
    }
    Ok(())
}
