//! Logins of CI jobs: what a role requires of a token.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use steamer_api::{JWTIssuer, OpenBaoCluster, PipelineAuth, Scope, SecretsProject};
use steamer_core::access::issuer::bound_issuer;
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::jwt::job::{Job, text};
use crate::jwt::registered::{Leeway, Times, audiences, registered_text};
use crate::jwt::token::Token;
use crate::pipelines::{Entity, JobContext, Program, ROLE_ID_TOKENS, ROLE_PIPELINES, Tokens};
use crate::project::audiences::{id_token_audiences, pipeline_audiences};

/// A role that CI jobs log in as.
#[derive(Clone, Debug)]
pub struct Login<'a> {
    /// Name of the role.
    pub role: &'static str,
    /// Tokens of the issuer.
    pub tokens: Tokens,
    /// Jobs that can log in.
    pub entity: Entity<'a>,
    /// Claim `secrets_manager_scope`, as in [`Program`].
    pub scope_claim: Option<bool>,
    /// Accepted audiences.
    pub audiences: Vec<String>,
    /// Object and field that state the audiences.
    pub audiences_of: String,
    /// Required `iss` claim.
    pub issuer: String,
    /// Object that states the issuer and the algorithms.
    pub issuer_of: String,
    /// Accepted signature algorithms.
    pub algorithms: Vec<String>,
    /// Lifetime of an OpenBao token.
    pub ttl: Duration,
    /// Allowed clock skew.
    pub leeway: Duration,
}

/// A claim that makes OpenBao refuse a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the claim or of the member of the header.
    pub claim: String,
    /// What is wrong.
    pub problem: String,
    /// Where the expectation is stated. Empty: in OpenBao's own rules.
    pub stated: String,
}

/// The logins of the jobs of a project's own issuer.
///
/// # Errors
/// As [`logins`].
pub fn own_logins(
    project: &SecretsProject,
    issuer: &JWTIssuer,
    cluster: &OpenBaoCluster,
) -> Result<Vec<Login<'static>>, Error> {
    logins(project, (issuer, entity(project.spec.scope, project.spec.id)), cluster)
}

/// The logins of the jobs of an issuer: the role for pipeline tokens, and the role for ID tokens if there is one.
///
/// # Errors
/// [`Error::Invalid`] without an audience, if the two roles share one, or if the tokens of the issuer do not identify jobs.
pub fn logins<'a>(
    project: &SecretsProject,
    (issuer, entity): (&JWTIssuer, Entity<'a>),
    cluster: &OpenBaoCluster,
) -> Result<Vec<Login<'a>>, Error> {
    let PipelineAuth { mode: _, token_ttl, require_scope_claim, id_tokens } = &project.spec.pipeline_auth;
    let (issuer_name, cluster_name) = (ObjectName::of(issuer), ObjectName::of(cluster));
    let audience = format!("OpenBaoCluster {cluster_name}, spec.jwtAudience");
    let of_issuer = format!("JWTIssuer {issuer_name}, spec.audiences");
    let audiences = pipeline_audiences(issuer, cluster)?;
    let tokens = valid(issuer, entity)?;
    let pipelines = Login {
        role: ROLE_PIPELINES,
        entity,
        scope_claim: (*require_scope_claim && tokens.has_scope_claim()).then_some(true),
        tokens,
        audiences,
        audiences_of: if issuer.spec.audiences.is_empty() { audience.clone() } else { of_issuer },
        issuer: bound_issuer(issuer),
        issuer_of: format!("JWTIssuer {issuer_name}"),
        algorithms: issuer.spec.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect(),
        ttl: token_ttl.get(),
        leeway: issuer.spec.leeway.get(),
    };
    if !id_tokens.enabled || !pipelines.tokens.has_scope_claim() {
        return Ok(vec![pipelines]);
    }
    let audiences = id_token_audiences(&id_tokens.audiences, cluster, &pipelines.audiences)?;
    let of_project =
        format!("SecretsProject {}, spec.pipelineAuth.idTokens.audiences", ObjectName::of(project));
    let audiences_of = if id_tokens.audiences.is_empty() { audience } else { of_project };
    let own = Login {
        role: ROLE_ID_TOKENS,
        scope_claim: Some(false),
        audiences,
        audiences_of,
        ..pipelines.clone()
    };
    Ok([pipelines].into_iter().chain((!own.audiences.is_empty()).then_some(own)).collect())
}

/// The tokens of an issuer that identify the jobs.
fn valid(issuer: &JWTIssuer, entity: Entity<'_>) -> Result<Tokens, Error> {
    let tokens = Tokens::of(issuer);
    let lacking = match entity {
        Entity::Project(_) if !tokens.has_projects() => Some("projects"),
        Entity::Group(_) if !tokens.has_groups() => Some("groups"),
        _ => None,
    };
    let profile = tokens.profile;
    let mistake = lacking.map(|entities| {
        format!(
            "its tokens (profile {profile:?}) contain no IDs of {entities}: name the claims with profile Generic, or use the \
             issuer in additionalIssuers with subjects"
        )
    });
    match mistake.or_else(|| tokens.mistake()) {
        Some(mistake) => {
            Err(Error::Invalid(format!("JWTIssuer {} cannot be used: {mistake}", ObjectName::of(issuer))))
        }
        None => Ok(tokens),
    }
}

pub(crate) fn entity(scope: Scope, id: i64) -> Entity<'static> {
    match scope {
        Scope::Project => Entity::Project(id),
        Scope::Group => Entity::Group(id),
    }
}

impl Login<'_> {
    /// The CEL program of the role. `policies` is the prefix of the policies.
    #[must_use]
    pub fn program<'a>(&'a self, contexts: &'a [JobContext], policies: &'a str) -> Program<'a> {
        Program {
            tokens: &self.tokens,
            entity: self.entity,
            scope_claim: self.scope_claim,
            audiences: &self.audiences,
            ttl: self.ttl,
            leeway: self.leeway,
            contexts,
            policies,
        }
    }

    /// The job of a token.
    #[must_use]
    pub fn job(&self, token: &Token) -> Job {
        Job::of(&token.claims, &self.tokens)
    }

    /// End of the validity of a token. None: it has no usable times.
    #[must_use]
    pub fn ends(&self, token: &Token) -> Option<Timestamp> {
        Times::of(&token.claims, self.leeway()).ok().and_then(Times::ends)
    }

    /// The claims of a token that make OpenBao refuse it. The signature is not checked.
    #[must_use]
    pub fn refusals(&self, token: &Token, now: Timestamp) -> Vec<Refusal> {
        let claims = &token.claims;
        let registered = [self.algorithm(token), self.iss(claims), self.aud(claims), self.times(claims, now)];
        let other = ["jti"].into_iter().filter_map(|name| not_a_text(claims, name));
        let job = self.job(token);
        let program =
            [self.subject(claims, &job), self.scope(claims), self.member(claims, &job), self.star(&job)];
        registered.into_iter().flatten().chain(other).chain(program.into_iter().flatten()).collect()
    }

    /// As the roles in OpenBao, which accept no leeway below a second.
    fn leeway(&self) -> Leeway {
        Leeway(i64::try_from(self.leeway.as_secs()).unwrap_or(60).max(1))
    }

    fn algorithm(&self, token: &Token) -> Option<Refusal> {
        let algorithm = token.header("alg");
        let stated = format!("{}, spec.algorithms", self.issuer_of);
        let problem = format!("{algorithm:?} is not one of {}", self.algorithms.join(", "));
        (!self.algorithms.iter().any(|it| it == algorithm)).then_some(Refusal {
            claim: "alg".to_owned(),
            problem,
            stated,
        })
    }

    fn iss(&self, claims: &Map<String, Value>) -> Option<Refusal> {
        let problem = match registered_text(claims, "iss") {
            // An empty setting accepts every issuer.
            Ok(iss) if self.issuer.is_empty() || iss == self.issuer => return None,
            Ok(iss) => format!("{iss:?} is not {:?}", self.issuer),
            Err(()) => "it is no text".to_owned(),
        };
        let stated = format!("{}, spec.boundIssuer or spec.oidcDiscoveryUrl", self.issuer_of);
        Some(Refusal { claim: "iss".to_owned(), problem, stated })
    }

    fn aud(&self, claims: &Map<String, Value>) -> Option<Refusal> {
        let expected = self.audiences.join(" or ");
        let problem = match audiences(claims) {
            Some(found) if found.iter().any(|audience| self.audiences.contains(audience)) => return None,
            Some(found) if found.is_empty() => format!("the token has none, and {expected} is required"),
            Some(found) => format!("{} is not {expected}", found.join(", ")),
            None => "it is neither a text nor a list of texts".to_owned(),
        };
        Some(Refusal { claim: "aud".to_owned(), problem, stated: self.audiences_of.clone() })
    }

    fn times(&self, claims: &Map<String, Value>, now: Timestamp) -> Option<Refusal> {
        let leeway = self.leeway();
        let (claim, problem) = match Times::of(claims, leeway) {
            Ok(times) => times.problem(now, leeway)?,
            Err(claim) => (claim, "the token has no usable time".to_owned()),
        };
        Some(Refusal { claim: claim.to_owned(), problem, stated: format!("{}, spec.leeway", self.issuer_of) })
    }

    fn scope(&self, claims: &Map<String, Value>) -> Option<Refusal> {
        const CLAIM: &str = "secrets_manager_scope";
        let found = claims.get(CLAIM);
        let problem = match (self.scope_claim?, found) {
            (true, Some(scope)) if text(scope) == "pipeline" => return None,
            (false, None) => return None,
            (true, None) => {
                "it is missing: GitLab adds it to pipeline tokens, and users cannot add it".to_owned()
            }
            (true, Some(scope)) => format!("{scope} is not \"pipeline\""),
            (false, Some(_)) => format!("the role {} does not accept tokens with a scope", self.role),
        };
        let stated = "SecretsProject, spec.pipelineAuth.requireScopeClaim".to_owned();
        Some(Refusal { claim: CLAIM.to_owned(), problem, stated })
    }

    fn member(&self, claims: &Map<String, Value>, job: &Job) -> Option<Refusal> {
        let stated = "SecretsProject, spec.id".to_owned();
        let project = self.tokens.project().unwrap_or_default().to_owned();
        match self.entity {
            Entity::Subjects(subjects) => (!subjects.contains(&job.sub)).then(|| {
                let problem = format!("{:?} is not one of {}", job.sub, subjects.join(", "));
                let stated = "SecretsProject, spec.additionalIssuers[].subjects".to_owned();
                Refusal { claim: "sub".to_owned(), problem, stated }
            }),
            _ if job.project_id.is_empty() => {
                Some(Refusal { claim: project, problem: "it is missing".to_owned(), stated })
            }
            Entity::Project(id) => (job.project_id != id.to_string()).then(|| {
                let problem = format!("the token belongs to project {}, not {id}", job.project_id);
                Refusal { claim: project, problem, stated }
            }),
            Entity::Group(id) => {
                let groups = self.tokens.groups().unwrap_or_default().to_owned();
                let problem = format!("project {} is not below group {id}", job.project_id);
                (!self.is_below(claims.get(&groups), id)).then_some(Refusal {
                    claim: groups,
                    problem,
                    stated,
                })
            }
        }
    }

    /// The groups of a project are a list. Issuers other than GitLab can state the ID of its only group.
    fn is_below(&self, groups: Option<&Value>, id: i64) -> bool {
        let is_group = |value: &Value| text(value) == id.to_string();
        match groups {
            Some(Value::Array(groups)) => groups.iter().any(is_group),
            Some(only) => !self.tokens.has_scope_claim() && is_group(only),
            None => false,
        }
    }

    fn subject(&self, claims: &Map<String, Value>, job: &Job) -> Option<Refusal> {
        if let Some(refusal) = not_a_text(claims, "sub") {
            return Some(refusal);
        }
        let Tokens { pipeline, user, privileged, .. } = &self.tokens;
        let begins = |prefix: &&String| job.sub.starts_with(*prefix);
        let problem = if job.sub.is_empty() {
            "it is missing".to_owned()
        } else if let Some(prefix) = privileged.as_ref().filter(begins) {
            format!("{:?} is the subject of the issuer itself, which starts with {prefix}", job.sub)
        } else if let Some(prefix) = user.as_ref().filter(|_| pipeline.is_none()).filter(begins) {
            format!("{:?} is the subject of a user, which starts with {prefix}", job.sub)
        } else {
            let prefix = pipeline.as_ref().filter(|prefix| !begins(prefix))?;
            format!("{:?} is not the subject of a pipeline, which starts with {prefix}", job.sub)
        };
        let stated = format!("{}, spec.subjectPrefixes", self.issuer_of);
        Some(Refusal { claim: "sub".to_owned(), problem, stated })
    }

    /// A name that contains `*` could pass for a pattern.
    fn star(&self, job: &Job) -> Option<Refusal> {
        let named = [(self.tokens.environment(), &job.environment), (self.tokens.ref_name(), &job.ref_name)];
        let (claim, name) = named.into_iter().find(|(_, name)| name.contains('*'))?;
        let claim = claim.unwrap_or_default().to_owned();
        Some(Refusal { claim, problem: format!("{name:?} contains *"), stated: String::new() })
    }
}

fn not_a_text(claims: &Map<String, Value>, claim: &'static str) -> Option<Refusal> {
    let problem = "it is no text".to_owned();
    registered_text(claims, claim).err().map(|()| Refusal {
        claim: claim.to_owned(),
        problem,
        stated: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn login(role: &str, scope: &str) -> Login<'static> {
        let named = |name: &str, spec: Value| json!({"apiVersion": "steamer.dev/v1alpha1", "kind": "-", "metadata": {"name": name, "namespace": "ns"}, "spec": spec});
        let project = named("web", json!({"tenantRef": {"name": "acme"}, "id": 42, "scope": scope}));
        let issuer = named("gitlab", json!({"oidcDiscoveryUrl": "https://gitlab"}));
        let external = json!({"address": "https://bao", "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}}});
        let cluster = named("main", json!({"external": external, "jwtAudience": "https://bao"}));
        let [project, issuer, cluster] = [project, issuer, cluster];
        let logins = own_logins(
            &serde_json::from_value(project).unwrap(),
            &serde_json::from_value(issuer).unwrap(),
            &serde_json::from_value(cluster).unwrap(),
        );
        logins.unwrap().into_iter().find(|login| login.role == role).unwrap()
    }

    fn token(changes: Value) -> Token {
        let mut claims = json!({
            "iss": "https://gitlab", "aud": "https://bao", "iat": NOW, "exp": NOW + 300, "sub": "project_path:a/b", "project_id": "42",
            "secrets_manager_scope": "pipeline", "project_group_ids": ["7"],
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let claims = claims.as_object().unwrap().iter().filter(|(_, value)| **value != json!("-"));
        Token {
            header: json!({"alg": "RS256"}).as_object().unwrap().clone(),
            claims: claims.map(|(name, value)| (name.clone(), value.clone())).collect(),
            signed: String::new(),
            signature: Vec::new(),
        }
    }

    fn refused(login: &Login<'_>, changes: Value) -> String {
        let found = login.refusals(&token(changes), Timestamp::from_second(NOW).unwrap());
        found.iter().map(|refusal| refusal.claim.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case(json!({}), "")]
    #[case(json!({"project_id": 42}), "")]
    #[case(json!({"iss": "https://other"}), "iss")]
    #[case(json!({"iss": 1}), "iss")]
    #[case(json!({"aud": ["x", "https://bao"]}), "")]
    #[case(json!({"aud": "-"}), "aud")]
    #[case(json!({"exp": NOW - 100, "aud": "x"}), "aud exp")]
    #[case(json!({"sub": "user:dev"}), "sub")]
    #[case(json!({"sub": ["project_path:"]}), "sub")]
    #[case(json!({"jti": 1}), "jti")]
    #[case(json!({"project_id": "43"}), "project_id")]
    #[case(json!({"project_id": null}), "project_id")]
    #[case(json!({"secrets_manager_scope": "-"}), "secrets_manager_scope")]
    #[case(json!({"secrets_manager_scope": "user"}), "secrets_manager_scope")]
    #[case(json!({"environment": "review/*"}), "environment")]
    #[case(json!({"ref": "*"}), "ref")]
    fn each_claim_that_is_wrong_is_reported(#[case] changes: Value, #[case] expected: &str) {
        assert_eq!(refused(&login(ROLE_PIPELINES, "Project"), changes), expected);
    }

    #[rstest]
    #[case(json!({"aud": "https://bao/id-tokens", "secrets_manager_scope": "-"}), "")]
    #[case(json!({}), "aud secrets_manager_scope")]
    fn the_role_of_id_tokens_has_its_own_rules(#[case] changes: Value, #[case] expected: &str) {
        assert_eq!(refused(&login(ROLE_ID_TOKENS, "Project"), changes), expected);
    }

    #[rstest]
    #[case(json!({"project_group_ids": ["1", "42"]}), "")]
    #[case(json!({"project_group_ids": [42]}), "")]
    #[case(json!({"project_group_ids": ["7"]}), "project_group_ids")]
    #[case(json!({"project_group_ids": "42"}), "project_group_ids")]
    fn a_group_accepts_the_projects_below_it(#[case] changes: Value, #[case] expected: &str) {
        assert_eq!(refused(&login(ROLE_PIPELINES, "Group"), changes), expected);
    }

    #[test]
    fn a_refusal_names_the_field_that_states_the_expectation() {
        let found =
            login(ROLE_PIPELINES, "Project").refusals(&token(json!({"aud": "x"})), Timestamp::UNIX_EPOCH);
        let expected = Refusal {
            claim: "aud".to_owned(),
            problem: "x is not https://bao".to_owned(),
            stated: "OpenBaoCluster ns/main, spec.jwtAudience".to_owned(),
        };
        assert_eq!(found.first(), Some(&expected));
    }
}
