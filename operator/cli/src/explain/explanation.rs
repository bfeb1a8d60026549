//! The answer of OpenBao to a token, and its reasons.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;
use serde::Serialize;
use steamer_api::PipelinePolicy;
use steamer_core::layout;
use steamer_provisioning::jwt::{
    Job, Key, Login, Refusal, Token, Verification, is_in_force, own_logins, verified,
};
use steamer_provisioning::pipelines::{JobContext, ROLE_ID_TOKENS, ROLE_PIPELINES, Rule};
use steamer_provisioning::{OwnJobs, own_jobs};
use steamer_runtime::ObjectName;

use super::mismatch::why_other;
use super::objects::Objects;
use crate::style::line;

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) token: &'a Token,
    /// Role of the login. None: the one for such a token.
    pub(super) role: Option<&'static str>,
    /// Keys of the issuer. None: they are not known.
    pub(super) keys: Option<&'a [Key]>,
    pub(super) now: Timestamp,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    /// SecretsProject.
    pub(super) project: String,
    /// Path of the login, from the root namespace.
    pub(super) path: String,
    pub(super) role: &'static str,
    /// True if OpenBao would accept the login.
    pub(super) can_log_in: bool,
    /// `valid`, `invalid` or `not verified`.
    pub(super) signature: &'static str,
    /// End of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    pub(super) refusals: Vec<Problem>,
    pub(super) job: JobView,
    /// Secrets that the job can read.
    pub(super) reads: Vec<Read>,
    /// PipelinePolicies that grant the job nothing.
    pub(super) not_granted: Vec<NotGranted>,
    pub(super) notes: Vec<String>,
    #[serde(skip)]
    pub(super) now: Timestamp,
}

/// A claim that OpenBao refuses.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    pub(super) claim: String,
    pub(super) problem: String,
    /// Where the expectation is stated.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) stated: String,
}

/// Facts about the job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobView {
    pub(super) project_id: String,
    pub(super) environment: String,
    pub(super) environment_protected: String,
    pub(super) tier: String,
    pub(super) branch: String,
    pub(super) ref_name: String,
    pub(super) ref_protected: String,
    pub(super) source: String,
    pub(super) user_id: String,
    pub(super) pipeline_id: String,
    pub(super) scopes: Vec<String>,
}

/// A secret that the job can read.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Read {
    pub(super) secret: String,
    /// PipelinePolicies that grant the access.
    pub(super) granted_by: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
}

/// A PipelinePolicy that grants the job nothing.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotGranted {
    pub(super) policy: String,
    pub(super) secrets: Vec<String>,
    pub(super) why: String,
}

/// Explains a login.
///
/// # Errors
/// When the project has no such role.
pub(super) fn explained(objects: &Objects, question: &Question<'_>) -> Result<Explanation> {
    let login = login(objects, question)?;
    let refusals = refusals(objects, &login, question);
    let job = login.job(question.token);
    let issuer = (&objects.issuer, objects.tenant.spec.entitlement);
    let OwnJobs { grants, refused } = own_jobs(&objects.project, issuer, &objects.policies, question.now);
    let can_log_in = refusals.is_empty();
    let granted = grants.0.iter().filter(|(context, _)| can_log_in && job.mismatches(context).is_empty());
    let refused = |policy: &PipelinePolicy| refused.get(&ObjectName::of(policy)).cloned();
    let not_granted = objects.policies.iter().filter_map(|policy| {
        let why = refused(policy).or_else(|| why_not(policy, &job, question.now))?;
        let secrets = policy.spec.secrets.iter().map(|secret| secret.name.clone()).collect();
        Some(NotGranted { policy: ObjectName::of(&**policy).to_string(), secrets, why })
    });
    Ok(Explanation {
        project: ObjectName::of(&objects.project).to_string(),
        path: path(objects),
        role: login.role,
        can_log_in,
        signature: match verified(question.token, question.keys) {
            Verification::Valid => "valid",
            Verification::Invalid => "invalid",
            Verification::Unknown => "not verified",
        },
        expires_at: login.ends(question.token),
        refusals,
        reads: reads(granted, question.now),
        not_granted: not_granted.collect(),
        notes: notes(objects),
        now: question.now,
        job: view(&job),
    })
}

fn view(job: &Job) -> JobView {
    JobView {
        project_id: line(&job.project_id),
        environment: line(&job.environment),
        environment_protected: line(&job.environment_protected),
        tier: line(&job.tier),
        branch: line(&job.branch),
        ref_name: line(&job.ref_name),
        ref_protected: line(&job.ref_protected),
        source: line(&job.source),
        user_id: line(&job.user_id),
        pipeline_id: line(&job.pipeline_id),
        scopes: job.scopes.iter().map(|scope| line(scope)).collect(),
    }
}

fn login(objects: &Objects, question: &Question<'_>) -> Result<Login<'static>> {
    let has_scope = question.token.claims.contains_key("secrets_manager_scope");
    let role = question.role.unwrap_or(if has_scope { ROLE_PIPELINES } else { ROLE_ID_TOKENS });
    let logins = own_logins(&objects.project, &objects.issuer, &objects.cluster)
        .map_err(|error| anyhow!("{error}"))?;
    let known: Vec<&str> = logins.iter().map(|login| login.role).collect();
    match logins
        .iter()
        .find(|login| login.role == role)
        .or_else(|| logins.first().filter(|_| question.role.is_none()))
    {
        Some(login) => Ok(login.clone()),
        None => bail!(
            "SecretsProject {} has no role {role}, only {}: see spec.pipelineAuth.idTokens",
            ObjectName::of(&objects.project),
            known.join(", ")
        ),
    }
}

fn path(objects: &Objects) -> String {
    let spec = &objects.project.spec;
    let namespace = layout::tenant(&objects.tenant).join(&layout::project(spec.scope, spec.id));
    let namespace = layout::root(&objects.cluster).join(namespace.as_str());
    namespace.path(&format!("auth/{}/cel/login", layout::PIPELINE_MOUNT))
}

fn refusals(objects: &Objects, login: &Login<'_>, question: &Question<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = disabled(objects).into_iter().collect();
    let stated = format!("{}, spec.oidcDiscoveryUrl, spec.jwksUrl or spec.publicKeys", login.issuer_of);
    if verified(question.token, question.keys) == Verification::Invalid {
        let problem = format!(
            "no key of {} made it; the token names the key {:?}",
            login.issuer_of,
            question.token.header("kid")
        );
        problems.push(Problem { claim: "signature".to_owned(), problem, stated });
    }
    let claims = login.refusals(question.token, question.now).into_iter();
    problems.extend(claims.map(|Refusal { claim, problem, stated }| Problem {
        claim,
        problem: line(&problem),
        stated,
    }));
    problems
}

/// A disabled project has no auth mount.
fn disabled(objects: &Objects) -> Option<Problem> {
    let (project, tenant) = (ObjectName::of(&objects.project), ObjectName::of(&objects.tenant));
    let (project_spec, tenant_spec) = (&objects.project.spec, &objects.tenant.spec);
    let stated = match (project_spec.enabled, tenant_spec.enabled) {
        (false, _) => format!("SecretsProject {project}, spec.enabled"),
        (true, false) => format!("SecretsTenant {tenant}, spec.enabled"),
        (true, true) if tenant_spec.gives_access() => return None,
        (true, true) => format!("SecretsTenant {tenant}, spec.entitlement"),
    };
    Some(Problem {
        claim: "project".to_owned(),
        problem: "it is disabled: no login is possible".to_owned(),
        stated,
    })
}

fn reads<'a>(
    granted: impl Iterator<Item = (&'a JobContext, &'a BTreeMap<String, Rule>)>,
    now: Timestamp,
) -> Vec<Read> {
    let mut reads: BTreeMap<&str, Read> = BTreeMap::new();
    for (name, rule) in granted.flat_map(|(_, rules)| rules) {
        if rule.expires_at.is_some_and(|end| end <= now) {
            continue;
        }
        let read = reads.entry(name).or_insert_with(|| Read {
            secret: name.clone(),
            granted_by: BTreeSet::new(),
            expires_at: rule.expires_at,
        });
        read.granted_by.extend(rule.granted_by.iter().cloned());
        // Another policy can grant the same secret for longer.
        read.expires_at = read.expires_at.zip(rule.expires_at).map(|(a, b)| a.max(b));
    }
    reads.into_values().collect()
}

/// Why a policy does not apply to a job. None: it applies.
fn why_not(policy: &PipelinePolicy, job: &Job, now: Timestamp) -> Option<String> {
    if is_in_force(policy, now) {
        return why_other(policy, job);
    }
    let end = if policy.spec.cancelled { "it is cancelled" } else { "it has expired, or is being deleted" };
    Some(end.to_owned())
}

fn notes(objects: &Objects) -> Vec<String> {
    let mut notes = objects.notes.clone();
    let Some(status) = &objects.project.status else { return notes };
    let ready = status.common.conditions.iter().find(|condition| condition.type_ == "Ready");
    let is_applied = ready.is_some_and(|ready| ready.status == "True")
        && Some(status.common.observed_generation) == objects.project.metadata.generation;
    if !is_applied && status.common.observed_generation >= 0 {
        let state =
            ready.map_or_else(String::new, |ready| format!(": {}: {}", ready.reason, line(&ready.message)));
        notes.push(format!(
            "OpenBao can differ from the objects: SecretsProject {} is not applied{state}",
            ObjectName::of(&objects.project)
        ));
    }
    notes
}
