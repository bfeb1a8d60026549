//! Controller of OpenBaoCluster: reconciles managed clusters and observes external servers.

use std::sync::Arc;

use steamer_api::{Kind, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies, ObjectName, Reconcile};

use crate::guard::registry::Guards;
use crate::managed::Background;
use crate::nodes::turns::Turns;
use crate::relay::registry::Relays;
use crate::{children, external, managed};

/// Controller of OpenBaoCluster.
pub(crate) struct Controller {
    context: Arc<Context>,
    pub(crate) guards: Arc<Guards>,
    relays: Relays,
    turns: Turns,
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>, guards: Arc<Guards>) -> Self {
        Self { context, guards, relays: Relays::default(), turns: Turns::default() }
    }
}

impl Reconcile for Controller {
    type Object = OpenBaoCluster;
    type Error = Error;
    const NAME: &'static str = "openbaocluster";

    async fn reconcile(
        &self,
        object: Arc<OpenBaoCluster>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if object.metadata.deletion_timestamp.is_none() {
            self.context.stores.honor(OpenBaoCluster::ID, &ObjectName::of(&*object).namespace)?;
        }
        if object.spec.managed.is_some() {
            children::complete(&self.context).await;
            children::known(&self.context, &ObjectName::of(&*object).namespace)?;
            let background =
                Background { guards: &self.guards, relays: &self.relays, turns: &self.turns };
            managed::reconcile(&self.context, background, dependencies, &object).await
        } else {
            external::reconcile((&self.context, &self.relays), dependencies, &object).await
        }
    }

    /// Keeps the state of a cluster that may exist: its nodes need the guard while the API server refuses the list. A
    /// later list requeues a cluster that was deleted in the meantime.
    fn forget(&self, name: &ObjectName) {
        if self.context.stores.exists(OpenBaoCluster::ID, name) {
            return;
        }
        self.guards.stop(name);
        self.relays.stop(&self.context, name);
        self.turns.give_back(name);
        self.context.cluster_writes.forget(name);
        self.context.runtime.metrics.forget_cluster(name);
    }
}
