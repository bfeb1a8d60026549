//! A server that another tool runs: it is observed, and orphans in it are removed.

mod status;

use std::sync::Arc;
use std::time::Duration;

use steamer_api::{OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::ownership::orphans::is_removable;
use steamer_runtime::{Action, Dependencies, ObjectName};

use crate::managed::Background;
use crate::relay::target;
use crate::server::fetch::fetch;
use crate::server::orphans;

/// Interval between two observations.
const INTERVAL: Duration = Duration::from_secs(10);
/// Interval while orphans are being removed: OpenBao deletes a namespace in the background.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) async fn reconcile(
    context: &Arc<Context>,
    Background { relays, policy_checks, .. }: Background<'_>,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Action, Error> {
    let target = match &object.spec.external {
        Some(server) if !object.spec.suspend => {
            target::external(context, dependencies, (object, server)).await
        }
        _ => Ok(None),
    };
    relays.keep(context, dependencies, (&ObjectName::of(object), target));
    if object.spec.suspend {
        status::suspended(context, object).await?;
        return Ok(Action::AwaitChange);
    }
    let server = fetch((context, policy_checks), dependencies, object).await?;
    let removed = orphans::remove(context, dependencies, object, &server).await;
    status::status(context, object, &server, &removed).await?;
    let status: OpenBaoClusterStatus = context.status(object);
    let is_removing = status.orphans.iter().any(|orphan| is_removable(context, orphan)) && server.serves();
    Ok(Action::After(if is_removing { REMOVAL_INTERVAL } else { INTERVAL }))
}
