//! A cluster that Steamer runs: what it is made of is kept as it should be, its pods are replaced in order, and its
//! status tells how it is.

mod apply;
mod certificates;
mod configured;
mod database;
mod delete;
mod exposure;
mod fetch;
mod first_start;
mod keys;
mod leader;
mod logins;
mod migration;
mod restore;
mod rolling;
mod status;
mod summary;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use steamer_api::OpenBaoCluster;
use steamer_runtime::{Action, Dependencies};

use super::children::{Keeper, children_of};
use super::cluster::name;
use super::guard::{Sight, guard_of};
use crate::context::Context;
use crate::error::Error;

/// How often a cluster that serves is looked at; changes of its pods and its leader wake it at once.
const LOOK: Duration = Duration::from_secs(10);
/// How often while something is under way that nothing tells of.
const PROGRESS: Duration = Duration::from_secs(1);

pub(super) async fn reconcile(
    context: &Arc<Context>,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Action, Error> {
    let name = name(object)?;
    dependencies.on(children_of(name.clone()));
    dependencies.on(guard_of(&name));
    if object.metadata.deletion_timestamp.is_some() {
        return delete::delete(context, dependencies, object, name).await;
    }
    if !object.spec.suspend {
        context.hold(object).await?;
    }
    let found = fetch::fetch(context, dependencies, object).await?;
    let (cluster, keys) = validate::validate(object, &found)?;
    let keeper = Keeper { client: context.client.clone(), stores: &context.stores, cluster: name };
    let duty = fetch::duty(context, &keeper, &cluster);
    let sight = if restore::is_under_way(object) {
        // Nobody looks into a database that is being restored.
        context.guards.forget(&cluster.name);
        Sight::default()
    } else {
        context.guards.keep(context, duty.clone())
    };
    let work = apply::Work { context, dependencies, object, cluster: &cluster, keeper: &keeper, duty: &duty };
    let done = work.all(&found, keys, &sight).await?;
    let settled = done.settled();
    status::status(&work, &found, &sight, done).await?;
    Ok(Action::After(if settled { LOOK } else { PROGRESS }))
}

/// The cluster is gone.
pub(super) fn forget(context: &Context, name: &steamer_runtime::Name) {
    context.guards.forget(name);
    context.runtime.metrics.forget_cluster(name);
}
