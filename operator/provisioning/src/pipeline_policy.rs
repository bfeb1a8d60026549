//! PipelinePolicy: access of CI jobs to secrets of a project.

pub(crate) mod contexts;

use jiff::Timestamp;
use steamer_api::{ContextPolicy, PipelinePolicy, PipelinePolicyStatus, Reference};
use steamer_core::layout::{PIPELINE_POLICIES, additional_policies};

use crate::grants::{Grant, is_effective};
use crate::pipelines::JobContext;
use contexts::contexts_of;

/// Longest description of a context in a status, in characters.
const LONGEST_CONTEXT: usize = 1024;

impl Grant for PipelinePolicy {
    const NAME: &'static str = "pipelinepolicy";

    fn project_ref(&self) -> &Reference {
        &self.spec.project_ref
    }

    fn expires_at(&self) -> Option<Timestamp> {
        let created = self.metadata.creation_timestamp.as_ref().map(|at| at.0);
        let ttl = self.spec.ttl.as_ref().and_then(|ttl| created?.checked_add(ttl.get()).ok());
        let stated = self.spec.expires_at.as_ref().map(|at| at.0);
        [ttl, stated].into_iter().flatten().min()
    }

    fn is_cancelled(&self) -> bool {
        self.spec.cancelled
    }

    fn summary(&self) -> String {
        let (secrets, contexts) = (self.spec.secrets.len(), contexts_of(self).len());
        format!("grants {} in {}", counted(secrets, "secret"), counted(contexts, "context"))
    }

    fn facts(&self, status: &mut PipelinePolicyStatus, is_effective: bool) {
        let secrets = i64::try_from(self.spec.secrets.len()).unwrap_or(i64::MAX);
        let prefix = policies_of(self);
        let described = |context: JobContext| ContextPolicy {
            name: context.policy_name_below(&prefix),
            context: context.to_string().chars().take(LONGEST_CONTEXT).collect(),
            secrets,
        };
        let contexts = if is_effective { contexts_of(self) } else { Vec::new() };
        status.policies = contexts.into_iter().map(described).collect();
    }
}

/// Returns true if a policy grants its secrets at `now`.
#[must_use]
pub fn is_in_force(policy: &PipelinePolicy, now: Timestamp) -> bool {
    is_effective(policy, now)
}

/// Prefix of the policies that the object contributes to.
pub(crate) fn policies_of(policy: &PipelinePolicy) -> String {
    match &policy.spec.issuer {
        None => PIPELINE_POLICIES.to_owned(),
        Some(issuer) => additional_policies(issuer),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::grants::is_effective;

    fn policy(changes: Value) -> PipelinePolicy {
        let mut spec = json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]});
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let metadata = json!({"name": "all", "creationTimestamp": "1970-01-01T00:00:05Z"});
        let object = json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "PipelinePolicy", "metadata": metadata, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    #[rstest]
    #[case(json!({}), true)]
    #[case(json!({"cancelled": true}), false)]
    #[case(json!({"expiresAt": "1970-01-01T00:00:11Z"}), true)]
    #[case(json!({"expiresAt": "1970-01-01T00:00:10Z"}), false)]
    #[case(json!({"ttl": "6s"}), true)]
    #[case(json!({"ttl": "5s"}), false)]
    #[case(json!({"ttl": "1h", "expiresAt": "1970-01-01T00:00:10Z"}), false)]
    #[case(json!({"ttl": "5s", "expiresAt": "2070-01-01T00:00:10Z"}), false)]
    fn an_expired_or_cancelled_policy_has_no_effect(#[case] changes: Value, #[case] expected: bool) {
        assert_eq!(is_effective(&policy(changes), Timestamp::from_second(10).unwrap()), expected);
    }

    #[rstest]
    #[case(json!({}), "pipelines/branch/6d")]
    #[case(json!({"issuer": "gitea"}), "pipelines_gitea/branch/6d")]
    fn each_issuer_has_its_own_policies(#[case] mut changes: Value, #[case] expected: &str) {
        changes["branches"] = json!(["m"]);
        let mut status = PipelinePolicyStatus::default();
        policy(changes).facts(&mut status, true);
        assert_eq!(status.policies[0].name, expected);
    }
}
