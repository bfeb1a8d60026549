//! PipelinePolicy: what it comes to. The project writes the policies, because several of these share one; this
//! controller tells whether the project has taken this one.

mod in_force;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use in_force::{Contribution, Contributions, InForce};
use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::{ContextPolicy, PipelinePolicy, PipelinePolicyStatus, ProjectPhase, SecretsProject};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::references::target;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Dependencies, Edges, Key, ObjectName, Reason, Reconcile};

use crate::pipelines::{JobContext, Pattern};

/// Controller of PipelinePolicy.
pub(crate) struct Controller {
    pub(crate) context: Arc<Context>,
    pub(crate) in_force: Arc<InForce>,
}

/// The key under which a project waits for its policies.
pub(crate) fn policies_of(project: ObjectName) -> Key {
    Key::new("PipelinePoliciesOf", project)
}

/// The project that a policy is for.
pub(crate) fn project_of(policy: &PipelinePolicy) -> ObjectName {
    target(&policy.spec.project_ref, &policy.namespace().unwrap_or_default())
}

/// The contexts of a policy: every environment with every branch.
pub(crate) fn contexts_of(policy: &PipelinePolicy) -> Vec<JobContext> {
    let spec = &policy.spec;
    let ref_protected = spec.when.as_ref().and_then(|when| when.ref_protected);
    let mut contexts: Vec<JobContext> = patterns(&spec.environments)
        .into_iter()
        .flat_map(|environment| {
            let with_branch =
                move |branch| JobContext { environment: environment.clone(), branch, ref_protected };
            patterns(&spec.branches).into_iter().map(with_branch)
        })
        .collect();
    contexts.sort();
    contexts.dedup();
    contexts
}

/// None stands for "any". One `*` among others makes the others of no account.
fn patterns(texts: &[String]) -> Vec<Option<Pattern>> {
    let patterns: Option<Vec<Pattern>> = texts.iter().map(|text| Pattern::new(text)).collect();
    match patterns {
        Some(patterns) if !patterns.is_empty() => patterns.into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

/// Whether a policy gives anything at `now`, and until when it does.
pub(crate) fn gives(policy: &PipelinePolicy, now: Timestamp) -> bool {
    let expired = policy.spec.expires_at.as_ref().is_some_and(|at| at.0 <= now);
    !policy.spec.cancelled && !expired && policy.metadata.deletion_timestamp.is_none()
}

impl Reconcile for Controller {
    type Object = PipelinePolicy;
    type Error = Error;
    const NAME: &'static str = "pipelinepolicy";

    fn edges(policy: &PipelinePolicy) -> Edges {
        Edges { by_spec: vec![policies_of(project_of(policy))], ..Edges::of_self(policy) }
    }

    async fn reconcile(
        &self,
        policy: Arc<PipelinePolicy>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        let namespace = policy.namespace().unwrap_or_default();
        let project: Arc<SecretsProject> =
            self.context.stores.resolve(dependencies, &policy.spec.project_ref, &namespace)?;
        dependencies.on(InForce::key(&ObjectName::of(&*project)));
        let Some(verdict) = verdict(&self.in_force, &policy, &project, Timestamp::now()) else {
            return Ok(Action::AwaitChange);
        };
        status(&self.context, &policy, &verdict).await?;
        Ok(until_expiry(&policy, Timestamp::now()))
    }
}

/// A policy that will expire is looked at then, for its status to say so.
fn until_expiry(policy: &PipelinePolicy, now: Timestamp) -> Action {
    let left = policy.spec.expires_at.as_ref().map(|at| at.0.duration_since(now));
    match left.and_then(|left| Duration::try_from(left).ok()) {
        Some(left) if !left.is_zero() => Action::After(left + Duration::from_millis(100)),
        _ => Action::AwaitChange,
    }
}

/// None while nothing is known since the start of the process: what the status says still stands.
fn verdict(
    in_force: &InForce,
    policy: &PipelinePolicy,
    project: &SecretsProject,
    now: Timestamp,
) -> Option<Verdict> {
    let name = ObjectName::of(project);
    if project.status.as_ref().is_some_and(|status| status.phase == Some(ProjectPhase::Disabled)) {
        let message = format!("SecretsProject {name} lets nobody in: it, or its tenant, has enabled: false");
        return Some(Verdict::Progressing(Reason::Waiting, message));
    }
    let current = policy.metadata.generation.unwrap_or(0);
    let taken = in_force.get(&name)?;
    let taken =
        taken.0.get(&ObjectName::of(policy)).filter(|taken| Some(&taken.uid) == policy.uid().as_ref());
    Some(match taken {
        Some(taken) if taken.generation == current => match &taken.refused {
            Some(why) => Verdict::Stalled(Reason::Invalid, why.clone()),
            None => applied(policy, now),
        },
        _ => Verdict::Progressing(
            Reason::Waiting,
            format!("SecretsProject {name} has not taken it up: {}", ready(project)),
        ),
    })
}

fn ready(project: &SecretsProject) -> String {
    let conditions = project.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map_or_else(|| "it is new".to_owned(), |ready| format!("{}: {}", ready.reason, ready.message))
}

fn applied(policy: &PipelinePolicy, now: Timestamp) -> Verdict {
    if policy.spec.cancelled {
        return Verdict::Ready(Reason::Disabled, "cancelled: it gives nothing".to_owned());
    }
    if !gives(policy, now) {
        return Verdict::Ready(Reason::Expired, "expired: it gives nothing any more".to_owned());
    }
    let (secrets, contexts) = (policy.spec.secrets.len(), contexts_of(policy).len());
    Verdict::Ready(Reason::Applied, format!("{secrets} secrets can be read in {contexts} contexts"))
}

async fn status(context: &Context, policy: &PipelinePolicy, verdict: &Verdict) -> Result<(), Error> {
    let secrets = i64::try_from(policy.spec.secrets.len()).unwrap_or(i64::MAX);
    let described = |context: JobContext| ContextPolicy {
        name: context.policy_name(),
        context: context.to_string().chars().take(1024).collect(),
        secrets,
    };
    let given = if gives(policy, Timestamp::now()) { contexts_of(policy) } else { Vec::new() };
    let status =
        PipelinePolicyStatus { policies: given.into_iter().map(described).collect(), ..context.last(policy) };
    context.report(policy, status, verdict).await
}
