//! SecretTransformation: checks that its templates and filters can be parsed. The objects that refer to it render them.

use std::sync::Arc;

use steamer_api::{SecretTransformation, SecretTransformationStatus};
use steamer_core::error::Error;
use steamer_core::served::Form;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, ObjectName, Reason, Reconcile};

use crate::engine::{Definition, Program};
use crate::forms::FormController;

impl<K: Form<SecretTransformation>> Reconcile for FormController<SecretTransformation, K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::CONTROLLER;

    async fn reconcile(&self, transformation: Arc<K>, _dependencies: &Dependencies) -> Result<Action, Error> {
        if self.context.let_go(&*transformation).await? {
            return Ok(Action::AwaitChange);
        }
        let name = ObjectName::of(&*transformation);
        Program::parse(&Definition::of(&name, &transformation.form().spec))?;
        let status: SecretTransformationStatus = self.context.status(&*transformation);
        let verdict = Verdict::Ready(Reason::Applied, "all templates and filters are valid".to_owned());
        self.context.report(&*transformation, status, &verdict).await?;
        Ok(Action::AwaitChange)
    }
}
