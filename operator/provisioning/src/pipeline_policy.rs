//! PipelinePolicy: access of CI jobs to secrets of a project. Several of them can share one OpenBao policy, so the
//! project writes the policies; this controller reports whether the project has applied the object.

pub(crate) mod contexts;
pub(crate) mod in_force;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{ContextPolicy, PipelinePolicy, PipelinePolicyStatus, SecretsProject};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Edges, ObjectName, Reconcile};

use crate::engine::AFTER_EXPIRATION;
use crate::pipelines::JobContext;
use crate::relations::{children, project_of};
use contexts::{contexts_of, is_effective};
use in_force::InForce;
use verdict::verdict;

/// Longest description of a context in a status, in characters.
const LONGEST_CONTEXT: usize = 1024;

/// Controller of PipelinePolicy.
pub(crate) struct Controller {
    pub(crate) context: Arc<Context>,
    pub(crate) in_force: Arc<InForce>,
}

impl Reconcile for Controller {
    type Object = PipelinePolicy;
    type Error = Error;
    const NAME: &'static str = "pipelinepolicy";

    fn edges(policy: &PipelinePolicy) -> Edges {
        Edges { by_spec: vec![children::<PipelinePolicy>(project_of(policy))], ..Edges::of_self(policy) }
    }

    async fn reconcile(
        &self,
        policy: Arc<PipelinePolicy>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        let namespace = policy.namespace().unwrap_or_default();
        let project: Arc<SecretsProject> =
            self.context.stores.resolve(dependencies, &policy.spec.project_ref, &namespace)?;
        let name = ObjectName::of(&*project);
        dependencies.on(InForce::key(&name));
        let in_force = self.in_force.get(&name);
        let Some(verdict) = verdict(in_force.as_deref(), &policy, &project, Timestamp::now()) else {
            return Ok(Action::AwaitChange);
        };
        status(&self.context, &policy, &verdict).await?;
        Ok(until_expiration(&policy, Timestamp::now()))
    }
}

/// The status of a policy changes when it expires.
fn until_expiration(policy: &PipelinePolicy, now: Timestamp) -> Action {
    let left = policy.spec.expires_at.as_ref().map(|at| at.0.duration_since(now));
    match left.and_then(|left| Duration::try_from(left).ok()) {
        Some(left) if !left.is_zero() => Action::After(left + AFTER_EXPIRATION),
        _ => Action::AwaitChange,
    }
}

async fn status(context: &Context, policy: &PipelinePolicy, verdict: &Verdict) -> Result<(), Error> {
    let secrets = i64::try_from(policy.spec.secrets.len()).unwrap_or(i64::MAX);
    let described = |context: JobContext| ContextPolicy {
        name: context.policy_name(),
        context: context.to_string().chars().take(LONGEST_CONTEXT).collect(),
        secrets,
    };
    let effective = is_effective(policy, Timestamp::now());
    let contexts = if effective { contexts_of(policy) } else { Vec::new() };
    let policies = contexts.into_iter().map(described).collect();
    let status = PipelinePolicyStatus { policies, ..context.status(policy) };
    context.report(policy, status, verdict).await
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

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
