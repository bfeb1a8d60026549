//! Controller of the kinds that grant access to a project.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::SecretsProject;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Edges, ObjectName, Reconcile};

use super::in_force::InForce;
use super::verdict::verdict;
use super::{Grant, is_effective, project_of};
use crate::engine::AFTER_EXPIRATION;
use crate::relations::children;

/// Controller of kind `G`.
pub(crate) struct Controller<G> {
    context: Arc<Context>,
    in_force: Arc<InForce>,
    kind: PhantomData<G>,
}

impl<G: Grant> Controller<G> {
    pub(crate) fn new(context: Arc<Context>, in_force: Arc<InForce>) -> Self {
        Self { context, in_force, kind: PhantomData }
    }

    async fn report(&self, grant: &G, verdict: &Verdict) -> Result<(), Error> {
        let mut status = self.context.status(grant);
        grant.facts(&mut status, is_effective(grant, Timestamp::now()));
        self.context.report(grant, status, verdict).await
    }
}

impl<G: Grant> Reconcile for Controller<G> {
    type Object = G;
    type Error = Error;
    const NAME: &'static str = G::NAME;

    fn edges(grant: &G) -> Edges {
        Edges { by_spec: vec![children::<G>(project_of(grant))], ..Edges::of_self(grant) }
    }

    async fn reconcile(&self, grant: Arc<G>, dependencies: &Dependencies) -> Result<Action, Error> {
        let namespace = grant.namespace().unwrap_or_default();
        let project: Arc<SecretsProject> =
            self.context.stores.resolve(dependencies, grant.project_ref(), &namespace)?;
        let name = ObjectName::of(&*project);
        dependencies.on(InForce::key(&name));
        let in_force = self.in_force.get(&name);
        let Some(verdict) = verdict(in_force.as_deref(), &*grant, &project, Timestamp::now()) else {
            return Ok(Action::AwaitChange);
        };
        self.report(&grant, &verdict).await?;
        Ok(until_expiration(&*grant, Timestamp::now()))
    }
}

/// The status of an object changes when it expires.
fn until_expiration<G: Grant>(grant: &G, now: Timestamp) -> Action {
    let left = grant.expires_at().map(|at| at.duration_since(now));
    match left.and_then(|left| Duration::try_from(left).ok()) {
        Some(left) if !left.is_zero() => Action::After(left + AFTER_EXPIRATION),
        _ => Action::AwaitChange,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::PipelinePolicy;

    use super::*;

    #[rstest]
    #[case::never(None, Action::AwaitChange)]
    #[case::later(Some("1970-01-01T00:00:12Z"), Action::After(Duration::from_millis(2_050)))]
    #[case::now(Some("1970-01-01T00:00:10Z"), Action::AwaitChange)]
    #[case::passed(Some("1970-01-01T00:00:09Z"), Action::AwaitChange)]
    fn the_next_visit_is_after_the_expiration(#[case] expires_at: Option<&str>, #[case] expected: Action) {
        let spec =
            json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}], "expiresAt": expires_at});
        let policy = PipelinePolicy::new("all", serde_json::from_value(spec).unwrap());
        assert_eq!(until_expiration(&policy, Timestamp::from_second(10).unwrap()), expected);
    }
}
