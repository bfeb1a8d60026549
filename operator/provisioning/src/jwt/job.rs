//! The job of a token, as the CEL program in OpenBao reads it from the claims.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use steamer_api::IssuerProfile;

use crate::pipelines::{Conditions, JobContext, Pattern, Tokens};

/// Facts about a job. Empty: the claim is absent or has no text, or the issuer has no such claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Subject.
    pub sub: String,
    /// ID of the project.
    pub project_id: String,
    /// Environment.
    pub environment: String,
    /// Whether the environment is protected, as text.
    pub environment_protected: String,
    /// Tier of the environment.
    pub tier: String,
    /// Ref.
    pub ref_name: String,
    /// Branch. Empty for a tag and a merge request.
    pub branch: String,
    /// Whether the ref is protected, as text.
    pub ref_protected: String,
    /// Event that started the pipeline.
    pub source: String,
    /// User who started the pipeline.
    pub user_id: String,
    /// Pipeline.
    pub pipeline_id: String,
    /// Scopes of the token.
    pub scopes: BTreeSet<String>,
}

/// A condition of a context that a job does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The environment differs.
    Environment,
    /// The branch differs, or the job has none.
    Branch,
    /// The ref is protected, or is not.
    Protection,
    /// The environment is protected, or is not.
    EnvironmentProtection,
    /// The tier of the environment differs.
    Tier,
    /// Another event started the pipeline.
    Source,
    /// Another user started the pipeline.
    User,
    /// It is another pipeline.
    Pipeline,
    /// The token lacks the scope.
    Scope,
}

impl Job {
    /// The job of these claims.
    #[must_use]
    pub fn of(claims: &Map<String, Value>, tokens: &Tokens) -> Self {
        let text = |name: &str| claims.get(name).map(text).unwrap_or_default();
        let named = |name: Option<&str>| name.map(text).unwrap_or_default();
        let ref_name = named(tokens.ref_name());
        Self {
            sub: text("sub"),
            project_id: named(tokens.project()),
            environment: named(tokens.environment()),
            environment_protected: named(tokens.environment_protected()),
            tier: named(tokens.tier()),
            branch: branch(&ref_name, tokens.profile, text),
            ref_name,
            ref_protected: named(tokens.ref_protected()),
            source: named(tokens.source()),
            user_id: named(tokens.user_id()),
            pipeline_id: named(tokens.pipeline_id()),
            scopes: scopes(claims, tokens),
        }
    }

    /// The conditions of a context that the job does not meet. Empty: the job has the context.
    #[must_use]
    pub fn mismatches(&self, context: &JobContext) -> Vec<Mismatch> {
        let JobContext { environment, branch, ref_protected, when, scope } = context;
        let lacks = |pattern: &Option<Pattern>, name: &str| {
            pattern.as_ref().is_some_and(|pattern| name.is_empty() || !pattern.matches(name))
        };
        let has_scope = scope.as_ref().is_none_or(|scope| scope.is_empty() || self.scopes.contains(scope));
        let of_job = [
            (lacks(environment, &self.environment), Mismatch::Environment),
            (lacks(branch, &self.branch), Mismatch::Branch),
            (differs(*ref_protected, &self.ref_protected), Mismatch::Protection),
        ];
        let of_token = (!has_scope, Mismatch::Scope);
        let all = of_job.into_iter().chain(self.further(when)).chain([of_token]);
        all.filter_map(|(fails, mismatch)| fails.then_some(mismatch)).collect()
    }

    fn further(&self, when: &Conditions) -> [(bool, Mismatch); 5] {
        let Conditions { environment_protected, tiers, sources, users, pipelines } = when;
        let protection = differs(*environment_protected, &self.environment_protected);
        let tier = !tiers.is_empty() && !tiers.iter().any(|tier| tier.as_str() == self.tier);
        let source = !sources.is_empty() && !sources.contains(&self.source);
        [
            (protection, Mismatch::EnvironmentProtection),
            (tier, Mismatch::Tier),
            (source, Mismatch::Source),
            (is_other(users, &self.user_id), Mismatch::User),
            (is_other(pipelines, &self.pipeline_id), Mismatch::Pipeline),
        ]
    }
}

fn differs(required: Option<bool>, found: &str) -> bool {
    required.is_some_and(|required| required.to_string() != found)
}

fn is_other(ids: &BTreeSet<i64>, found: &str) -> bool {
    !ids.is_empty() && !ids.iter().any(|id| id.to_string() == found)
}

/// The branch of a ref, as [`Tokens::branch`] computes it in OpenBao.
fn branch(name: &str, profile: IssuerProfile, text: impl Fn(&str) -> String) -> String {
    match profile {
        IssuerProfile::GitLab => {
            let path = text("ref_path");
            let is_branch = text("ref_type") == "branch"
                && (path.is_empty() || path.strip_prefix("refs/heads/") == Some(name));
            if is_branch { name.to_owned() } else { String::new() }
        }
        IssuerProfile::Gitea | IssuerProfile::GitHub => {
            name.strip_prefix("refs/heads/").unwrap_or_default().to_owned()
        }
        _ => name.to_owned(),
    }
}

fn scopes(claims: &Map<String, Value>, tokens: &Tokens) -> BTreeSet<String> {
    let list = tokens.scopes.as_ref().and_then(|claim| claims.get(claim)?.as_array());
    list.into_iter().flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
}

/// A claim as text, as `string` of CEL returns it. Empty for a value without text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(yes) => yes.to_string(),
        // OpenBao parses every number as a floating-point number.
        Value::Number(number) => number.as_f64().map(float).unwrap_or_default(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// A number in the format `%g` of Go, with the shortest digits that represent it.
fn float(number: f64) -> String {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::JWTIssuer;

    use super::*;

    #[rstest]
    #[case(json!("a"), "a")]
    #[case(json!(true), "true")]
    #[case(json!(42), "42")]
    #[case(json!(1.5), "1.5")]
    #[case(json!(123_456), "123456")]
    #[case(json!(1_234_567), "1.234567e+06")]
    #[case(json!(0.0001), "0.0001")]
    #[case(json!(1e21), "1e+21")]
    #[case(json!(1e-7), "1e-07")]
    #[case(json!(null), "")]
    #[case(json!(["a"]), "")]
    #[case(json!({"a": 1}), "")]
    fn a_claim_has_the_text_that_cel_returns(#[case] value: Value, #[case] expected: &str) {
        assert_eq!(text(&value), expected);
    }

    fn tokens(profile: &str) -> Tokens {
        let spec = json!({"jwksUrl": "https://ci/keys", "boundIssuer": "https://ci", "profile": profile});
        let issuer = json!({"apiVersion": "steamer.dev/v1alpha1", "kind": "JWTIssuer", "metadata": {"name": "ci"}, "spec": spec});
        Tokens::of(&serde_json::from_value::<JWTIssuer>(issuer).unwrap())
    }

    fn job(changes: Value) -> Job {
        let mut claims = json!({"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true"});
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        Job::of(claims.as_object().unwrap(), &tokens("GitLab"))
    }

    #[rstest]
    #[case::branch(json!({}), "main")]
    #[case::without_path(json!({"ref_path": null}), "main")]
    #[case::tag(json!({"ref_type": "tag"}), "")]
    #[case::merge_request(json!({"ref_path": "refs/merge-requests/1/head"}), "")]
    #[case::tag_that_claims_to_be_a_branch(json!({"ref_path": "refs/tags/main"}), "")]
    fn only_a_branch_has_a_branch(#[case] changes: Value, #[case] expected: &str) {
        assert_eq!(job(changes).branch, expected);
    }

    #[rstest]
    #[case("", "main", None, &[])]
    #[case("prod", "main", None, &[Mismatch::Environment])]
    #[case("", "release/*", Some(false), &[Mismatch::Branch, Mismatch::Protection])]
    #[case("", "", Some(true), &[])]
    fn a_job_lacks_the_contexts_that_do_not_match(
        #[case] environment: &str,
        #[case] branch: &str,
        #[case] ref_protected: Option<bool>,
        #[case] expected: &[Mismatch],
    ) {
        let pattern = |text: &str| Some(text).filter(|text| !text.is_empty()).and_then(Pattern::new);
        let context = JobContext {
            environment: pattern(environment),
            branch: pattern(branch),
            ref_protected,
            ..JobContext::default()
        };
        assert_eq!(job(json!({})).mismatches(&context), expected);
    }

    #[rstest]
    #[case(json!({}), &[])]
    #[case(json!({"environmentProtected": true}), &[])]
    #[case(json!({"environmentProtected": false}), &[Mismatch::EnvironmentProtection])]
    #[case(json!({"deploymentTiers": ["staging", "production"]}), &[])]
    #[case(json!({"deploymentTiers": ["staging"]}), &[Mismatch::Tier])]
    #[case(json!({"pipelineSources": ["push"], "userIds": [8]}), &[Mismatch::User])]
    #[case(json!({"pipelineSources": ["schedule"], "userIds": [7, 8]}), &[Mismatch::Source])]
    #[case(json!({"pipelineIds": [1, 3]}), &[Mismatch::Pipeline])]
    fn a_job_lacks_the_further_conditions(#[case] when: Value, #[case] expected: &[Mismatch]) {
        let when = Conditions::of(&serde_json::from_value(when).unwrap());
        let job = job(json!({
            "environment_protected": "true", "deployment_tier": "production", "pipeline_source": "push",
            "user_id": "7", "pipeline_id": 2,
        }));
        assert_eq!(job.mismatches(&JobContext { when, ..JobContext::default() }), expected);
    }

    #[rstest]
    #[case(json!(["a", "b"]), &[])]
    #[case(json!(["b", 1]), &[Mismatch::Scope])]
    #[case(json!("a"), &[Mismatch::Scope])]
    fn only_a_list_contains_scopes(#[case] scopes: Value, #[case] expected: &[Mismatch]) {
        let claims = json!({"scopes": scopes});
        let job = Job::of(claims.as_object().unwrap(), &tokens("CustomersDot"));
        assert_eq!(job.mismatches(&JobContext::of_scope("a")), expected);
    }

    #[rstest]
    #[case("GitHub", "refs/heads/main", "main")]
    #[case("Gitea", "refs/pull/1/head", "")]
    fn the_ref_of_actions_is_a_path(#[case] profile: &str, #[case] name: &str, #[case] expected: &str) {
        let claims = json!({"ref": name, "ref_type": "branch", "repository_id": "1", "actor_id": "7"});
        let job = Job::of(claims.as_object().unwrap(), &tokens(profile));
        assert_eq!((&*job.branch, &*job.project_id, &*job.user_id), (expected, "1", "7"));
    }
}
