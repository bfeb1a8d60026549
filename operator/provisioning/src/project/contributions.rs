//! Grants of all PipelinePolicies of a project.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::PipelinePolicy;
use steamer_runtime::ObjectName;

use crate::pipeline_policy::contexts::{contexts_of, is_effective, mistake};
use crate::pipeline_policy::in_force::{Contribution, Contributions};
use crate::pipelines::{Grants, JobContext, MOST_CODE_POINTS_OF_CONTEXTS, code_points};

/// A login compares each context with the job, so more contexts would make logins slow.
const MOST_CONTEXTS: usize = 256;

/// Grants of all policies together, and the result for each policy.
#[derive(Default)]
pub(crate) struct Merged {
    pub(crate) grants: Grants,
    /// Code points of all contexts in the CEL program.
    code_points: usize,
    pub(crate) contributions: Contributions,
}

/// Merges policies, oldest first: if there are too many contexts, the youngest policies are refused.
pub(crate) fn merged(policies: &[Arc<PipelinePolicy>], now: Timestamp) -> Merged {
    let mut merged = Merged::default();
    for policy in policies {
        merged.add(policy, now);
    }
    merged
}

impl Merged {
    fn add(&mut self, policy: &PipelinePolicy, now: Timestamp) {
        let ended = !is_effective(policy, now);
        let contexts = if ended { Vec::new() } else { contexts_of(policy) };
        let refused = mistake(policy).filter(|_| !ended).or_else(|| self.refused(&contexts));
        let name = ObjectName::of(policy);
        if refused.is_none() {
            self.grant(policy, contexts, &name.to_string());
        }
        let contribution = Contribution {
            uid: policy.uid().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or(0),
            ended,
            refused,
        };
        self.contributions.0.insert(name, contribution);
    }

    fn refused(&self, contexts: &[JobContext]) -> Option<String> {
        let (count, size) = (self.grants.0.len() + self.added(contexts).count(), self.size_with(contexts));
        if count > MOST_CONTEXTS {
            return Some(format!(
                "with this policy, the project would have {count} contexts instead of at most {MOST_CONTEXTS}, and older \
                 policies take precedence: use fewer environments and branches, or patterns"
            ));
        }
        (size > MOST_CODE_POINTS_OF_CONTEXTS).then(|| {
            format!(
                "with this policy, the login program of the project would have {size} characters instead of at most \
                 {MOST_CODE_POINTS_OF_CONTEXTS}, which OpenBao does not accept, and older policies take precedence: use \
                 fewer or shorter environments and branches"
            )
        })
    }

    fn size_with(&self, contexts: &[JobContext]) -> usize {
        self.code_points + self.added(contexts).map(code_points).sum::<usize>()
    }

    fn added<'a>(&'a self, contexts: &'a [JobContext]) -> impl Iterator<Item = &'a JobContext> {
        contexts.iter().filter(|context| !self.grants.0.contains_key(context))
    }

    fn grant(&mut self, policy: &PipelinePolicy, contexts: Vec<JobContext>, granted_by: &str) {
        self.code_points = self.size_with(&contexts);
        let expires_at = policy.spec.expires_at.as_ref().map(|at| at.0);
        for context in contexts {
            for secret in &policy.spec.secrets {
                self.grants.add(context.clone(), &secret.name, expires_at, granted_by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(name: &str, changes: Value) -> Arc<PipelinePolicy> {
        let mut spec = json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]});
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let mut policy = PipelinePolicy::new(name, serde_json::from_value(spec).unwrap());
        policy.metadata.namespace = Some("ns".to_owned());
        policy.metadata.generation = Some(3);
        Arc::new(policy)
    }

    /// A policy with 16 * 15 contexts.
    fn wide(name: &str, start: usize) -> Arc<PipelinePolicy> {
        let names =
            |count: usize| (start..start + count).map(|number| format!("n{number}")).collect::<Vec<_>>();
        policy(name, json!({"environments": names(16), "branches": names(15)}))
    }

    fn refused(merged: &Merged) -> Vec<&str> {
        let contributions = merged.contributions.0.iter();
        let refused = contributions.filter(|(_, contribution)| contribution.refused.is_some());
        refused.map(|(name, _)| name.name.as_str()).collect()
    }

    #[test]
    fn policies_with_the_same_context_are_merged() {
        let policies = [
            policy("a", json!({"branches": ["main"], "expiresAt": "1970-01-01T00:00:20Z"})),
            policy("b", json!({"branches": ["main"], "secrets": [{"name": "B"}]})),
            policy("cancelled", json!({"branches": ["dev"], "cancelled": true})),
            policy("expired", json!({"branches": ["dev"], "expiresAt": "1970-01-01T00:00:01Z"})),
        ];
        let merged = merged(&policies, Timestamp::from_second(10).unwrap());
        let contexts = merged.grants.0.iter();
        let granted: Vec<String> =
            contexts.map(|(context, rules)| format!("{context}: {:?}", rules.keys())).collect();
        assert_eq!(granted, [r#"branch main: ["A", "B"]"#]);
        assert_eq!(merged.grants.next_expiry(), Some(Timestamp::from_second(20).unwrap()));
        assert_eq!(merged.contributions.0.len(), 4);
        assert!(merged.contributions.0.values().all(|it| it.refused.is_none() && it.generation == 3));
    }

    #[test]
    fn the_youngest_policies_are_refused_when_there_are_too_many_contexts() {
        let more = policy("more", json!({"environments": ["x"], "branches": ["y"]}));
        let same = policy("same", json!({"environments": ["n0"], "branches": ["n0"]}));
        let policies = [wide("oldest", 0), wide("refused", 100), more, same];
        let merged = merged(&policies, Timestamp::UNIX_EPOCH);
        assert_eq!(refused(&merged), ["refused"]);
        assert_eq!(merged.grants.0.len(), 16 * 15 + 1);
    }

    #[test]
    fn a_policy_that_openbao_would_not_accept_is_refused_alone() {
        let long = |count: usize| -> Vec<String> {
            (0..count).map(|number| format!("{number:03}{}", "/x".repeat(120))).collect()
        };
        let policies = [
            policy("small", json!({"branches": ["main"]})),
            policy("large", json!({"environments": long(16), "branches": long(15)})),
            policy("later", json!({"branches": ["dev"]})),
        ];
        let merged = merged(&policies, Timestamp::UNIX_EPOCH);
        assert_eq!(refused(&merged), ["large"]);
        assert_eq!(merged.grants.0.len(), 2);
        let reason = merged.contributions.0.values().find_map(|it| it.refused.clone()).unwrap();
        assert!(reason.contains("characters instead of at most 99936"), "{reason}");
    }

    #[test]
    fn a_policy_that_no_job_can_match_is_refused_alone() {
        let policies = [
            policy("expression", json!({"branches": ["main", "^release$"]})),
            policy("cancelled", json!({"environments": ["(a|b)"], "cancelled": true})),
            policy("main", json!({"branches": ["main"]})),
        ];
        let merged = merged(&policies, Timestamp::UNIX_EPOCH);
        assert_eq!(refused(&merged), ["expression"]);
        assert_eq!(merged.grants.0.len(), 1);
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let single = |name: &str| policy(name, json!({"environments": [name]}));
        let names: Vec<String> = (0..=MOST_CONTEXTS).map(|number| format!("p{number}")).collect();
        let policies: Vec<_> = names.iter().map(|name| single(name)).collect();
        let merged = merged(&policies, Timestamp::UNIX_EPOCH);
        assert_eq!(merged.grants.0.len(), MOST_CONTEXTS);
        assert_eq!(refused(&merged), [names[MOST_CONTEXTS].as_str()]);
    }
}
