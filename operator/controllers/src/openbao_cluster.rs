//! OpenBaoCluster: is it there, does it serve, may the operator do its work.

mod fetch;
mod status;

use std::sync::Arc;
use std::time::Duration;

use steamer_api::OpenBaoCluster;
use steamer_runtime::{Action, Dependencies, Reconcile};

use crate::context::Context;
use crate::error::Error;

/// How often a server is looked at.
const LOOK: Duration = Duration::from_secs(10);

pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = OpenBaoCluster;
    type Error = Error;
    const NAME: &'static str = "openbaocluster";

    async fn reconcile(
        &self,
        cluster: Arc<OpenBaoCluster>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if cluster.spec.suspend {
            status::suspended(&self.0, &cluster).await?;
            return Ok(Action::AwaitChange);
        }
        let seen = fetch::fetch(&self.0, dependencies, &cluster).await?;
        let orphans = fetch::adopt_orphans(&self.0, dependencies, &cluster, &seen).await;
        let busy = !orphans.is_empty() && seen.serves();
        status::status(&self.0, &cluster, &seen, orphans).await?;
        Ok(Action::After(if busy { Duration::from_secs(2) } else { LOOK }))
    }
}
