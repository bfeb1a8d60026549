//! Contexts of CI jobs and the names of their policies.

use std::fmt;

use steamer_core::digest::{digest, hex};
use steamer_core::layout::PIPELINE_POLICIES;

use crate::pipelines::pattern::Pattern;

/// Conditions on a job. A field that is None matches every job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobContext {
    /// Environment of the job.
    pub environment: Option<Pattern>,
    /// Branch of the job.
    pub branch: Option<Pattern>,
    /// `true`: the ref of the job must be protected. `false`: it must not be protected.
    pub ref_protected: Option<bool>,
}

/// Longest pattern, in bytes, that is part of a name. Longer ones are replaced by a digest, because PostgreSQL rejects
/// index entries of more than 2704 bytes.
const LONGEST: usize = 255;

impl JobContext {
    /// Name of the policy of the context. Two contexts never have the same name, even after OpenBao has folded its case
    /// and trimmed it: patterns are lower-case hex, and the other segments determine which patterns exist.
    #[must_use]
    pub fn policy_name(&self) -> String {
        let Self { environment, branch, ref_protected } = self;
        let name = match (environment, branch) {
            _ if ref_protected.is_some() => format!("when/{}", digest(self.canonical().as_bytes())),
            (None, None) => "global".to_owned(),
            (Some(environment), None) => format!("env/{}", segment(environment)),
            (None, Some(branch)) => format!("branch/{}", segment(branch)),
            (Some(environment), Some(branch)) => {
                format!("combined/env/{}/branch/{}", segment(environment), segment(branch))
            }
        };
        format!("{PIPELINE_POLICIES}/{name}")
    }

    /// Unambiguous text of the context: each pattern is preceded by its length.
    fn canonical(&self) -> String {
        let part = |pattern: &Option<Pattern>| match pattern {
            Some(pattern) => format!("{}:{pattern}", pattern.as_str().len()),
            None => "-".to_owned(),
        };
        format!("{} {} {:?}", part(&self.environment), part(&self.branch), self.ref_protected)
    }
}

fn segment(pattern: &Pattern) -> String {
    let text = pattern.as_str();
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

    fn context() -> impl Strategy<Value = JobContext> {
        (prop::option::of(text()), prop::option::of(text()), any::<Option<bool>>()).prop_map(
            |(environment, branch, ref_protected)| JobContext {
                environment: environment.as_deref().and_then(Pattern::new),
                branch: branch.as_deref().and_then(Pattern::new),
                ref_protected,
            },
        )
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
    fn a_slash_in_an_environment_is_not_confused_with_a_branch() {
        let combined = |environment, branch| JobContext {
            environment: Pattern::new(environment),
            branch: Pattern::new(branch),
            ref_protected: None,
        };
        assert_ne!(combined("x/branch/y", "z").policy_name(), combined("x", "y/branch/z").policy_name());
    }
}
