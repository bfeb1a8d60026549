//! BaoConnection: whether a server answers.

use std::sync::Arc;
use std::time::Duration;

use steamer_api::{BaoConnection, BaoConnectionStatus};
use steamer_openbao::{Health, Identity};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

use crate::access::connection_server;
use crate::context::Context;
use crate::error::Error;

pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = BaoConnection;
    type Error = Error;
    const NAME: &'static str = "baoconnection";

    async fn reconcile(
        &self,
        connection: Arc<BaoConnection>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        let server = connection_server(&self.0, dependencies, &connection).await?;
        let health = server.client.session(Identity::Anonymous).health().await?;
        status(&self.0, &connection, server.client.address(), &health).await?;
        Ok(Action::After(Duration::from_secs(30)))
    }
}

async fn status(
    context: &Context,
    connection: &BaoConnection,
    address: &str,
    health: &Health,
) -> Result<(), Error> {
    let verdict = if health.sealed {
        Verdict::Retrying(Reason::Sealed, format!("OpenBao at {address} is sealed"))
    } else {
        Verdict::Ready(Reason::Applied, format!("OpenBao {} answers at {address}", health.version))
    };
    let status = BaoConnectionStatus {
        address: Some(address.to_owned()),
        version: Some(health.version.clone()),
        ..context.last(connection)
    };
    context.report(connection, status, &verdict).await
}
