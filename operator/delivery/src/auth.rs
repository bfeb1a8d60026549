//! BaoAuth: checks its references and its method. The ServiceAccount is known only from the objects that use the BaoAuth, so
//! no login is tried here.

use std::sync::Arc;

use steamer_api::{BaoAuth, BaoAuthStatus};
use steamer_core::access::auth::{method_of, server_of};
use steamer_core::access::methods::Method;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::served::Form;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Reason, Reconcile};

use crate::forms::FormController;

impl<K: Form<BaoAuth>> Reconcile for FormController<BaoAuth, K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::CONTROLLER;

    async fn reconcile(&self, auth: Arc<K>, dependencies: &Dependencies) -> Result<Action, Error> {
        if self.context.let_go(&*auth).await? {
            return Ok(Action::AwaitChange);
        }
        server_of(&self.context, dependencies, auth.form()).await?;
        let method = method_of(&self.context, dependencies, auth.form())?;
        status(&self.context, &*auth, &method).await?;
        Ok(Action::AwaitChange)
    }
}

async fn status<K: Form<BaoAuth>>(context: &Context, auth: &K, method: &Method) -> Result<(), Error> {
    let mount = method.namespace.path(&format!("auth/{}", method.mount));
    let verdict = Verdict::Ready(Reason::Applied, format!("logs in at {mount}"));
    let status = BaoAuthStatus { mount: Some(mount), ..context.status(auth) };
    context.report(auth, status, &verdict).await
}
