//! Further conditions on a CI job.

use std::collections::BTreeSet;
use std::fmt;

use steamer_api::{DeploymentTier, When};

use crate::pipelines::pattern::any_of;

/// Conditions that a job must meet besides its environment, branch and protection. An empty one is met by every job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conditions {
    /// `true`: the environment of the job must be protected. `false`: it must not be protected.
    pub environment_protected: Option<bool>,
    /// Tiers of the environment.
    pub tiers: BTreeSet<DeploymentTier>,
    /// Events that started the pipeline.
    pub sources: BTreeSet<String>,
    /// Users who started the pipeline.
    pub users: BTreeSet<i64>,
    /// Pipelines.
    pub pipelines: BTreeSet<i64>,
}

impl Conditions {
    /// The conditions of a spec, without the protection of the ref.
    #[must_use]
    pub fn of(when: &When) -> Self {
        let When {
            ref_protected: _,
            environment_protected,
            deployment_tiers,
            pipeline_sources,
            user_ids,
            pipeline_ids,
        } = when;
        Self {
            environment_protected: *environment_protected,
            tiers: deployment_tiers.iter().copied().collect(),
            sources: pipeline_sources.iter().cloned().collect(),
            users: user_ids.iter().copied().collect(),
            pipelines: pipeline_ids.iter().copied().collect(),
        }
    }

    /// Returns true if every job meets the conditions.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Keys and values of the entry of a context in the CEL program, without those that every job meets.
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let Self { environment_protected, tiers, sources, users, pipelines } = self;
        let lists = [
            ("t", (!tiers.is_empty()).then(|| any_of(tiers.iter().map(|tier| tier.as_str())))),
            ("s", (!sources.is_empty()).then(|| any_of(sources))),
            ("u", (!users.is_empty()).then(|| any_of(users))),
            ("i", (!pipelines.is_empty()).then(|| any_of(pipelines))),
        ];
        let protected = environment_protected.map(|required| ("v", required.to_string()));
        let lists = lists.into_iter().filter_map(|(key, regex)| Some((key, regex?)));
        protected.into_iter().chain(lists).collect()
    }

    /// Unambiguous text of the conditions.
    pub(super) fn canonical(&self) -> String {
        let Self { environment_protected, tiers, sources, users, pipelines } = self;
        format!("{environment_protected:?} {tiers:?} {sources:?} {users:?} {pipelines:?}")
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment_protected, tiers, sources, users, pipelines } = self;
        let protected = environment_protected
            .map(|yes| if yes { "environment protected" } else { "environment not protected" }.to_owned());
        let lists = [
            listed("tier", tiers.iter().map(|tier| tier.as_str())),
            listed("source", sources),
            listed("user", users),
            listed("pipeline", pipelines),
        ];
        let parts: Vec<String> = protected.into_iter().chain(lists.into_iter().flatten()).collect();
        f.write_str(&parts.join(", "))
    }
}

fn listed<T: ToString>(name: &str, values: impl IntoIterator<Item = T>) -> Option<String> {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    (!values.is_empty()).then(|| format!("{name} {}", values.join(" or ")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::none(json!({"refProtected": true}), "", "")]
    #[case::protected(json!({"environmentProtected": false}), "environment not protected", "v=false")]
    #[case::all(
        json!({"environmentProtected": true, "deploymentTiers": ["staging", "production"],
               "pipelineSources": ["merge_request_event"], "userIds": [7], "pipelineIds": [1, 2]}),
        "environment protected, tier production or staging, source merge_request_event, user 7, pipeline 1 or 2",
        r"v=true t=^(?s:production|staging)$ s=^(?s:merge\x{5f}request\x{5f}event)$ u=^(?s:7)$ i=^(?s:1|2)$"
    )]
    fn each_condition_has_an_entry(#[case] when: Value, #[case] described: &str, #[case] entries: &str) {
        let conditions = Conditions::of(&serde_json::from_value(when).unwrap());
        assert_eq!(conditions.to_string(), described);
        let found = conditions.entries().into_iter().map(|(key, value)| format!("{key}={value}"));
        assert_eq!(found.collect::<Vec<_>>().join(" "), entries);
        assert_eq!(conditions.is_empty(), described.is_empty());
    }
}
