//! OpenBaoCluster: is it there, does it serve, may the operator do its work.

mod audit;
mod build;
mod certificates;
pub(crate) mod children;
pub(crate) mod cluster;
pub(crate) mod database;
mod fetch;
pub(crate) mod guard;
mod incarnations;
mod managed;
mod members;
mod preflight;
mod recovery;
mod rollout;
mod rotation;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use steamer_api::OpenBaoCluster;
use steamer_runtime::{Action, Dependencies, Name, Reconcile};

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
        if cluster.spec.managed.is_some() {
            return managed::reconcile(&self.0, dependencies, &cluster).await;
        }
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

    fn forget(&self, name: &Name) {
        managed::forget(&self.0, name);
    }
}
