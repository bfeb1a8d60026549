//! Deletion of a cluster: its pods, then the roles of its nodes. Its data only if a user has consented twice.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::DeleteParams;
use steamer_api::{DeletionPolicy, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::ownership::finalizer::has_finalizer;
use steamer_runtime::{Action, Dependencies, Reason, describe};

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::database::schema::Occupant;
use crate::guard::registry::Guards;
use crate::guard::target::GuardTarget;
use crate::managed::fetch::fetch;
use crate::managed::validate::validate;
use crate::objects::seal::static_secret;
use crate::seal::recovery::RecoveryKeys;

/// Annotation of an OpenBaoCluster: consent to delete its data. Its value is the name of the cluster.
const DELETE_DATA: &str = "steamer.dev/delete-data";
/// Time in seconds after which a cluster is deleted although its database is unreachable.
const DEADLINE: i64 = 600;
/// Interval between two attempts to clean the database.
const PAUSE: Duration = Duration::from_secs(5);

/// Permission to delete a cluster.
pub(crate) struct Deletion<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) guards: &'a Guards,
    pub(crate) dependencies: &'a Dependencies,
    pub(crate) child_api: &'a ChildApi<'a>,
}

pub(crate) async fn delete(deletion: &Deletion<'_>, object: &OpenBaoCluster) -> Result<Action, Error> {
    let Deletion { context, guards, child_api, .. } = deletion;
    if !has_finalizer(object) {
        return Ok(Action::AwaitChange);
    }
    // The guard would report the terminating leader as lost.
    guards.stop(&child_api.cluster);
    child_api.remove::<StatefulSet>(&child_api.cluster.name).await?;
    let pods = child_api.servers().len();
    if pods > 0 {
        return Err(Error::Deleting(format!("{pods} pods terminate")));
    }
    if let Err(error) = clean(deletion, object).await {
        let note = give_up(object, error)?;
        context.runtime.events.warn(object, Reason::Deleting, &note).await;
    }
    context.remove_finalizer(object).await?;
    Ok(Action::AwaitChange)
}

/// Text of an Event, if the deletion completes in spite of the error: after the deadline, or if a referenced object is
/// gone.
fn give_up(object: &OpenBaoCluster, error: Error) -> Result<String, Error> {
    let since = object.metadata.deletion_timestamp.as_ref().map_or(0, |at| at.0.as_second());
    let is_late = Timestamp::now().as_second() > since + DEADLINE;
    let text = describe(&error);
    match error {
        error if is_late || matches!(error, Error::NotFound { .. }) => {
            drop(error);
            Ok(format!("deleted although its data and the roles of its nodes remain in the database: {text}"))
        }
        error @ (Error::Conflict(_) | Error::Invalid(_)) => Err(error),
        _ => {
            let text = format!("the roles of the nodes cannot be removed from the database: {text}");
            Err(Error::DeletionWaits(Box::new(Error::Waiting(text)), PAUSE))
        }
    }
}

/// Removes the roles of the nodes, and the data if its deletion is requested.
async fn clean(deletion: &Deletion<'_>, object: &OpenBaoCluster) -> Result<(), Error> {
    let Deletion { context, guards, dependencies, child_api } = deletion;
    let found = fetch(context, dependencies, object).await?;
    let cluster = validate(object, &found)?;
    let ca = context.managed_ca(dependencies, object).await.ok();
    let target = guards.target(context, ca, &cluster);
    let cleaned = clean_alone(child_api, object, (&cluster, &target)).await;
    target.links.owner.disconnect().await;
    cleaned
}

/// Cleans the database, unless another Steamer uses it: that of a copy of the Kubernetes cluster must not drop the roles
/// and the data of the original.
///
/// All statements are urgent: a deletion completes at its deadline without them, so none of its attempts may be refused because
/// another cluster got no answer from the server.
async fn clean_alone(
    child_api: &ChildApi<'_>,
    object: &OpenBaoCluster,
    (cluster, target): (&Cluster, &GuardTarget),
) -> Result<(), Error> {
    target.fence_links.owner.claim(&target.mark).await?;
    if let Some(role_admin) = target.role_admin() {
        let roles = role_admin.admin.node_roles(cluster.name(), role_admin.mark).await?;
        for role in roles.iter().filter(|role| role.own) {
            role_admin.drop_role(&role.name).await?;
        }
    }
    if cluster.spec.deletion_policy == DeletionPolicy::Delete {
        check_consent(object, cluster)?;
        delete_data(child_api, cluster, target).await?;
    }
    Ok(())
}

fn check_consent(object: &OpenBaoCluster, cluster: &Cluster) -> Result<(), Error> {
    if object.annotations().get(DELETE_DATA).map(String::as_str) == Some(cluster.name()) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "deletionPolicy is Delete: annotate this OpenBaoCluster with {DELETE_DATA}={} to delete all its secrets, or set \
         deletionPolicy to Retain. Without either, it is deleted after 10 minutes, and its data is kept",
        cluster.name()
    )))
}

async fn delete_data(child_api: &ChildApi<'_>, cluster: &Cluster, target: &GuardTarget) -> Result<(), Error> {
    let owner = &target.fence_links.owner;
    if owner.tables(&target.mark).await?.occupant == Occupant::Own {
        owner.drop_tables().await?;
    }
    let keys = RecoveryKeys::last(cluster).secret_name(&child_api.all());
    let mut names: Vec<String> = keys.into_iter().collect();
    names.extend(cluster.spec.seal.r#static.as_ref().map(|seal| static_secret(cluster, seal)));
    for name in names {
        // Steamer does not delete a Secret that it did not create.
        if let Some(secret) = child_api.get::<Secret>(&name) {
            let parameters = DeleteParams::default();
            child_api.api::<Secret>().delete(&secret.name_any(), &parameters).await.map(drop)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::kubernetes::Access;
    use crate::tests::object;
    use crate::tests::postgres::Outage;

    #[tokio::test]
    async fn a_deletion_asks_a_server_that_did_not_answer_another_cluster() {
        let outage = Outage::new().await;
        let access = Access::new(&outage.context, &outage.cluster, &outage.target);
        let cleaned = clean_alone(&access.child_api(), &object(), (&outage.cluster, &outage.target)).await;
        assert!(cleaned.is_err());
        assert_eq!(outage.connections(), 2);
    }
}
