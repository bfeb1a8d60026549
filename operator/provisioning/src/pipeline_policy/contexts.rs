//! Contexts of a PipelinePolicy.

use steamer_api::PipelinePolicy;

use crate::pipelines::{Conditions, JobContext, Pattern, branch_mistake, environment_mistake};

/// The contexts of a policy: each of its environments with each of its branches, or each of its scopes.
#[must_use]
pub fn contexts_of(policy: &PipelinePolicy) -> Vec<JobContext> {
    let scopes = &policy.spec.scopes;
    let mut contexts = if scopes.is_empty() {
        of_jobs(policy)
    } else {
        scopes.iter().map(|scope| JobContext::of_scope(scope)).collect()
    };
    contexts.sort();
    contexts.dedup();
    contexts
}

fn of_jobs(policy: &PipelinePolicy) -> Vec<JobContext> {
    let spec = &policy.spec;
    let ref_protected = spec.when.as_ref().and_then(|when| when.ref_protected);
    let when = spec.when.as_ref().map(Conditions::of).unwrap_or_default();
    let environments = patterns(&spec.environments).into_iter();
    let contexts = environments.flat_map(|environment| {
        let when = &when;
        let with_branch = move |branch| JobContext {
            environment: environment.clone(),
            branch,
            ref_protected,
            when: when.clone(),
            scope: None,
        };
        patterns(&spec.branches).into_iter().map(with_branch)
    });
    contexts.collect()
}

/// Patterns of a list. None stands for any name. A single `*` makes the other patterns redundant.
fn patterns(texts: &[String]) -> Vec<Option<Pattern>> {
    let patterns: Option<Vec<Pattern>> = texts.iter().map(|text| Pattern::new(text)).collect();
    match patterns {
        Some(patterns) if !patterns.is_empty() => patterns.into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

/// The first pattern that no job can match. `of_gitlab`: the names of environments follow the rules of GitLab.
pub(crate) fn mistake(policy: &PipelinePolicy, of_gitlab: bool) -> Option<String> {
    let spec = &policy.spec;
    let branches = spec.branches.iter().filter_map(|text| branch_mistake(text));
    let environments = spec.environments.iter().filter(|_| of_gitlab);
    let environments = environments.filter_map(|text| environment_mistake(text));
    branches.chain(environments).next()
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
    #[case::conditions(json!({"branches": ["main"], "when": {"userIds": [7]}}), "branch main, user 7")]
    #[case::scopes(json!({"scopes": ["b", "a"]}), "scope a; scope b")]
    fn a_policy_has_a_context_for_each_environment_and_branch(
        #[case] changes: Value,
        #[case] expected: &str,
    ) {
        let contexts = contexts_of(&policy(changes));
        let described: Vec<String> = contexts.iter().map(ToString::to_string).collect();
        assert_eq!(described.join("; "), expected);
    }
}
