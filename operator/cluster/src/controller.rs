//! Controller of OpenBaoCluster: reconciles managed clusters and observes external servers.

use std::sync::Arc;

use steamer_api::{Kind, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::{Action, Dependencies, ObjectName, Reconcile};

use crate::guard::registry::Guards;
use crate::managed::Background;
use crate::managed::last_valid::LastValid;
use crate::nodes::turns::Turns;
use crate::operator_policy::PolicyChecks;
use crate::relay::registry::Relays;
use crate::{children, external, managed};

/// Controller of OpenBaoCluster.
pub(crate) struct Controller {
    context: Arc<Context>,
    pub(crate) guards: Arc<Guards>,
    relays: Relays,
    turns: Turns,
    policy_checks: PolicyChecks,
    last_valid: LastValid,
}

impl Controller {
    pub(crate) fn new(context: Arc<Context>, guards: Arc<Guards>) -> Self {
        Self {
            context,
            guards,
            relays: Relays::default(),
            turns: Turns::default(),
            policy_checks: PolicyChecks::default(),
            last_valid: LastValid::default(),
        }
    }

    fn background(&self) -> Background<'_> {
        let Self { guards, relays, turns, policy_checks, last_valid, .. } = self;
        Background { guards, relays, turns, policy_checks, last_valid }
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
            managed::reconcile(&self.context, self.background(), dependencies, &object).await
        } else {
            external::reconcile(&self.context, self.background(), dependencies, &object).await
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
        self.policy_checks.forget(name);
        self.last_valid.forget(name);
        self.context.cluster_writes.forget(name);
        self.context.runtime.metrics.forget_cluster(name);
    }
}
