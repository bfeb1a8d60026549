//! What the objects that grant access depend on: the issuers of a project, its logins, and the entitlement of its tenant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use steamer_api::{Entitlement, IssuerProfile, JWTIssuer, PipelinePolicy, SecretsProject, UserPolicy};
use steamer_runtime::ObjectName;

use super::fetch::References;
use crate::pipelines::Tokens;
use crate::user_policy::logins_of;
use crate::users::{Login, Who};

/// Name of an additional issuer in the spec. None: the issuer of the project itself.
pub(crate) type IssuerName = Option<String>;

/// Conditions of all grants of a project.
pub(crate) struct Terms {
    pub(crate) now: Timestamp,
    pub(crate) entitlement: Entitlement,
    /// Tokens of the issuers.
    pub(crate) tokens: BTreeMap<IssuerName, Tokens>,
    /// Names of additional issuers whose JWTIssuer cannot be used.
    unusable: Vec<String>,
    /// Logins of users that are disabled: the field of the spec.
    disabled: BTreeMap<Login, &'static str>,
    project: ObjectName,
    issuer: ObjectName,
}

impl Terms {
    pub(crate) fn of(project: &SecretsProject, references: &References, now: Timestamp) -> Self {
        let additional = references.additional.iter();
        let additional = additional.map(|it| (Some(it.spec.name.clone()), Tokens::of(&it.issuer)));
        let mut terms = Self::own(project, (&references.issuer, references.tenant.spec.entitlement), now);
        terms.tokens.extend(additional);
        terms.unusable = references.unusable.iter().map(|it| it.name.clone()).collect();
        terms
    }

    /// The terms of a project without additional issuers.
    pub(crate) fn own(
        project: &SecretsProject,
        (issuer, entitlement): (&JWTIssuer, Entitlement),
        now: Timestamp,
    ) -> Self {
        let spec = &project.spec;
        let logins = [
            (Login::User, "userAuth", spec.user_auth.enabled),
            (Login::Api, "apiAuth", spec.api_auth.enabled),
        ];
        let disabled = logins.into_iter().filter(|(.., is_enabled)| !is_enabled);
        Self {
            now,
            entitlement,
            tokens: BTreeMap::from([(None, Tokens::of(issuer))]),
            unusable: Vec::new(),
            disabled: disabled.map(|(login, field, _)| (login, field)).collect(),
            project: ObjectName::of(project),
            issuer: ObjectName::of(issuer),
        }
    }

    /// Returns true if users can log in.
    pub(crate) fn permits(&self, login: Login) -> bool {
        !self.disabled.contains_key(&login) && self.has_users()
    }

    fn has_users(&self) -> bool {
        self.tokens.get(&None).is_some_and(|tokens| tokens.user.is_some())
    }

    /// The reason why no token can have the grants of a PipelinePolicy.
    pub(crate) fn refusal(&self, policy: &PipelinePolicy) -> Option<String> {
        let project = &self.project;
        let Some(tokens) = self.tokens.get(&policy.spec.issuer) else {
            let name = policy.spec.issuer.as_deref().unwrap_or_default();
            return Some(if self.unusable.iter().any(|unusable| unusable == name) {
                format!("the JWTIssuer of {name} in SecretsProject {project} cannot be used: see its status")
            } else {
                format!(
                    "SecretsProject {project} has no additional issuer {name}: add it to additionalIssuers, or correct issuer"
                )
            });
        };
        let is_without = !policy.spec.scopes.is_empty() && tokens.scopes.is_none();
        let scopes = is_without.then(|| {
            "the JWTIssuer has no scopesClaim, so that no token has a scope: set it, or use other conditions".to_owned()
        });
        scopes.or_else(|| never_met(policy, tokens))
    }

    /// Returns true if the tokens of an issuer are those of GitLab.
    pub(crate) fn is_gitlab(&self, issuer: &IssuerName) -> bool {
        self.tokens.get(issuer).is_some_and(|tokens| tokens.profile == IssuerProfile::GitLab)
    }

    /// The reason why no user can have the grants of a UserPolicy.
    pub(crate) fn user_refusal(&self, policy: &UserPolicy) -> Option<String> {
        if Who::of(&policy.spec.principal).is_none() {
            return Some("principal is empty: set user, memberRole or role".to_owned());
        }
        if !self.has_users() {
            return Some(format!(
                "JWTIssuer {} has no tokens of users: set its subjectPrefixes.user",
                self.issuer
            ));
        }
        let project = &self.project;
        let field = logins_of(policy).into_iter().find_map(|login| self.disabled.get(&login))?;
        Some(format!(
            "the grants need {field} of SecretsProject {project}, which is disabled: set enabled: true there"
        ))
    }
}

/// The reason why no token of a profile meets a condition.
fn never_met(policy: &PipelinePolicy, tokens: &Tokens) -> Option<String> {
    let spec = &policy.spec;
    let when = spec.when.as_ref();
    let conditions = [
        ("environments", !spec.environments.is_empty(), tokens.has_environments()),
        ("branches", !spec.branches.is_empty(), tokens.has_branches()),
        (
            "when.environmentProtected",
            when.is_some_and(|when| when.environment_protected.is_some()),
            tokens.has_tiers(),
        ),
        (
            "when.deploymentTiers",
            when.is_some_and(|when| !when.deployment_tiers.is_empty()),
            tokens.has_tiers(),
        ),
    ];
    let (field, ..) = conditions.into_iter().find(|(_, is_set, is_possible)| *is_set && !is_possible)?;
    let profile = tokens.profile;
    Some(format!(
        "the tokens of the JWTIssuer (profile {profile:?}) contain no claim for {field}, so that no job meets it: remove it"
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::JWTIssuer;

    use super::*;
    use crate::project::samples::policy;

    #[rstest]
    #[case("GitLab", json!({"environments": ["prod"], "branches": ["main"], "when": {"deploymentTiers": ["production"]}}), None)]
    #[case("GitHub", json!({"environments": ["prod"], "branches": ["main"]}), None)]
    #[case("Gitea", json!({"environments": ["prod"]}), Some("environments"))]
    #[case("Gitea", json!({"branches": ["main"]}), None)]
    #[case("Gitea", json!({"when": {"environmentProtected": true}}), Some("when.environmentProtected"))]
    #[case("GitHub", json!({"when": {"deploymentTiers": ["production"]}}), Some("when.deploymentTiers"))]
    #[case("Kubernetes", json!({"branches": ["main"]}), Some("branches"))]
    #[case("CustomersDot", json!({"branches": ["main"]}), Some("branches"))]
    #[case("Kubernetes", json!({}), None)]
    fn a_condition_that_no_token_meets_is_refused(
        #[case] profile: &str,
        #[case] spec: Value,
        #[case] expected: Option<&str>,
    ) {
        let issuer = json!({"profile": profile, "publicKeys": ["key"], "boundIssuer": "i"});
        let tokens = Tokens::of(&JWTIssuer::new("i", serde_json::from_value(issuer).unwrap()));
        let refused = never_met(&policy("p", spec), &tokens);
        assert_eq!(refused.is_some(), expected.is_some());
        assert!(expected.is_none_or(|field| refused.unwrap_or_default().contains(&format!("for {field},"))));
    }
}
