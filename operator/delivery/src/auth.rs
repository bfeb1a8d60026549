//! BaoAuth: checks its references and its method. The ServiceAccount is known only from the objects that use the BaoAuth, so
//! no login is tried here.

use std::sync::Arc;

use steamer_api::{BaoAuth, BaoAuthStatus};
use steamer_core::access::auth::{method_of, server_of};
use steamer_core::access::methods::Method;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = BaoAuth;
    type Error = Error;
    const NAME: &'static str = "baoauth";

    async fn reconcile(&self, auth: Arc<BaoAuth>, dependencies: &Dependencies) -> Result<Action, Error> {
        server_of(&self.0, dependencies, &auth).await?;
        let method = method_of(&self.0, dependencies, &auth)?;
        status(&self.0, &auth, &method).await?;
        Ok(Action::AwaitChange)
    }
}

async fn status(context: &Context, auth: &BaoAuth, method: &Method) -> Result<(), Error> {
    let mount = method.namespace.path(&format!("auth/{}", method.mount));
    let verdict = Verdict::Ready(Reason::Applied, format!("logs in at {mount}"));
    let status = BaoAuthStatus { mount: Some(mount), ..context.last(auth) };
    context.report(auth, status, &verdict).await
}
