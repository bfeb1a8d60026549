//! Tokens of the CI jobs of an issuer: their subjects, and the claims that contain what a login decides about.

use steamer_api::{ClaimNames, IssuerProfile, JWTIssuer};

use crate::cel::text;

/// Tokens of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Profile of the issuer.
    pub profile: IssuerProfile,
    /// Subjects of CI jobs. None: any that is not another prefix.
    pub pipeline: Option<String>,
    /// Subjects of users. None: the issuer has no tokens of users.
    pub user: Option<String>,
    /// Subjects of the issuer itself.
    pub privileged: Option<String>,
    /// Claim with the list of scopes.
    pub scopes: Option<String>,
    /// Names of the claims of a profile `Generic`.
    pub(super) claims: ClaimNames,
}

impl Tokens {
    /// The tokens of an issuer.
    #[must_use]
    pub fn of(issuer: &JWTIssuer) -> Self {
        let spec = &issuer.spec;
        let (pipeline, user, privileged) = match spec.profile {
            IssuerProfile::GitLab => (Some("project_path:"), Some("user:"), Some("gitlab_secrets_manager")),
            IssuerProfile::Gitea | IssuerProfile::GitHub => (Some("repo:"), None, None),
            IssuerProfile::Kubernetes => (Some("system:serviceaccount:"), None, None),
            IssuerProfile::CustomersDot | IssuerProfile::Generic => (None, None, None),
        };
        let stated = |stated: &Option<String>, default: Option<&str>| {
            stated.clone().or_else(|| default.map(str::to_owned))
        };
        let prefixes = &spec.subject_prefixes;
        let scopes = (spec.profile == IssuerProfile::CustomersDot).then_some("scopes");
        Self {
            profile: spec.profile,
            pipeline: stated(&prefixes.pipeline, pipeline),
            user: stated(&prefixes.user, user),
            privileged: stated(&prefixes.privileged, privileged),
            scopes: stated(&spec.scopes_claim, scopes),
            claims: spec.claims.clone().unwrap_or_default(),
        }
    }

    /// Returns true if the issuer states which tokens users cannot request themselves: claim `secrets_manager_scope`.
    #[must_use]
    pub fn has_scope_claim(&self) -> bool {
        self.profile == IssuerProfile::GitLab
    }

    /// The mistake in subjects that do not distinguish jobs, users and the issuer.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        let prefixes = [("pipeline", &self.pipeline), ("user", &self.user), ("privileged", &self.privileged)];
        let known: Vec<_> = prefixes.iter().filter_map(|(kind, it)| Some((kind, it.as_ref()?))).collect();
        let overlap = known.iter().enumerate().find_map(|(index, (kind, first))| {
            let rest = known.get(index + 1..).unwrap_or_default();
            let other =
                rest.iter().find(|(_, other)| first.starts_with(*other) || other.starts_with(*first))?;
            Some((kind, other.0))
        })?;
        let (first, second) = overlap;
        Some(format!(
            "subjectPrefixes.{first} and subjectPrefixes.{second} begin with each other, so that one token could be used as \
             the other: set different prefixes"
        ))
    }

    /// Returns true if a token states the ID of its project.
    pub(crate) fn has_projects(&self) -> bool {
        self.project().is_some()
    }

    /// Returns true if a token states the groups of its project.
    pub(crate) fn has_groups(&self) -> bool {
        self.has_projects() && self.groups().is_some()
    }

    /// Returns true if a token can state an environment.
    pub(crate) fn has_environments(&self) -> bool {
        match self.profile {
            IssuerProfile::GitLab | IssuerProfile::GitHub => true,
            IssuerProfile::Gitea | IssuerProfile::Kubernetes | IssuerProfile::CustomersDot => false,
            IssuerProfile::Generic => self.claims.environment.is_some(),
        }
    }

    /// Returns true if a token can state a branch.
    pub(crate) fn has_branches(&self) -> bool {
        match self.profile {
            IssuerProfile::GitLab | IssuerProfile::GitHub | IssuerProfile::Gitea => true,
            IssuerProfile::Kubernetes | IssuerProfile::CustomersDot => false,
            IssuerProfile::Generic => self.claims.branch.is_some(),
        }
    }

    /// Returns true if a token can state the tier and the protection of its environment.
    pub(crate) fn has_tiers(&self) -> bool {
        self.profile == IssuerProfile::GitLab
    }

    /// Claim with the ID of the project. None: the issuer has no projects.
    pub(crate) fn project(&self) -> Option<&str> {
        match self.profile {
            IssuerProfile::GitLab => Some("project_id"),
            IssuerProfile::Gitea | IssuerProfile::GitHub => Some("repository_id"),
            IssuerProfile::Kubernetes | IssuerProfile::CustomersDot => None,
            IssuerProfile::Generic => self.claims.project.as_deref(),
        }
    }

    /// Claim with the groups of the project.
    pub(crate) fn groups(&self) -> Option<&str> {
        match self.profile {
            IssuerProfile::GitLab => Some("project_group_ids"),
            IssuerProfile::Gitea | IssuerProfile::GitHub => Some("repository_owner_id"),
            IssuerProfile::Kubernetes | IssuerProfile::CustomersDot => None,
            IssuerProfile::Generic => self.claims.groups.as_deref(),
        }
    }

    /// A claim by its names in GitLab, in Gitea and GitHub, and in the spec. None: the tokens do not have it.
    fn claim<'a>(
        &self,
        gitlab: Option<&'a str>,
        actions: Option<&'a str>,
        named: &'a Option<String>,
    ) -> Option<&'a str> {
        match self.profile {
            IssuerProfile::GitLab => gitlab,
            IssuerProfile::Gitea | IssuerProfile::GitHub => actions,
            IssuerProfile::Kubernetes | IssuerProfile::CustomersDot => None,
            IssuerProfile::Generic => named.as_deref(),
        }
    }

    pub(crate) fn environment(&self) -> Option<&str> {
        // Tokens of Gitea have no environment.
        let actions = (self.profile == IssuerProfile::GitHub).then_some("environment");
        self.claim(Some("environment"), actions, &self.claims.environment)
    }

    pub(crate) fn ref_protected(&self) -> Option<&str> {
        self.claim(Some("ref_protected"), Some("ref_protected"), &self.claims.ref_protected)
    }

    pub(crate) fn environment_protected(&self) -> Option<&str> {
        self.claim(Some("environment_protected"), None, &None)
    }

    pub(crate) fn tier(&self) -> Option<&str> {
        self.claim(Some("deployment_tier"), None, &None)
    }

    pub(crate) fn source(&self) -> Option<&str> {
        self.claim(Some("pipeline_source"), Some("event_name"), &self.claims.source)
    }

    pub(crate) fn user_id(&self) -> Option<&str> {
        self.claim(Some("user_id"), Some("actor_id"), &self.claims.user)
    }

    pub(crate) fn pipeline_id(&self) -> Option<&str> {
        self.claim(Some("pipeline_id"), Some("run_id"), &self.claims.pipeline)
    }

    /// Claim with the name of the ref, for the metadata and a check.
    pub(crate) fn ref_name(&self) -> Option<&str> {
        self.claim(Some("ref"), Some("ref"), &self.claims.branch)
    }

    /// CEL expression of the branch. Tags and merge requests have a ref too, and are no branches.
    pub(super) fn branch(&self) -> String {
        match self.profile {
            // `ref_path` is not part of every token.
            IssuerProfile::GitLab => {
                let (kind, path) = (text("ref_type"), text("ref_path"));
                format!(
                    "{kind} == \"branch\" && ({path} == \"\" || {path} == \"refs/heads/\" + ref_name) ? ref_name : \"\""
                )
            }
            // The ref of a pull request is `refs/pull/...`, with `ref_type: branch`.
            IssuerProfile::Gitea | IssuerProfile::GitHub => {
                "ref_name.startsWith(\"refs/heads/\") ? ref_name.substring(11) : \"\"".to_owned()
            }
            _ => "ref_name".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::cel::optional_text;

    fn tokens(changes: Value) -> Tokens {
        let mut spec = json!({"publicKeys": ["key"], "boundIssuer": "i"});
        for (key, value) in changes.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        Tokens::of(&JWTIssuer::new("i", serde_json::from_value(spec).unwrap()))
    }

    #[rstest]
    #[case::gitlab(json!({}), "project_path: user: gitlab_secrets_manager - project_id project_group_ids")]
    #[case::gitea(json!({"profile": "Gitea"}), "repo: - - - repository_id repository_owner_id")]
    #[case::github(json!({"profile": "GitHub"}), "repo: - - - repository_id repository_owner_id")]
    #[case::kubernetes(json!({"profile": "Kubernetes"}), "system:serviceaccount: - - - - -")]
    #[case::customers_dot(json!({"profile": "CustomersDot"}), "- - - scopes - -")]
    #[case::generic(json!({"profile": "Generic", "claims": {"project": "repo"}}), "- - - - repo -")]
    #[case::stated(
        json!({"subjectPrefixes": {"user": "person:", "pipeline": "job:", "privileged": "self"}, "scopesClaim": "scp"}),
        "job: person: self scp project_id project_group_ids"
    )]
    fn a_profile_determines_subjects_and_claims(#[case] spec: Value, #[case] expected: &str) {
        let tokens = tokens(spec);
        let Tokens { pipeline, user, privileged, scopes, .. } = &tokens;
        let named = [pipeline, user, privileged, scopes].map(|it| it.as_deref());
        let all = named.into_iter().chain([tokens.project(), tokens.groups()]);
        assert_eq!(all.map(|it| it.unwrap_or("-")).collect::<Vec<_>>().join(" "), expected);
        assert_eq!(tokens.mistake(), None);
    }

    #[rstest]
    #[case::user(json!({"pipeline": "user:job"}), "pipeline and subjectPrefixes.user")]
    #[case::privileged(json!({"privileged": "project_path:root"}), "pipeline and subjectPrefixes.privileged")]
    #[case::user_and_privileged(json!({"user": "gitlab"}), "user and subjectPrefixes.privileged")]
    fn subjects_that_overlap_are_a_mistake(#[case] prefixes: Value, #[case] expected: &str) {
        let mistake = tokens(json!({"subjectPrefixes": prefixes})).mistake().unwrap_or_default();
        assert!(mistake.contains(expected), "{mistake}");
    }

    #[rstest]
    #[case::gitlab("GitLab", r#"claims[?"environment"]"#)]
    #[case::gitea("Gitea", r#""""#)]
    #[case::github("GitHub", r#"claims[?"environment"]"#)]
    fn only_some_issuers_state_the_environment(#[case] profile: &str, #[case] expected: &str) {
        let tokens = tokens(json!({"profile": profile}));
        let environment = optional_text(tokens.environment());
        assert!(environment.contains(expected), "{environment}");
    }
}
