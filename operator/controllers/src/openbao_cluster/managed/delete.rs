//! The end of a cluster: its pods, then the logins of its nodes; its data only when that was asked for twice.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::DeleteParams;
use steamer_api::{DeletionPolicy, FINALIZER, OpenBaoCluster};
use steamer_runtime::{Action, Dependencies, Name, Reason, describe};

use super::fetch::{self, Found, duty, fetch, mark};
use super::validate::validate;
use crate::context::Context;
use crate::error::Error;
use crate::openbao_cluster::build::seal::static_secret;
use crate::openbao_cluster::children::Keeper;
use crate::openbao_cluster::cluster::Cluster;
use crate::openbao_cluster::database::schema::Occupant;
use crate::openbao_cluster::guard::Duty;
use crate::openbao_cluster::incarnations::Hands;

/// With the cluster's name: consent to delete its data.
const DELETE_DATA: &str = "steamer.dev/delete-data";
/// How long a database is waited for.
const DEADLINE: i64 = 600;

pub(super) async fn delete(
    context: &Arc<Context>,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
    name: Name,
) -> Result<Action, Error> {
    if !object.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(Action::AwaitChange);
    }
    // Nobody is to call a leader lost that goes in its own time.
    context.guards.forget(&name);
    let keeper = Keeper { client: context.client.clone(), stores: &context.stores, cluster: name.clone() };
    keeper.remove::<StatefulSet>(&name.name).await?;
    let pods = keeper.all::<Pod>().len();
    if pods > 0 {
        return Err(Error::Deleting(format!("{pods} pods end")));
    }
    let cleared = clear(context, dependencies, object, &keeper).await;
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
    context.release(object).await?;
    Ok(Action::AwaitChange)
}

async fn clear(
    context: &Arc<Context>,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
    keeper: &Keeper<'_>,
) -> Result<(), Error> {
    let found: Found = fetch(context, dependencies, object).await?;
    let spec = fetch::spec(object)?;
    let (cluster, _) = validate(object, &found)?;
    let duty = duty(context, keeper, &cluster);
    let mark = mark(context, &cluster);
    if let Some(admin) = &duty.admin {
        let hands = Hands { owner: &duty.owner, admin, mark: &mark };
        for role in admin.node_roles(&cluster.name.name, &mark).await?.iter().filter(|role| role.own) {
            admin.end_sessions(&role.name).await?;
            hands.forget(&role.name).await?;
        }
    }
    if spec.deletion_policy == DeletionPolicy::Delete {
        delete_data(object, keeper, &cluster, &duty).await?;
    }
    Ok(())
}

async fn delete_data(
    object: &OpenBaoCluster,
    keeper: &Keeper<'_>,
    cluster: &Cluster,
    duty: &Duty,
) -> Result<(), Error> {
    if object.annotations().get(DELETE_DATA) != Some(&cluster.name.name) {
        return Err(Error::Invalid(format!(
            "deletionPolicy is Delete: annotate this OpenBaoCluster with {DELETE_DATA}={} and all its secrets are gone, or \
             set deletionPolicy to Retain",
            cluster.name.name
        )));
    }
    if duty.owner.occupant(&duty.mark).await? == Occupant::Own {
        duty.owner.drop_tables().await?;
    }
    let mut names = vec![cluster.recovery_secret()];
    names.extend(cluster.spec.seal.r#static.as_ref().map(|seal| static_secret(cluster, seal)));
    for name in names {
        // One that someone else has made stays.
        if let Some(secret) = keeper.get::<Secret>(&name) {
            let parameters = DeleteParams::default();
            keeper.api::<Secret>().delete(&secret.name_any(), &parameters).await.map(drop)?;
        }
    }
    Ok(())
}
