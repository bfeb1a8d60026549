//! Explanations of the tokens of CI jobs.

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Map, Value, json};
use steamer_provisioning::jwt::Token;

use super::explanation::{Explanation, Question, explained};
use super::files::objects;
use super::text::text;
use crate::style::Style;

/// 2026-11-28T12:00:00Z.
const NOW: i64 = 1_795_867_200;

fn object(kind: &str, name: &str, spec: Value) -> Map<String, Value> {
    let metadata = json!({"name": name, "namespace": if kind == "PipelinePolicy" || kind == "SecretsProject" { "web" } else { "openbao" }});
    let object =
        json!({"apiVersion": "steamer.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    object.as_object().cloned().unwrap_or_default()
}

fn policy(name: &str, secrets: &[&str], spec: Value) -> Map<String, Value> {
    let mut spec = spec;
    spec["projectRef"] = json!({"name": "web"});
    spec["secrets"] = secrets.iter().map(|name| json!({"name": name})).collect();
    object("PipelinePolicy", name, spec)
}

fn files() -> Vec<Map<String, Value>> {
    let auth = json!({"kubernetes": {"role": "steamer", "audience": "openbao"}});
    let all = json!({"from": "All"});
    vec![
        object(
            "SecretsProject",
            "web",
            json!({"tenantRef": {"name": "acme", "namespace": "openbao"}, "id": 42}),
        ),
        object(
            "SecretsTenant",
            "acme",
            json!({"clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "gitlab"}, "allowedNamespaces": all}),
        ),
        object(
            "OpenBaoCluster",
            "main",
            json!({"external": {"address": "https://bao", "managementAuth": auth}, "jwtAudience": "https://bao.example.com"}),
        ),
        object("JWTIssuer", "gitlab", json!({"oidcDiscoveryUrl": "https://gitlab.example.com"})),
        policy("everyone", &["API_KEY"], json!({})),
        policy(
            "deploy",
            &["DEPLOY_TOKEN", "DB_PASSWORD"],
            json!({"environments": ["production"], "branches": ["main"]}),
        ),
        policy("also", &["DB_PASSWORD"], json!({"branches": ["m*"], "expiresAt": "2026-11-29T00:00:00Z"})),
        policy("soon", &["TEMPORARY"], json!({"expiresAt": "2026-11-28T13:00:00Z"})),
        policy("release", &["SIGNING_KEY"], json!({"branches": ["release/*"]})),
        policy(
            "staging",
            &["STAGING"],
            json!({"environments": ["staging", "review/*"], "when": {"refProtected": false}}),
        ),
        policy("cancelled", &["OLD"], json!({"cancelled": true})),
        policy("expired", &["OLD"], json!({"expiresAt": "2026-11-28T00:00:00Z"})),
        policy("expression", &["NEVER"], json!({"branches": ["^main$"]})),
    ]
}

fn token(changes: Value) -> Token {
    let mut claims = json!({
        "iss": "https://gitlab.example.com", "aud": "https://bao.example.com", "exp": NOW + 252, "iat": NOW,
        "sub": "project_path:acme/web:ref_type:branch:ref:main", "project_id": "42", "environment": "production",
        "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
        "secrets_manager_scope": "pipeline",
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    let part = |value: &Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    Token::parse(&format!("{}.{}.", part(&json!({"alg": "RS256", "kid": "k"})), part(&claims))).unwrap()
}

fn answer(files: Vec<Map<String, Value>>, token: &Token) -> Explanation {
    let objects = objects(files, None, None).unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    explained(&objects, &Question { token, role: None, keys: None, now }).unwrap()
}

#[rstest]
#[case("accepted", json!({}))]
#[case("refused", json!({"aud": "https://vault.example.com", "project_id": "43", "exp": NOW - 3600, "ref": "main\u{1b}[31m"}))]
#[case("id_token", json!({"aud": "https://bao.example.com/id-tokens", "secrets_manager_scope": null}))]
#[case("tag", json!({"ref_type": "tag", "ref_path": "refs/tags/main", "environment": "", "ref_protected": null}))]
fn each_answer_has_its_reasons(#[case] name: &str, #[case] changes: Value) {
    let mut changes = changes;
    let token = if name == "id_token" {
        changes["secrets_manager_scope"] = json!("-");
        let mut token = token(changes);
        token.claims.remove("secrets_manager_scope");
        token
    } else {
        token(changes)
    };
    let found = answer(files(), &token);
    assert_eq!(found.can_log_in, name != "refused");
    insta::assert_snapshot!(name, text(&found, Style::Plain));
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let objects = objects(files(), Some("web/web"), None).unwrap();
    let (token, now) = (token(json!({})), Timestamp::from_second(NOW).unwrap());
    let found = explained(&objects, &Question { token: &token, role: None, keys: Some(&[]), now }).unwrap();
    assert_eq!((found.can_log_in, found.signature), (false, "invalid"));
    assert!(found.reads.is_empty());
}

#[rstest]
#[case::project(0, json!({"enabled": false}), "SecretsProject web/web, spec.enabled")]
#[case::tenant(1, json!({"enabled": false}), "SecretsTenant openbao/acme, spec.enabled")]
fn a_disabled_project_refuses_every_login(
    #[case] index: usize,
    #[case] change: Value,
    #[case] expected: &str,
) {
    let mut files = files();
    for (name, value) in change.as_object().into_iter().flatten() {
        files[index]["spec"][name] = value.clone();
    }
    let found = answer(files, &token(json!({})));
    assert_eq!(found.refusals.iter().map(|it| it.stated.as_str()).collect::<Vec<_>>(), [expected]);
}

#[rstest]
#[case::project(0, "the files contain no SecretsProject")]
#[case::tenant(1, "the files do not contain SecretsTenant openbao/acme")]
#[case::cluster(2, "the files do not contain OpenBaoCluster openbao/main")]
#[case::issuer(3, "the files do not contain JWTIssuer openbao/gitlab")]
fn a_missing_object_is_named(#[case] index: usize, #[case] expected: &str) {
    let mut files = files();
    files.remove(index);
    let error = objects(files, None, None).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_reference_that_is_not_allowed_is_an_error() {
    let mut files = files();
    files[1]["spec"]["allowedNamespaces"] = json!({"from": "Same"});
    let error = objects(files, None, None).unwrap_err().to_string();
    assert!(
        error.contains("SecretsTenant openbao/acme does not allow references from namespace web"),
        "{error}"
    );
}

#[test]
fn policies_of_other_projects_and_namespaces_are_ignored() {
    let mut files = files();
    let mut other = policy("other", &["OTHER"], json!({}));
    other["spec"]["projectRef"] = json!({"name": "shop"});
    let mut foreign = policy("foreign", &["FOREIGN"], json!({}));
    foreign["metadata"]["namespace"] = json!("ci");
    foreign["spec"]["projectRef"] = json!({"name": "web", "namespace": "web"});
    files.extend([other, foreign]);
    let found = answer(files, &token(json!({})));
    assert!(!found.reads.iter().any(|read| ["OTHER", "FOREIGN"].contains(&read.secret.as_str())));
}
