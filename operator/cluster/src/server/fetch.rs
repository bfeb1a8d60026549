//! Reads the state of a server with the operator's own login.

use steamer_api::OpenBaoCluster;
use steamer_core::access::server_audience::server_audience;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::Identity;
use steamer_runtime::Dependencies;

use crate::operator_policy;
use crate::server::Server;

/// Reads the state of a server.
///
/// # Errors
/// If the server cannot be asked at all, for example because a Secret is missing.
pub(crate) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    object: &OpenBaoCluster,
) -> Result<Server, Error> {
    context.safe_audiences(&[server_audience(object)])?;
    let anonymous = context.cluster_server(dependencies, object).await?.client.session(Identity::Anonymous);
    let health = anonymous.health().await;
    let managed = object.spec.managed.is_some();
    let mut server = Server { health, leader: None, missing: Ok(Vec::new()), managed };
    if server.is_open() {
        let session = context.operator_session(dependencies, object).await?;
        server.leader = session.leader().await.ok();
        let needed = operator_policy::needed_rules(object);
        server.missing = operator_policy::missing(&session, &needed).await.map_err(Error::from);
    }
    Ok(server)
}
