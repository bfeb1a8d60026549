//! Status of a server that another tool runs.

use jiff::Timestamp;
use steamer_api::{ClusterPhase, OpenBaoCluster, OpenBaoClusterStatus, Orphan};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;
use steamer_runtime::conditions::{Conditions, Verdict};

use crate::relay::condition;
use crate::server::orphans::without;
use crate::server::verdict::verdict;
use crate::server::{Server, conditions};

pub(super) async fn suspended(context: &Context, object: &OpenBaoCluster) -> Result<(), Error> {
    context.report(object, context.status(object), &Verdict::Suspended).await
}

pub(super) async fn status(
    context: &Context,
    object: &OpenBaoCluster,
    server: &Server,
    removed: &[Orphan],
) -> Result<(), Error> {
    let mut status: OpenBaoClusterStatus = context.status(object);
    let generation = object.metadata.generation.unwrap_or(0);
    let set = &mut Conditions::new(&mut status.common.conditions, generation, Timestamp::now());
    conditions::set(set, server);
    condition::set(set, context, &ObjectName::of(object));
    if let Ok(health) = &server.health {
        status.version =
            Some(health.version.clone()).filter(|version| !version.is_empty()).or(status.version);
        status.initialized = Some(health.initialized);
        status.cluster_id = Some(health.cluster_id.clone()).filter(|id| !id.is_empty()).or(status.cluster_id);
    }
    status.phase = Some(if server.serves() { ClusterPhase::Running } else { ClusterPhase::Unavailable });
    status.endpoint = Some(object.spec.external_url.clone().unwrap_or_else(|| object.address()));
    status.orphans = without(status.orphans, removed);
    context.report(object, status, &verdict(&object.address(), server)).await
}
