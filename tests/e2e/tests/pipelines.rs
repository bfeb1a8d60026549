//! Secrets that a CI job can read: the claim matrix, globs, and added and removed policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_api::{JWTIssuer, PipelinePolicy, SecretsProject};
use steamer_openbao::{
    Credential, CredentialError, Identity, Login, LoginKind, NamespacePath, Presentation, Session,
};
use steamer_provisioning::pipelines::{JobContext, Pattern};
use steamer_testing::audit;
use steamer_testing::issuer::{JwtIssuer, pipeline_claims, symmetric, unsigned};
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::tenancy::{AUDIENCE, ID_AUDIENCE, readable_with};

/// Returns the claims with `changes` applied; null removes a claim.
fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.as_object_mut().map(|claims| claims.remove(name))),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn the_claim_matrix_accepts_only_the_intended_tokens() -> Result<()> {
    let case = Case::new("pipelines-matrix").await?;
    let namespace = case.project(201).await?;
    case.values(&namespace, &["GLOBAL", "MAIN"]).await?;
    case.policy("global", json!({"secrets": [{"name": "GLOBAL"}]})).await?;
    let when = json!({"refProtected": true});
    case.policy("main", json!({"branches": ["main"], "when": when, "secrets": [{"name": "MAIN"}]})).await?;
    let (issuer, now) = (&case.ground.issuer, Timestamp::now().as_second());
    let good = case.claims();
    let sign = |claims: &Value| issuer.sign("key-1", claims);
    let of = |changes: Value| sign(&with(&good, changes));
    let other = JwtIssuer::start().await?;
    let id_token = json!({"aud": ID_AUDIENCE, "secrets_manager_scope": null});
    let all = ["GLOBAL", "MAIN"].as_slice();
    let nothing: Option<&[&str]> = None;
    let cases: Vec<(&str, &str, String, Option<&[&str]>)> = vec![
        ("the project's own", "all_pipelines", of(json!({}))?, Some(all)),
        ("numeric project_id", "all_pipelines", of(json!({"project_id": 42}))?, Some(all)),
        (
            "aud is a list that contains the audience",
            "all_pipelines",
            of(json!({"aud": ["x", AUDIENCE]}))?,
            Some(all),
        ),
        ("expired within leeway", "all_pipelines", of(json!({"exp": now - 20}))?, Some(all)),
        ("an ID token at the ID token role", "id_tokens", of(id_token.clone())?, Some(all)),
        (
            "another branch",
            "all_pipelines",
            of(json!({"ref": "dev", "ref_path": "refs/heads/dev"}))?,
            Some(&["GLOBAL"]),
        ),
        (
            "the branch, not protected",
            "all_pipelines",
            of(json!({"ref_protected": "false"}))?,
            Some(&["GLOBAL"]),
        ),
        (
            "a tag named like the branch",
            "all_pipelines",
            of(json!({"ref_type": "tag", "ref_path": "refs/tags/main"}))?,
            Some(&["GLOBAL"]),
        ),
        (
            "a tag that claims to be a branch",
            "all_pipelines",
            of(json!({"ref_path": "refs/tags/main"}))?,
            Some(&["GLOBAL"]),
        ),
        (
            "a merge request",
            "all_pipelines",
            of(json!({"ref_path": "refs/merge-requests/1/head", "pipeline_source": "merge_request_event"}))?,
            Some(&["GLOBAL"]),
        ),
        (
            "a merge request without ref_type",
            "all_pipelines",
            of(json!({"ref_type": null}))?,
            Some(&["GLOBAL"]),
        ),
        ("a sibling", "all_pipelines", of(json!({"project_id": "43"}))?, nothing),
        ("a longer id", "all_pipelines", of(json!({"project_id": "421"}))?, nothing),
        (
            "a fork",
            "all_pipelines",
            of(
                json!({"project_id": "99", "namespace_id": "8", "project_path": "mallory/web", "sub": "project_path:mallory/web:ref_type:branch:ref:main"}),
            )?,
            nothing,
        ),
        ("no project_id", "all_pipelines", of(json!({"project_id": null}))?, nothing),
        (
            "another issuer",
            "all_pipelines",
            other.sign("key-1", &pipeline_claims(&other.url, AUDIENCE))?,
            nothing,
        ),
        (
            "another issuer that claims to be the configured one",
            "all_pipelines",
            other.sign("key-1", &good)?,
            nothing,
        ),
        ("wrong iss", "all_pipelines", of(json!({"iss": "https://gitlab.example.org"}))?, nothing),
        ("no iss", "all_pipelines", of(json!({"iss": null}))?, nothing),
        ("wrong aud", "all_pipelines", of(json!({"aud": "https://vault.example.com"}))?, nothing),
        ("no aud", "all_pipelines", of(json!({"aud": null}))?, nothing),
        ("aud is a list that lacks the audience", "all_pipelines", of(json!({"aud": ["x", "y"]}))?, nothing),
        (
            "expired",
            "all_pipelines",
            of(json!({"exp": now - 120, "nbf": now - 500, "iat": now - 500}))?,
            nothing,
        ),
        ("not yet valid", "all_pipelines", of(json!({"nbf": now + 600, "exp": now + 900}))?, nothing),
        ("unknown kid", "all_pipelines", other.sign_as("key-1", "key-9", &good)?, nothing),
        ("alg none", "all_pipelines", unsigned(&good), nothing),
        (
            "HS256 with the public key",
            "all_pipelines",
            symmetric("key-1", issuer.public_pem("key-1")?.as_bytes(), &good),
            nothing,
        ),
        ("no sub", "all_pipelines", of(json!({"sub": null}))?, nothing),
        ("no exp", "all_pipelines", of(json!({"exp": null}))?, nothing),
        ("a user's sub", "all_pipelines", of(json!({"sub": "user:dev"}))?, nothing),
        ("no scope", "all_pipelines", of(json!({"secrets_manager_scope": null}))?, nothing),
        ("wrong scope", "all_pipelines", of(json!({"secrets_manager_scope": "user"}))?, nothing),
        ("an ID token at the pipeline role", "all_pipelines", of(id_token)?, nothing),
        (
            "an ID token with the pipeline audience",
            "all_pipelines",
            of(json!({"secrets_manager_scope": null}))?,
            nothing,
        ),
        ("a pipeline token at the ID token role", "id_tokens", of(json!({}))?, nothing),
        ("a pipeline token with the ID audience", "id_tokens", of(json!({"aud": ID_AUDIENCE}))?, nothing),
        ("a * in the environment", "all_pipelines", of(json!({"environment": "*"}))?, nothing),
        ("a * in the ref", "all_pipelines", of(json!({"ref": "*", "ref_path": "refs/heads/*"}))?, nothing),
        ("no role", "", of(json!({}))?, nothing),
        ("no such role", "admin", of(json!({}))?, nothing),
    ];
    for (what, role, jwt, expected) in cases {
        match (case.login(&namespace, role, &jwt).await, expected) {
            (Ok(session), Some(expected)) => {
                assert_eq!(readable_with(&session, all).await?, expected, "{what}")
            }
            (Err(_), None) => {}
            (Ok(session), None) => {
                let readable = readable_with(&session, all).await?;
                anyhow::bail!("{what} was accepted and reads {readable:?}");
            }
            (Err(error), Some(_)) => anyhow::bail!("{what} was rejected: {error}"),
        }
    }
    // The namespace of another project rejects the token too.
    case.object("SecretsProject", "neighbour", json!({"tenantRef": {"name": "acme"}, "id": 43})).await?;
    case.ready::<SecretsProject>("neighbour", "True/Applied").await?;
    assert!(case.login("org_201/group_7/project_43", "all_pipelines", &sign(&good)?).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_group_scoped_project_accepts_every_project_below_the_group_and_no_other() -> Result<()> {
    let case = Case::new("pipelines-group").await?;
    case.tenant(202).await?;
    let spec = json!({"tenantRef": {"name": "acme"}, "scope": "Group", "id": 7});
    case.object("SecretsProject", "web", spec).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    let namespace = "org_202/group_7/group_7";
    case.values(namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let good = case.claims();
    assert_eq!(case.readable(namespace, &good, &["A"]).await?, ["A"]);
    let below = with(&good, json!({"project_id": "77", "project_group_ids": ["1", "7", "9"]}));
    assert_eq!(case.readable(namespace, &below, &["A"]).await?, ["A"]);
    for ids in [json!(null), json!([]), json!(["8", "70", "77"]), json!("7"), json!({"7": "7"})] {
        let outside = with(&good, json!({"project_group_ids": ids.clone()}));
        assert!(case.readable(namespace, &outside, &["A"]).await.is_err(), "{ids}");
    }
    Ok(())
}

#[tokio::test]
async fn access_through_globs_equals_the_reference_matcher() -> Result<()> {
    let case = Case::new("pipelines-globs").await?;
    let namespace = case.project(203).await?;
    let mut runner = TestRunner::deterministic();
    let piece = prop_oneof![
        Just("*".to_owned()),
        Just("main".to_owned()),
        Just("a/b".to_owned()),
        Just("a.b".to_owned()),
        Just("x-y".to_owned()),
        Just("$".to_owned()),
        Just("}".to_owned()),
        "[a-c{_]{1,2}",
    ];
    let text = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    let mut draw = |count: usize| -> Result<Vec<String>> {
        (0..count)
            .map(|_| Ok(text.new_tree(&mut runner).map_err(|reason| anyhow::anyhow!("{reason}"))?.current()))
            .collect()
    };
    let (environments, branches) = (draw(10)?, draw(10)?);
    let mut contexts = Vec::new();
    for (number, (environment, branch)) in environments.iter().zip(&branches).enumerate() {
        let (environment, branch) = match number % 3 {
            0 => (vec![environment], vec![]),
            1 => (vec![], vec![branch]),
            _ => (vec![environment], vec![branch]),
        };
        let name = format!("S{number}");
        let policy = json!({"environments": environment, "branches": branch, "secrets": [{"name": name}]});
        case.policy(&format!("p{number}"), policy).await?;
        case.values(&namespace, &[&name]).await?;
        contexts.push((name, pattern(&environment), pattern(&branch)));
    }
    let names: Vec<&str> = contexts.iter().map(|(name, ..)| name.as_str()).collect();
    let values = draw(60)?;
    for pair in values.chunks(2) {
        // Names derived from the patterns, with each star replaced, so that many match.
        let (environment, branch) = (pair[0].replace('*', "x/\n"), pair[1].replace('*', ""));
        let claims = with(
            &case.claims(),
            json!({"environment": environment, "ref": branch, "ref_path": format!("refs/heads/{branch}")}),
        );
        let matches = |pattern: &Option<Pattern>, name: &str| {
            pattern.as_ref().is_none_or(|pattern| !name.is_empty() && pattern.matches(name))
        };
        let expected: Vec<&str> = contexts
            .iter()
            .filter(|(_, environments, branches)| {
                matches(environments, &environment) && matches(branches, &branch)
            })
            .map(|(name, ..)| name.as_str())
            .collect();
        assert_eq!(case.readable(&namespace, &claims, &names).await?, expected, "{environment:?} {branch:?}");
    }
    // A claim that looks like a pattern grants nothing.
    for star in environments.iter().filter(|text| text.contains('*')) {
        assert!(
            case.readable(&namespace, &with(&case.claims(), json!({"environment": star})), &names)
                .await
                .is_err()
        );
    }
    Ok(())
}

fn pattern(texts: &[&String]) -> Option<Pattern> {
    texts.first().and_then(|text| Pattern::new(text))
}

#[tokio::test]
async fn policies_are_merged_and_removing_one_revokes_exactly_its_grants() -> Result<()> {
    let case = Case::new("pipelines-merge").await?;
    let namespace = case.project(204).await?;
    let names = ["A", "B", "C"];
    case.values(&namespace, &names).await?;
    case.policy("first", json!({"branches": ["main"], "secrets": [{"name": "A"}, {"name": "B"}]})).await?;
    case.policy("second", json!({"branches": ["main"], "secrets": [{"name": "B"}, {"name": "C"}]})).await?;
    let session = case.admin()?.within(&namespace);
    let name = JobContext { branch: Pattern::new("main"), ..JobContext::default() }.policy_name();
    assert_eq!(
        session.policies_below("pipelines").await?.into_keys().collect::<Vec<_>>(),
        std::slice::from_ref(&name)
    );
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    let job = case.login(&namespace, "all_pipelines", &jwt).await?;
    assert_eq!(readable_with(&job, &names).await?, ["A", "B", "C"]);

    let policies: Api<PipelinePolicy> = case.api();
    policies.delete("first", &DeleteParams::default()).await?;
    reads(&job, &names, &["B", "C"]).await?;
    policies
        .patch("second", &PatchParams::default(), &Patch::Merge(&json!({"spec": {"cancelled": true}})))
        .await?;
    // The token is still valid; the policy is revoked.
    reads(&job, &names, &[]).await?;
    case.ready::<PipelinePolicy>("second", "True/Disabled").await?;
    eventually("the policy without paths is deleted", || async {
        match session.policy(&name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;

    let soon = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    case.policy(
        "brief",
        json!({"branches": ["main"], "secrets": [{"name": "C"}], "expiresAt": soon.to_string()}),
    )
    .await?;
    reads(&job, &names, &["C"]).await?;
    reads(&job, &names, &[]).await?;
    case.ready::<PipelinePolicy>("brief", "True/Expired").await.map(drop)
}

async fn reads(session: &Session, names: &[&str], expected: &[&str]) -> Result<()> {
    eventually("the job reads exactly the expected secrets", || async {
        match readable_with(session, names).await {
            Ok(readable) if readable == expected => Ok(()),
            other => Err(format!("{other:?}, not {expected:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_key_that_the_issuer_has_removed_stops_working() -> Result<()> {
    let case = Case::new("pipelines-keys").await?;
    let issuer = case.ground.at_home(async { JwtIssuer::start().await }).await?;
    case.follow(&issuer).await?;
    let namespace = &case.project_of_issuer(205).await?;
    let claims = pipeline_claims(&issuer.url, AUDIENCE);
    let old = issuer.sign("key-1", &claims)?;
    case.login(namespace, "all_pipelines", &old).await?;
    // Both keys are valid during the overlap.
    issuer.add_key("key-2")?;
    case.login(namespace, "all_pipelines", &issuer.sign("key-2", &claims)?).await?;
    case.login(namespace, "all_pipelines", &old).await?;
    issuer.withdraw_key("key-1");
    eventually("the removed key is rejected", || async {
        match case.login(namespace, "all_pipelines", &old).await {
            Err(_) => Ok(()),
            Ok(_) => Err("login succeeded"),
        }
    })
    .await?;
    case.login(namespace, "all_pipelines", &issuer.sign("key-2", &claims)?).await?;
    let found = case.ready::<JWTIssuer>("gitlab", "True/Applied").await?;
    assert_eq!(found.status.unwrap_or_default().key_ids, ["key-2"]);
    Ok(())
}

#[tokio::test]
async fn keys_that_openbao_cannot_read_are_left_out() -> Result<()> {
    let case = Case::new("pipelines-unreadable").await?;
    let issuer = case.ground.at_home(async { JwtIssuer::start().await }).await?;
    let coordinate = "A".repeat(43);
    issuer.publish(vec![
        json!({"kty": "EC", "crv": "secp256k1", "kid": "curve", "x": coordinate, "y": coordinate}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "new", "pub": "AAAA"}),
    ]);
    case.follow(&issuer).await?;
    let left_out = "True/Applied: 1 keys; 2 keys are left out";
    case.ready::<JWTIssuer>("gitlab", left_out).await?;
    let namespace = &case.project_of_issuer(231).await?;
    let claims = pipeline_claims(&issuer.url, AUDIENCE);
    let works = async |key: &str, expected: bool| {
        let jwt = issuer.sign(key, &claims)?;
        eventually(&format!("a login with {key} works: {expected}"), || async {
            let login = case.login(namespace, "all_pipelines", &jwt).await;
            if login.is_ok() == expected { Ok(()) } else { Err(format!("{login:?}")) }
        })
        .await
    };
    works("key-1", true).await?;
    issuer.add_key("key-2")?;
    works("key-2", true).await?;
    issuer.withdraw_key("key-1");
    works("key-1", false).await?;
    works("key-2", true).await?;
    // Without such keys, OpenBao reads the key set itself again.
    issuer.publish(Vec::new());
    eventually("no key is left out", || async {
        let found: JWTIssuer = case.api().get("gitlab").await.map_err(|error| error.to_string())?;
        let status = found.status.unwrap_or_default();
        let all = status.unreadable_keys == 0 && status.readable_keys.is_none();
        if all { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    works("key-1", false).await?;
    works("key-2", true).await
}

#[tokio::test]
async fn a_claim_of_another_type_counts_as_absent() -> Result<()> {
    let case = Case::new("pipelines-types").await?;
    let namespace = case.project(207).await?;
    case.values(&namespace, &["A", "PROD"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    case.policy("prod", json!({"environments": ["prod"], "secrets": [{"name": "PROD"}]})).await?;
    let names = ["A", "PROD"];
    let odd = [json!(["prod"]), json!({"name": "prod"}), json!(null), json!([]), json!(1.5), json!(true)];
    for value in &odd {
        // Optional claims: the job is let in without what the claim would grant.
        for claim in ["environment", "ref", "ref_type", "ref_path", "ref_protected", "job_id", "user_id"] {
            let claims = with(&case.claims(), json!({claim: value}));
            assert_eq!(case.readable(&namespace, &claims, &names).await?, ["A"], "{claim} {value}");
        }
        // Required claims: the job is rejected, and the message does not contain the program.
        for claim in ["project_id", "secrets_manager_scope"] {
            let claims = with(&case.claims(), json!({claim: value}));
            let Err(error) = case.readable(&namespace, &claims, &names).await else {
                anyhow::bail!("{claim} {value} is accepted");
            };
            let text = format!("{error:?}");
            assert!(text.contains("the token"), "{claim} {value}: {text}");
            assert!(!text.contains("overload") && !text.contains("pb.Auth"), "{claim} {value}: {text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn further_conditions_narrow_the_access_of_jobs() -> Result<()> {
    let case = Case::new("pipelines-when").await?;
    let namespace = case.project(208).await?;
    let conditions = [
        ("TIER", json!({"deploymentTiers": ["production", "staging"]})),
        ("PROTECTED", json!({"environmentProtected": true})),
        ("UNPROTECTED", json!({"environmentProtected": false})),
        ("SOURCE", json!({"pipelineSources": ["schedule", "merge_request_event"]})),
        ("USER", json!({"userIds": [1, 12, 1_234_567]})),
        ("PIPELINE", json!({"pipelineIds": [100]})),
        ("BOTH", json!({"refProtected": true, "userIds": [12], "pipelineSources": ["schedule"]})),
    ];
    let names = conditions.each_ref().map(|(name, _)| *name);
    case.values(&namespace, &names).await?;
    for (name, when) in &conditions {
        let policy = json!({"when": when, "secrets": [{"name": name}]});
        case.policy(&name.to_lowercase(), policy).await?;
    }
    let jobs: [(Value, &[&str]); 9] = [
        (json!({}), &["USER", "PIPELINE"]),
        (json!({"deployment_tier": "production", "environment": "prod"}), &["TIER", "USER", "PIPELINE"]),
        // OpenBao reads numbers as floating-point numbers.
        (json!({"user_id": 1_234_567}), &["USER", "PIPELINE"]),
        (json!({"deployment_tier": "productions"}), &["USER", "PIPELINE"]),
        (json!({"environment_protected": "true", "user_id": "2"}), &["PROTECTED", "PIPELINE"]),
        (json!({"environment_protected": "false", "pipeline_id": "1001"}), &["UNPROTECTED", "USER"]),
        (json!({"pipeline_source": "merge_request_event", "user_id": "121"}), &["SOURCE", "PIPELINE"]),
        (json!({"pipeline_source": "schedule", "user_id": "12"}), &["SOURCE", "USER", "PIPELINE", "BOTH"]),
        (
            json!({"pipeline_source": "schedule", "user_id": "12", "ref_protected": "false"}),
            &["SOURCE", "USER", "PIPELINE"],
        ),
    ];
    for (changes, expected) in jobs {
        let claims = with(&case.claims(), changes.clone());
        assert_eq!(case.readable(&namespace, &claims, &names).await?, expected, "{changes}");
    }
    // Just-in-time access: it ends with the time to live of the object, also for existing tokens.
    let jwt = case.ground.issuer.sign("key-1", &with(&case.claims(), json!({"pipeline_id": "200"})))?;
    let job = case.login(&namespace, "all_pipelines", &jwt).await?;
    let brief = json!({"when": {"pipelineIds": [200]}, "ttl": "2m", "secrets": [{"name": "BOTH"}]});
    case.policy("brief", brief).await?;
    reads(&job, &names, &["USER"]).await?;
    let jwt = case.ground.issuer.sign("key-1", &with(&case.claims(), json!({"pipeline_id": "200"})))?;
    let job = case.login(&namespace, "all_pipelines", &jwt).await?;
    reads(&job, &names, &["USER", "BOTH"]).await?;
    let policies: Api<PipelinePolicy> = case.api();
    let shorter = Patch::Merge(json!({"spec": {"ttl": "1s"}}));
    policies.patch("brief", &PatchParams::default(), &shorter).await?;
    reads(&job, &names, &["USER"]).await?;
    case.ready::<PipelinePolicy>("brief", "True/Expired").await.map(drop)
}

/// The JWT of a job.
struct Jwt(String);

impl Credential for Jwt {
    fn secret(&self) -> BoxFuture<'_, Result<SecretString, CredentialError>> {
        Box::pin(async { Ok(self.0.clone().into()) })
    }

    fn discard(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }
}

#[tokio::test]
async fn a_runner_reads_with_the_settings_in_the_status() -> Result<()> {
    let case = Case::new("pipelines-runner").await?;
    let namespace = case.project(210).await?;
    case.values(&namespace, &["A", "B"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let project = case.ready::<SecretsProject>("web", "True/Applied").await?;
    let runner = project.status.and_then(|status| status.runner).context("no runner")?;
    let (at, login) = runner.inline_auth_path.split_once("/auth/").context("no login")?;
    let mount = login.strip_suffix("/cel/login").context("no CEL login")?;
    let client = case.ground.openbao.client()?;
    let session = |claims: &Value| -> Result<Session> {
        let credential = Arc::new(Jwt(case.ground.issuer.sign("key-1", claims)?));
        let login = Login {
            namespace: NamespacePath::new(at),
            mount: mount.to_owned(),
            role: runner.role.clone(),
            kind: LoginKind::Cel,
            params: BTreeMap::new(),
            presentation: Presentation::Inline,
            credential,
        };
        Ok(client.session(Identity::login(login)))
    };
    // The paths start at the root, without a header for the namespace.
    let path = |name: &str| format!("{}/data/{}/{name}", runner.engine_path, runner.data_root);
    let job = session(&case.claims())?;
    let answer = job.request_any(Method::GET, &path("A"), None).await?;
    assert_eq!(answer["data"]["data"]["value"], "of A");
    assert!(job.request_any(Method::GET, &path("B"), None).await.is_err());
    // Each request is validated.
    let other = session(&with(&case.claims(), json!({"project_id": "43"})))?;
    assert!(other.request_any(Method::GET, &path("A"), None).await.is_err());
    Ok(())
}

/// The login entry of the audit log whose metadata contains a correlation ID.
fn audited(case: &Case, correlation: &str) -> Result<Arc<Value>> {
    let entries = audit::entries(&case.ground.openbao.audit, correlation)?;
    let is_read = |path: &str| path.ends_with("/data/explicit/A");
    let mut reads =
        entries.into_iter().filter(|entry| entry["request"]["path"].as_str().is_some_and(is_read));
    reads.next_back().ok_or_else(|| anyhow::anyhow!("the audit log contains no read with {correlation}"))
}

#[tokio::test]
async fn the_audit_log_names_the_job_and_a_token_ends_with_its_jwt() -> Result<()> {
    let case = Case::new("pipelines-attribution").await?;
    let namespace = case.project(209).await?;
    case.values(&namespace, &["A"]).await?;
    case.policy("all", json!({"secrets": [{"name": "A"}]})).await?;
    let claims = with(&case.claims(), json!({"correlation_id": "correlation-209", "environment": "prod"}));
    assert_eq!(case.readable(&namespace, &claims, &["A"]).await?, ["A"]);
    let entry = audited(&case, "correlation-209")?;
    let expected = json!({
        "correlation_id": "correlation-209", "project_id": "42", "namespace_id": "7", "pipeline_id": "100", "job_id": "1000",
        "user_id": "1", "ref": "main", "environment": "prod", "sub": "project_path:acme/web:ref_type:branch:ref:main",
    });
    for (name, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(entry["auth"]["metadata"][name], *value, "{name}: {}", entry["auth"]["metadata"]);
    }
    let now = Timestamp::now().as_second();
    // The token lives for tokenTTL (300 s), or until OpenBao would reject the JWT: 60 s after its end.
    for (left, expected) in [(1000, 290..=300), (100, 120..=160), (-20, 1..=40)] {
        let claims = with(&case.claims(), json!({"exp": now + left, "iat": now - 60, "nbf": now - 60}));
        let jwt = case.ground.issuer.sign("key-1", &claims)?;
        let body = json!({"role": "all_pipelines", "jwt": jwt});
        let client = case.ground.openbao.client()?.session(Identity::Anonymous);
        let path = "auth/pipeline_jwt/cel/login";
        let answer = client.within(&namespace).request_any(Method::POST, path, Some(body)).await?;
        let lease = answer["auth"]["lease_duration"].as_i64().unwrap_or_default();
        assert!(expected.contains(&lease), "a JWT that ends in {left} s has a token of {lease} s");
    }
    Ok(())
}
