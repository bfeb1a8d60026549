//! BaoConnection: checks that the server is reachable.

use std::sync::Arc;
use std::time::Duration;

use steamer_api::{BaoConnection, BaoConnectionStatus};
use steamer_core::context::Context;
use steamer_core::error::{Error, openbao_verdict};
use steamer_core::served::Form;
use steamer_openbao::{Error as OpenBao, Health, Identity};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

use crate::forms::FormController;

/// How often a server is checked.
const LOOK: Duration = Duration::from_secs(15);

impl<K: Form<BaoConnection>> Reconcile for FormController<BaoConnection, K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::CONTROLLER;

    async fn reconcile(&self, connection: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        if self.context.let_go(&*connection).await? {
            return Ok(Action::AwaitChange);
        }
        let server = self.context.connection_server(dependencies, connection.form()).await?;
        let health = server.client.session(Identity::Anonymous).health().await;
        let verdict = verdict(&server.address, &health);
        status(&self.context, &*connection, &server.address, health.ok(), &verdict).await?;
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

async fn status<K: Form<BaoConnection>>(
    context: &Context,
    connection: &K,
    address: &str,
    health: Option<Health>,
    verdict: &Verdict,
) -> Result<(), Error> {
    let last: BaoConnectionStatus = context.status(connection);
    let version = health.map(|health| health.version).or(last.version.clone());
    let status = BaoConnectionStatus { address: Some(address.to_owned()), version, ..last };
    context.report(connection, status, verdict).await
}
