//! OpenBaoCluster: is it there, does it serve, may the operator do its work.

use std::sync::Arc;
use std::time::Duration;

use steamer_api::OpenBaoCluster;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies, ObjectName, Reconcile};

use crate::guard::Guards;
use crate::{external, managed, server};

/// How often a server is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Controller of OpenBaoCluster.
pub(crate) struct Controller {
    pub(crate) context: Arc<Context>,
    /// Guards of the leaders of managed clusters.
    pub(crate) guards: Guards,
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context, guards: Guards::default() }
    }
}

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
            return managed::reconcile(self, dependencies, &cluster).await;
        }
        if cluster.spec.suspend {
            external::suspended(&self.context, &cluster).await?;
            return Ok(Action::AwaitChange);
        }
        let seen = server::fetch(&self.context, dependencies, &cluster).await?;
        let orphans = server::remove_orphans(&self.context, dependencies, &cluster, &seen).await;
        let busy = !orphans.is_empty() && seen.serves();
        external::status(&self.context, &cluster, &seen, orphans).await?;
        Ok(Action::After(if busy { Duration::from_secs(2) } else { LOOK }))
    }

    fn forget(&self, name: &ObjectName) {
        managed::forget(self, name);
    }
}
