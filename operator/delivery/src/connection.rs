//! BaoConnection: checks that the server is reachable.

use std::sync::Arc;
use std::time::Duration;

use steamer_api::{BaoConnection, BaoConnectionStatus};
use steamer_core::context::Context;
use steamer_core::error::{Error, openbao_verdict};
use steamer_openbao::{Error as OpenBao, Health, Identity};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

/// How often a server is checked.
const LOOK: Duration = Duration::from_secs(15);

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
        let server = self.0.connection_server(dependencies, &connection).await?;
        let health = server.client.session(Identity::Anonymous).health().await;
        let verdict = verdict(&server.address, &health);
        status(&self.0, &connection, &server.address, health.ok(), &verdict).await?;
        // A change of the status requeues the objects that read through this connection.
        Ok(Action::After(LOOK))
    }
}

fn verdict(address: &str, health: &Result<Health, OpenBao>) -> Verdict {
    match health {
        Ok(health) if health.sealed => {
            Verdict::Retrying(Reason::Sealed, format!("OpenBao at {address} is sealed"))
        }
        Ok(health) => {
            Verdict::Ready(Reason::Applied, format!("OpenBao {} answers at {address}", health.version))
        }
        Err(error) => openbao_verdict(error),
    }
}

async fn status(
    context: &Context,
    connection: &BaoConnection,
    address: &str,
    health: Option<Health>,
    verdict: &Verdict,
) -> Result<(), Error> {
    let last: BaoConnectionStatus = context.last(connection);
    let version = health.map(|health| health.version).or(last.version.clone());
    let status = BaoConnectionStatus { address: Some(address.to_owned()), version, ..last };
    context.report(connection, status, verdict).await
}
