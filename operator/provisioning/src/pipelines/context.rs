//! Contexts of CI jobs and the names of their policies.

use std::fmt;

use steamer_core::digest::{digest, hex};
use steamer_core::layout::PIPELINE_POLICIES;

use crate::pipelines::conditions::Conditions;
use crate::pipelines::pattern::Pattern;

/// Conditions on a job. A field that is None or empty matches every job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobContext {
    /// Environment of the job.
    pub environment: Option<Pattern>,
    /// Branch of the job.
    pub branch: Option<Pattern>,
    /// `true`: the ref of the job must be protected. `false`: it must not be protected.
    pub ref_protected: Option<bool>,
    /// Further conditions.
    pub when: Conditions,
    /// Scope of the token. Such a context has no other conditions.
    pub scope: Option<String>,
}

/// Longest pattern, in bytes, that is part of a name. Longer ones are replaced by a digest, because PostgreSQL rejects
/// index entries of more than 2704 bytes.
const LONGEST: usize = 255;

impl JobContext {
    /// A context of a scope.
    #[must_use]
    pub fn of_scope(scope: &str) -> Self {
        Self { scope: Some(scope.to_owned()), ..Self::default() }
    }

    /// Name of the policy of the context, for the jobs of the project's own issuer.
    #[must_use]
    pub fn policy_name(&self) -> String {
        self.policy_name_below(PIPELINE_POLICIES)
    }

    /// Name of the policy of the context below a prefix. Two contexts never have the same name, even after OpenBao has folded
    /// its case and trimmed it: patterns are lower-case hex, and the other segments determine which patterns exist.
    #[must_use]
    pub fn policy_name_below(&self, prefix: &str) -> String {
        let Self { environment, branch, ref_protected, when, scope } = self;
        let name = match (environment, branch) {
            _ if scope.is_some() => format!("scopes/{}", segment(scope.as_deref().unwrap_or_default())),
            _ if ref_protected.is_some() || !when.is_empty() => {
                format!("when/{}", digest(self.canonical().as_bytes()))
            }
            (None, None) => "global".to_owned(),
            (Some(environment), None) => format!("env/{}", segment(environment.as_str())),
            (None, Some(branch)) => format!("branch/{}", segment(branch.as_str())),
            (Some(environment), Some(branch)) => {
                format!("combined/env/{}/branch/{}", segment(environment.as_str()), segment(branch.as_str()))
            }
        };
        format!("{prefix}/{name}")
    }

    /// Unambiguous text of the context: each pattern is preceded by its length. Further conditions are at the end, so that
    /// contexts without them keep the names of their policies.
    fn canonical(&self) -> String {
        let part = |pattern: &Option<Pattern>| match pattern {
            Some(pattern) => format!("{}:{pattern}", pattern.as_str().len()),
            None => "-".to_owned(),
        };
        let first = format!("{} {} {:?}", part(&self.environment), part(&self.branch), self.ref_protected);
        if self.when.is_empty() { first } else { format!("{first} {}", self.when.canonical()) }
    }
}

fn segment(text: &str) -> String {
    if text.len() > LONGEST {
        // `s` is not a hex digit, so this differs from every short pattern.
        format!("sha256-{}", digest(text.as_bytes()))
    } else {
        hex(text.as_bytes())
    }
}

impl fmt::Display for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.environment.as_ref().map(|pattern| format!("environment {pattern}")));
        parts.extend(self.branch.as_ref().map(|pattern| format!("branch {pattern}")));
        parts.extend(
            self.ref_protected.map(|yes| if yes { "ref protected" } else { "ref not protected" }.to_owned()),
        );
        parts.extend((!self.when.is_empty()).then(|| self.when.to_string()));
        parts.extend(self.scope.as_ref().map(|scope| format!("scope {scope}")));
        f.write_str(&if parts.is_empty() { "any job".to_owned() } else { parts.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z/ *.-]{1,12}",
            "(prod|prUd|main|maOn|K|k|branch/|/branch/|env/|x/branch/y| prod|prod ){1,3}",
            any::<String>().prop_filter("not empty", |text| !text.is_empty()),
            "[a-z]{250,300}",
        ]
    }

    fn conditions() -> impl Strategy<Value = Conditions> {
        let sources = prop::collection::btree_set("[a-z_]{1,4}", 0..3);
        let ids = || prop::collection::btree_set(1_i64..30, 0..3);
        (any::<Option<bool>>(), sources, ids(), ids()).prop_map(
            |(environment_protected, sources, users, pipelines)| Conditions {
                environment_protected,
                tiers: users.iter().map(|_| steamer_api::DeploymentTier::Staging).collect(),
                sources,
                users,
                pipelines,
            },
        )
    }

    fn context() -> impl Strategy<Value = JobContext> {
        let rarely = prop_oneof![2 => Just(Conditions::default()), 1 => conditions()];
        let job = (prop::option::of(text()), prop::option::of(text()), any::<Option<bool>>(), rarely);
        let job = job.prop_map(|(environment, branch, ref_protected, when)| JobContext {
            environment: environment.as_deref().and_then(Pattern::new),
            branch: branch.as_deref().and_then(Pattern::new),
            ref_protected,
            when,
            scope: None,
        });
        prop_oneof![4 => job, 1 => text().prop_map(|scope| JobContext::of_scope(&scope))]
    }

    proptest! {
        #[test]
        fn two_contexts_never_have_the_same_name(a in context(), b in context()) {
            let folded = |context: &JobContext| context.policy_name().trim().to_lowercase();
            prop_assert_eq!(a == b, folded(&a) == folded(&b));
        }

        #[test]
        fn openbao_stores_a_name_unchanged(context in context()) {
            let name = context.policy_name();
            prop_assert_eq!(name.trim().to_lowercase(), name.clone());
            prop_assert!(name.len() < 1200, "{}", name.len());
        }

        #[test]
        fn hex_of_different_bytes_differs_after_case_folding(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            prop_assert_eq!(a == b, hex(&a).trim().to_lowercase() == hex(&b).trim().to_lowercase());
        }
    }

    #[test]
    fn prod_and_pr_ud_have_different_policies() {
        let name = |text: &str| {
            JobContext { environment: Pattern::new(text), ..JobContext::default() }.policy_name()
        };
        assert_eq!(name("prod"), "pipelines/env/70726f64");
        assert_eq!(name("prUd"), "pipelines/env/70725564");
    }

    #[test]
    fn a_scope_has_its_own_policies() {
        assert_eq!(JobContext::of_scope("ai").policy_name_below("pipelines_x"), "pipelines_x/scopes/6169");
        assert_eq!(JobContext::of_scope("ai").to_string(), "scope ai");
    }

    #[test]
    fn a_slash_in_an_environment_is_not_confused_with_a_branch() {
        let combined = |environment, branch| JobContext {
            environment: Pattern::new(environment),
            branch: Pattern::new(branch),
            ..JobContext::default()
        };
        assert_ne!(combined("x/branch/y", "z").policy_name(), combined("x", "y/branch/z").policy_name());
    }
}
