//! A cluster that Steamer runs: what it is made of is kept as it should be, its pods are replaced in order, and its
//! status tells how it is.

pub(crate) mod apply;
mod delete;
pub(crate) mod fetch;
mod status;
mod summary;
mod validate;

use std::time::Duration;

use steamer_api::OpenBaoCluster;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies};

use crate::children::{ChildApi, children_of};
use crate::cluster::name;
use crate::controller::Controller;
use crate::guard::{GuardReport, guard_of};
use crate::restore;

/// How often a cluster that serves is looked at; changes of its pods and its leader wake it at once.
const LOOK: Duration = Duration::from_secs(10);
/// How often while something is under way that nothing tells of.
const PROGRESS: Duration = Duration::from_secs(1);

pub(crate) async fn reconcile(
    controller: &Controller,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Action, Error> {
    let Controller { context, guards } = controller;
    let name = name(object)?;
    dependencies.on(children_of(name.clone()));
    dependencies.on(guard_of(&name));
    if object.metadata.deletion_timestamp.is_some() {
        return delete::delete(controller, dependencies, object, name).await;
    }
    if !object.spec.suspend {
        context.add_finalizer(object).await?;
    }
    let found = fetch::fetch(context, dependencies, object).await?;
    let (cluster, keys) = validate::validate(object, &found)?;
    let child_api =
        ChildApi { client: context.client.clone(), stores: &context.cluster_objects, cluster: name };
    let guard_target = fetch::guard_target(controller, &child_api, &cluster);
    let guard_report = if restore::is_under_way(object) {
        // Nobody looks into a database that is being restored.
        guards.forget(&cluster.name);
        GuardReport::default()
    } else {
        guards.keep(context, guard_target.clone())
    };
    let work = apply::Work {
        context,
        dependencies,
        object,
        cluster: &cluster,
        child_api: &child_api,
        guard_target: &guard_target,
    };
    let done = work.all(&found, keys, &guard_report).await?;
    let settled = done.settled();
    status::status(&work, &found, &guard_report, done).await?;
    Ok(Action::After(if settled { LOOK } else { PROGRESS }))
}

/// The cluster is gone.
pub(crate) fn forget(controller: &Controller, name: &steamer_runtime::ObjectName) {
    controller.guards.forget(name);
    controller.context.runtime.metrics.forget_cluster(name);
}
