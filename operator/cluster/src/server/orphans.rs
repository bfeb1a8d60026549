//! Removal of the resources that deleted tenants and projects left in a server.

use steamer_api::{OpenBaoCluster, Orphan};
use steamer_core::context::Context;
use steamer_core::ownership::orphans;
use steamer_runtime::Dependencies;

use crate::server::Server;

/// Removes the orphans in the status of a cluster. Returns those that remain.
pub(crate) async fn remove(
    context: &Context,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
    server: &Server,
) -> Vec<Orphan> {
    let orphans = object.status.as_ref().map(|status| status.orphans.clone()).unwrap_or_default();
    if orphans.is_empty() || !server.serves() {
        return orphans;
    }
    match context.operator_session(dependencies, object).await {
        Ok(session) => orphans::remove_orphans(context, &session, orphans).await,
        Err(_) => orphans,
    }
}
