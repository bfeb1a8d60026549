//! Grants of all PipelinePolicies and UserPolicies of a project.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use steamer_api::{Entitlement, JWTIssuer, PipelinePolicy, SecretsProject, UserPolicy};
use steamer_core::references::seniority;
use steamer_runtime::ObjectName;

use super::fetch::Sources;
use super::terms::{IssuerName, Terms};
use crate::grants::in_force::Contributions;
use crate::grants::{Grant, is_effective};
use crate::pipeline_policy::contexts::{contexts_of, mistake};
use crate::pipeline_policy::policies_of;
use crate::pipelines::{Grants, JobContext, MOST_CODE_POINTS_OF_CONTEXTS, code_points};
use crate::users::{Granting, UserAccess, Who};

/// A login compares each context with the job, so more contexts would make logins slow.
const MOST_CONTEXTS: usize = 256;

/// Most policies that the objects of a project grant. Its status lists them, with those of workloads and default roles.
const MOST_POLICIES: usize = 512;

/// Grants of all objects together, and the result for each object.
#[derive(Default)]
pub(crate) struct Merged {
    /// Grants of the jobs of each issuer.
    pub(crate) grants: BTreeMap<IssuerName, Grants>,
    /// Code points of all contexts in the CEL program of each issuer.
    code_points: BTreeMap<IssuerName, usize>,
    pub(crate) users: UserAccess,
    pub(crate) contributions: Contributions,
}

/// Merges grants, oldest first: if there are too many contexts or policies, the youngest objects are refused.
pub(crate) fn merged(sources: Sources<'_>, terms: &Terms) -> Merged {
    let mut merged = Merged::default();
    let mut users = sources.users.iter().peekable();
    for policy in sources.policies {
        while let Some(user) = users.next_if(|user| seniority(&***user, true) < seniority(&**policy, true)) {
            merged.add_user(user, terms);
        }
        merged.add(policy, terms);
    }
    for user in users {
        merged.add_user(user, terms);
    }
    merged
}

/// Access of the jobs of a project's own issuer.
#[derive(Debug)]
pub struct OwnJobs {
    /// Secrets that are granted, by context.
    pub grants: Grants,
    /// Reasons why the project refuses policies, by policy.
    pub refused: HashMap<ObjectName, String>,
}

/// The access that the policies of a project give to the jobs of its own issuer. Oldest policies first.
#[must_use]
pub fn own_jobs(
    project: &SecretsProject,
    (issuer, entitlement): (&JWTIssuer, Entitlement),
    policies: &[Arc<PipelinePolicy>],
    now: Timestamp,
) -> OwnJobs {
    let terms = Terms::own(project, (issuer, entitlement), now);
    let Merged { mut grants, contributions, .. } = merged(Sources { policies, users: &[] }, &terms);
    let refused = contributions.0.into_iter().filter_map(|((_, name), it)| Some((name, it.refused?)));
    OwnJobs { grants: grants.remove(&None).unwrap_or_default(), refused: refused.collect() }
}

impl Merged {
    /// Time at which the access changes.
    pub(crate) fn next_expiry(&self) -> Option<jiff::Timestamp> {
        self.grants.values().filter_map(Grants::next_expiry).chain(self.users.next_expiry()).min()
    }

    fn add(&mut self, policy: &PipelinePolicy, terms: &Terms) {
        let is_effective = is_effective(policy, terms.now);
        let contexts = if is_effective { contexts_of(policy) } else { Vec::new() };
        let mistake = || mistake(policy, terms.is_gitlab(&policy.spec.issuer));
        let refused = terms.refusal(policy).or_else(mistake).filter(|_| is_effective);
        let refused = refused.or_else(|| self.refused(policy, &contexts));
        if refused.is_none() {
            self.grant(policy, contexts);
        }
        self.contributions.add(policy, is_effective, refused);
    }

    fn add_user(&mut self, policy: &UserPolicy, terms: &Terms) {
        let is_effective = is_effective(policy, terms.now);
        let refused = terms.user_refusal(policy).filter(|_| is_effective);
        let who = Who::of(&policy.spec.principal).filter(|_| is_effective && refused.is_none());
        let refused = refused.or_else(|| self.add_principal(policy, who?, terms).err());
        self.contributions.add(policy, is_effective, refused);
    }

    /// # Errors
    /// The reason why the project refuses the object.
    fn add_principal(&mut self, policy: &UserPolicy, who: Who, terms: &Terms) -> Result<(), String> {
        let granting = Granting {
            who,
            grants: &policy.spec.grants,
            expires_at: policy.expires_at(),
            name: ObjectName::of(policy),
            by: policy.spec.granted_by.as_deref(),
        };
        let mut added = UserAccess::default();
        added.add(&granting, terms.entitlement);
        let count = added.policies().filter(|name| !self.users.has(name)).count();
        match self.too_many_policies(count) {
            Some(refused) => Err(refused),
            None => {
                self.users.add(&granting, terms.entitlement);
                Ok(())
            }
        }
    }

    /// The reason why the project cannot have more policies.
    fn too_many_policies(&self, added: usize) -> Option<String> {
        let contexts: usize = self.grants.values().map(|grants| grants.0.len()).sum();
        let count = contexts + self.users.policies().count() + added;
        (added > 0 && count > MOST_POLICIES).then(|| {
            format!(
                "with this object, the project would have {count} policies in OpenBao instead of at most {MOST_POLICIES}, and \
                 older objects take precedence: use fewer environments, branches and principals"
            )
        })
    }

    fn refused(&self, policy: &PipelinePolicy, contexts: &[JobContext]) -> Option<String> {
        let known = self.grants.get(&policy.spec.issuer).map_or(0, |grants| grants.0.len());
        let count = known + self.added(policy, contexts).count();
        let size = self.size_with(policy, contexts);
        if count > MOST_CONTEXTS {
            return Some(format!(
                "with this policy, the project would have {count} contexts instead of at most {MOST_CONTEXTS}, and older \
                 policies take precedence: use fewer environments and branches, or patterns"
            ));
        }
        if let Some(refused) = self.too_many_policies(self.added(policy, contexts).count()) {
            return Some(refused);
        }
        (size > MOST_CODE_POINTS_OF_CONTEXTS).then(|| {
            format!(
                "with this policy, the login program of the project would have {size} characters instead of at most \
                 {MOST_CODE_POINTS_OF_CONTEXTS}, which OpenBao does not accept, and older policies take precedence: use \
                 fewer or shorter environments and branches"
            )
        })
    }

    fn size_with(&self, policy: &PipelinePolicy, contexts: &[JobContext]) -> usize {
        let prefix = policies_of(policy);
        let known = self.code_points.get(&policy.spec.issuer).copied().unwrap_or(0);
        known + self.added(policy, contexts).map(|context| code_points(context, &prefix)).sum::<usize>()
    }

    /// The contexts that no other policy has.
    fn added<'a>(
        &self,
        policy: &PipelinePolicy,
        contexts: &'a [JobContext],
    ) -> impl Iterator<Item = &'a JobContext> {
        let known = self.grants.get(&policy.spec.issuer);
        contexts.iter().filter(move |context| known.is_none_or(|grants| !grants.0.contains_key(*context)))
    }

    fn grant(&mut self, policy: &PipelinePolicy, contexts: Vec<JobContext>) {
        let size = self.size_with(policy, &contexts);
        self.code_points.insert(policy.spec.issuer.clone(), size);
        let (expires_at, granted_by) = (policy.expires_at(), ObjectName::of(policy).to_string());
        let grants = self.grants.entry(policy.spec.issuer.clone()).or_default();
        for context in contexts {
            for secret in &policy.spec.secrets {
                grants.add(context.clone(), &secret.name, expires_at, &granted_by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::project::samples::{found, gitea, project, user_policy};

    /// The grants of a project with the additional issuer `gitea`.
    fn merged(policies: &[Arc<PipelinePolicy>], now: Timestamp) -> Merged {
        merged_with(policies, &[], now)
    }

    fn merged_with(policies: &[Arc<PipelinePolicy>], users: &[Arc<UserPolicy>], now: Timestamp) -> Merged {
        let project = project(json!({"spec": {"apiAuth": {"enabled": false}}}));
        let mut references = found().references;
        references.additional.push(gitea());
        let terms = Terms::of(&project, &references, now);
        super::merged(Sources { policies, users }, &terms)
    }

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
        refused.map(|((_, name), _)| name.name.as_str()).collect()
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
        let contexts = merged.grants[&None].0.iter();
        let granted: Vec<String> =
            contexts.map(|(context, rules)| format!("{context}: {:?}", rules.keys())).collect();
        assert_eq!(granted, [r#"branch main: ["A", "B"]"#]);
        assert_eq!(merged.next_expiry(), Some(Timestamp::from_second(20).unwrap()));
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
        assert_eq!(merged.grants[&None].0.len(), 16 * 15 + 1);
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
        assert_eq!(merged.grants[&None].0.len(), 2);
        let reason = merged.contributions.0.values().find_map(|it| it.refused.clone()).unwrap();
        assert!(reason.contains("characters instead of at most 99904"), "{reason}");
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
        assert_eq!(merged.grants[&None].0.len(), 1);
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let single = |name: &str| policy(name, json!({"environments": [name]}));
        let names: Vec<String> = (0..=MOST_CONTEXTS).map(|number| format!("p{number}")).collect();
        let policies: Vec<_> = names.iter().map(|name| single(name)).collect();
        let merged = merged(&policies, Timestamp::UNIX_EPOCH);
        assert_eq!(merged.grants[&None].0.len(), MOST_CONTEXTS);
        assert_eq!(refused(&merged), [names[MOST_CONTEXTS].as_str()]);
    }

    #[test]
    fn the_youngest_object_is_refused_when_there_are_too_many_policies() {
        let user = |number: usize| {
            let principal = json!({"user": {"id": number + 1}});
            user_policy(&format!("u{number}"), json!({"principal": principal, "grants": {"all": ["Delete"]}}))
        };
        let users: Vec<_> = (0..=MOST_POLICIES).map(user).collect();
        let merged = merged_with(&[], &users, Timestamp::UNIX_EPOCH);
        assert_eq!(refused(&merged), [format!("u{MOST_POLICIES}")]);
        assert_eq!(merged.users.policies().count(), MOST_POLICIES);
        assert!(merged.too_many_policies(1).is_some() && merged.too_many_policies(0).is_none());
    }

    #[test]
    fn the_jobs_of_each_issuer_have_their_own_grants() {
        let policies = [
            policy("own", json!({"branches": ["main"]})),
            policy("gitea", json!({"branches": ["main"], "issuer": "gitea", "secrets": [{"name": "B"}]})),
            policy("unknown", json!({"issuer": "other"})),
            policy("scopes", json!({"scopes": ["ai"]})),
        ];
        let merged = merged(&policies, Timestamp::UNIX_EPOCH);
        let contexts: Vec<usize> = merged.grants.values().map(|grants| grants.0.len()).collect();
        assert_eq!(contexts, [1, 1]);
        let mut refused = refused(&merged);
        refused.sort();
        assert_eq!(refused, ["scopes", "unknown"]);
    }

    #[test]
    fn a_user_policy_is_refused_if_its_login_is_disabled() {
        let users = [
            user_policy("read", json!({"grants": {"all": ["ReadMetadata"]}})),
            user_policy("value", json!({"grants": {"all": ["ReadValue"]}})),
        ];
        let merged = merged_with(&[], &users, Timestamp::UNIX_EPOCH);
        assert_eq!(refused(&merged), ["value"]);
        let texts = merged.users.texts("owner", "secrets/kv");
        assert_eq!(texts.into_keys().collect::<Vec<_>>(), ["users/direct/user_5"]);
    }
}
