//! Reasons why a PipelinePolicy is not for a job.

use steamer_api::{PipelinePolicy, When};
use steamer_provisioning::jwt::{Job, Mismatch, contexts_of};

/// The conditions that a job does not meet. None: it meets those of a context of the policy.
pub(super) fn why_other(policy: &PipelinePolicy, job: &Job) -> Option<String> {
    let mismatches = contexts_of(policy).into_iter().map(|context| job.mismatches(&context));
    let fewest = mismatches.min_by_key(Vec::len).filter(|fewest| !fewest.is_empty())?;
    let reasons: Vec<String> = fewest.into_iter().map(|it| reason(policy, job, it)).collect();
    Some(reasons.join("; "))
}

fn reason(policy: &PipelinePolicy, job: &Job, mismatch: Mismatch) -> String {
    let spec = &policy.spec;
    let nothing = When::default();
    let when = spec.when.as_ref().unwrap_or(&nothing);
    match mismatch {
        Mismatch::Environment => {
            unmatched("environments", &spec.environments, &job.environment, "the job has no environment")
        }
        Mismatch::Branch => unmatched("branches", &spec.branches, &job.branch, "the job is not of a branch"),
        Mismatch::Protection => {
            protection("when.refProtected", when.ref_protected, ("ref_protected", &job.ref_protected))
        }
        Mismatch::EnvironmentProtection => {
            let found = ("environment_protected", &*job.environment_protected);
            protection("when.environmentProtected", when.environment_protected, found)
        }
        Mismatch::Tier => {
            let tiers: Vec<String> = when.deployment_tiers.iter().map(|it| it.as_str().to_owned()).collect();
            unlisted("when.deploymentTiers", &tiers, &job.tier)
        }
        Mismatch::Source => unlisted("when.pipelineSources", &when.pipeline_sources, &job.source),
        Mismatch::User => unlisted("when.userIds", &texts(&when.user_ids), &job.user_id),
        Mismatch::Pipeline => unlisted("when.pipelineIds", &texts(&when.pipeline_ids), &job.pipeline_id),
        Mismatch::Scope => format!("the token has none of the scopes [{}]", spec.scopes.join(", ")),
    }
}

fn texts(ids: &[i64]) -> Vec<String> {
    ids.iter().map(i64::to_string).collect()
}

fn protection(field: &str, required: Option<bool>, (claim, found): (&str, &str)) -> String {
    format!("{field} is {}, and {claim} of the job is {found:?}", required.unwrap_or_default())
}

fn unmatched(field: &str, patterns: &[String], name: &str, none: &str) -> String {
    let patterns = patterns.join(", ");
    if name.is_empty() {
        format!("{field} [{patterns}], and {none}")
    } else {
        format!("{field} [{patterns}] does not match {name:?}")
    }
}

fn unlisted(field: &str, values: &[String], found: &str) -> String {
    let values = values.join(", ");
    if found.is_empty() {
        format!("{field} [{values}], and the token does not state it")
    } else {
        format!("{field} [{values}] does not contain {found:?}")
    }
}
