//! Contexts of a PipelinePolicy.

use jiff::Timestamp;
use steamer_api::PipelinePolicy;

use crate::pipelines::{JobContext, Pattern, branch_mistake, environment_mistake};

/// The contexts of a policy: each of its environments with each of its branches.
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

/// Patterns of a list. None stands for any name. A single `*` makes the other patterns redundant.
fn patterns(texts: &[String]) -> Vec<Option<Pattern>> {
    let patterns: Option<Vec<Pattern>> = texts.iter().map(|text| Pattern::new(text)).collect();
    match patterns {
        Some(patterns) if !patterns.is_empty() => patterns.into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

/// The first pattern that no job can match.
pub(crate) fn mistake(policy: &PipelinePolicy) -> Option<String> {
    let spec = &policy.spec;
    let branches = spec.branches.iter().filter_map(|text| branch_mistake(text));
    let environments = spec.environments.iter().filter_map(|text| environment_mistake(text));
    branches.chain(environments).next()
}

/// Returns true if a policy grants its secrets at `now`.
pub(crate) fn is_effective(policy: &PipelinePolicy, now: Timestamp) -> bool {
    let expired = policy.spec.expires_at.as_ref().is_some_and(|at| at.0 <= now);
    !policy.spec.cancelled && !expired && policy.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn policy(changes: Value) -> PipelinePolicy {
        let mut spec = json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]});
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        PipelinePolicy::new("all", serde_json::from_value(spec).unwrap())
    }

    #[rstest]
    #[case::any(json!({}), "any job")]
    #[case::product(json!({"environments": ["prod", "dev"], "branches": ["main", "x"]}), "environment dev, branch main; environment dev, branch x; environment prod, branch main; environment prod, branch x")]
    #[case::duplicates(json!({"branches": ["main", "main"]}), "branch main")]
    #[case::single_star(json!({"environments": ["prod", "*"], "branches": ["main"]}), "branch main")]
    #[case::protected(json!({"when": {"refProtected": true}}), "ref protected")]
    fn a_policy_has_a_context_for_each_environment_and_branch(
        #[case] changes: Value,
        #[case] expected: &str,
    ) {
        let contexts = contexts_of(&policy(changes));
        let described: Vec<String> = contexts.iter().map(ToString::to_string).collect();
        assert_eq!(described.join("; "), expected);
    }

    #[rstest]
    #[case(json!({}), true)]
    #[case(json!({"cancelled": true}), false)]
    #[case(json!({"expiresAt": "1970-01-01T00:00:11Z"}), true)]
    #[case(json!({"expiresAt": "1970-01-01T00:00:10Z"}), false)]
    fn an_expired_or_cancelled_policy_has_no_effect(#[case] changes: Value, #[case] expected: bool) {
        assert_eq!(is_effective(&policy(changes), Timestamp::from_second(10).unwrap()), expected);
    }
}
