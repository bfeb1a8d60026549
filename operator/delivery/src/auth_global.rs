//! BaoAuthGlobal: checks its server. The BaoAuths that refer to it use its settings.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{BaoAuthGlobal, BaoAuthGlobalStatus, BaoConnection, OpenBaoCluster};
use steamer_core::error::Error;
use steamer_core::served::Form;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

use crate::forms::FormController;

impl<K: Form<BaoAuthGlobal>> Reconcile for FormController<BaoAuthGlobal, K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::CONTROLLER;

    async fn reconcile(&self, global: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        if self.context.let_go(&*global).await? {
            return Ok(Action::AwaitChange);
        }
        let spec = &global.form().spec;
        let (stores, namespace) = (&self.context.stores, global.namespace().unwrap_or_default());
        if let Some(reference) = &spec.connection_ref {
            stores.resolve::<BaoConnection>(dependencies, reference, &namespace)?;
        }
        if let Some(reference) = &spec.cluster_ref {
            stores.resolve::<OpenBaoCluster>(dependencies, reference, &namespace)?;
        }
        let status: BaoAuthGlobalStatus = self.context.status(&*global);
        let verdict = Verdict::Ready(Reason::Applied, "BaoAuths can use these defaults".to_owned());
        self.context.report(&*global, status, &verdict).await?;
        Ok(Action::AwaitChange)
    }
}
