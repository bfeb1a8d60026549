//! SecretTransformation: checks that its templates and filters can be parsed. The objects that refer to it render them.

use std::sync::Arc;

use steamer_api::{SecretTransformation, SecretTransformationStatus};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, ObjectName, Reason, Reconcile};

use crate::engine::{Definition, Program};

pub(crate) struct Controller(pub(crate) Arc<Context>);

impl Reconcile for Controller {
    type Object = SecretTransformation;
    type Error = Error;
    const NAME: &'static str = "secrettransformation";

    async fn reconcile(
        &self,
        transformation: Arc<SecretTransformation>,
        _dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        Program::parse(&Definition::of(&ObjectName::of(&*transformation), &transformation.spec))?;
        let status: SecretTransformationStatus = self.0.last(&*transformation);
        let verdict = Verdict::Ready(Reason::Applied, "all templates and filters are valid".to_owned());
        self.0.report(&*transformation, status, &verdict).await?;
        Ok(Action::AwaitChange)
    }
}
