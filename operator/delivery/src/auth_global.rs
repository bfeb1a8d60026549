//! BaoAuthGlobal: checks its server. The BaoAuths that refer to it use its settings.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{BaoAuthGlobal, BaoAuthGlobalStatus, BaoConnection, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = BaoAuthGlobal;
    type Error = Error;
    const NAME: &'static str = "baoauthglobal";

    async fn reconcile(
        &self,
        global: Arc<BaoAuthGlobal>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        let (stores, namespace) = (&self.0.stores, global.namespace().unwrap_or_default());
        if let Some(reference) = &global.spec.connection_ref {
            stores.resolve::<BaoConnection>(dependencies, reference, &namespace)?;
        }
        if let Some(reference) = &global.spec.cluster_ref {
            stores.resolve::<OpenBaoCluster>(dependencies, reference, &namespace)?;
        }
        let status: BaoAuthGlobalStatus = self.0.last(&*global);
        let verdict = Verdict::Ready(Reason::Applied, "BaoAuths can use these defaults".to_owned());
        self.0.report(&*global, status, &verdict).await?;
        Ok(Action::AwaitChange)
    }
}
