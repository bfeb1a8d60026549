//! The rows of the policy `web-ops`: requests, and whether the policy allows them.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Session};
use steamer_testing::guide;

use crate::secrets_apps::scene::Apps;

/// Role of the pods of `web`.
pub const ROLE: &str = "auth/kubernetes/role/web";
/// Role of the database of `web`.
pub const DATABASE: &str = "postgres/roles/web";
/// Paths of the administrator that the jobs of all applications read.
const SHARED: [&str; 2] = ["kvv1/google/credentials", "kvv1/gitea/tofu_module_reader"];

/// Answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// OpenBao executes the request.
    Success,
    /// OpenBao may execute the request, and finds nothing.
    Missing,
    /// OpenBao denies the request.
    Denied,
}

/// Method, path and body of a request.
type Row = (&'static str, &'static str, Option<Value>);

/// The further paths of the policy, as in the samples of the homelab.
pub fn extra_paths() -> Value {
    let every = ["create", "read", "update", "delete", "list"];
    json!([
        {"path": SHARED[0], "verbs": ["read"]},
        {"path": SHARED[1], "verbs": ["read"]},
        {"path": "kvv1/cloudflare/web/*", "verbs": every},
        {"path": "kvv1/ovh/web/*", "verbs": every},
    ])
}

/// The request of Terraform's provider, with every field that it sends.
pub fn terraform() -> Value {
    json!({
        "ttl": "20m", "explicit_max_ttl": "20m", "display_name": "terraform", "num_uses": 0, "renewable": false, "type": "",
        "entity_alias": "",
    })
}

/// The parameters of the role of the database of an application that its policy accepts. The SecretsApp states no other lifetime than
/// the default one.
pub fn of_database(app: &str) -> Result<Value> {
    let mut parameters = guide::database(app, "db")?;
    parameters.as_object_mut().context("no object")?.remove("max_ttl");
    Ok(parameters)
}

/// A version of a secret.
fn data() -> Value {
    json!({"data": {"value": "x"}})
}

/// A secret without versions.
fn v1() -> Value {
    json!({"value": "x"})
}

/// What a repository may do, in an order in which each request finds what it needs.
fn allowed() -> Vec<Row> {
    let versions = || Some(json!({"versions": [1]}));
    vec![
        ("POST", "kvv2/data/web/a", Some(data())),
        ("GET", "kvv2/data/web/a", None),
        ("POST", "kvv2/data/web/a", Some(data())),
        ("PATCH", "kvv2/data/web/a", Some(data())),
        ("DELETE", "kvv2/data/web/a", None),
        ("POST", "kvv2/delete/web/a", versions()),
        ("POST", "kvv2/undelete/web/a", versions()),
        ("POST", "kvv2/destroy/web/a", versions()),
        ("GET", "kvv2/metadata/web/a", None),
        ("LIST", "kvv2/metadata/web/", None),
        ("POST", "kvv2/metadata/web/a", Some(json!({"max_versions": 5}))),
        ("PATCH", "kvv2/metadata/web/a", Some(json!({"max_versions": 6}))),
        ("DELETE", "kvv2/metadata/web/a", None),
        ("GET", SHARED[0], None),
        ("GET", SHARED[1], None),
        ("POST", "kvv1/cloudflare/web/token", Some(v1())),
        ("POST", "kvv1/cloudflare/web/token", Some(v1())),
        ("GET", "kvv1/cloudflare/web/token", None),
        ("LIST", "kvv1/cloudflare/web/", None),
        ("DELETE", "kvv1/cloudflare/web/token", None),
        ("POST", "kvv1/ovh/web/token", Some(v1())),
        ("POST", "kvv1/ovh/web/token", Some(v1())),
        ("GET", "kvv1/ovh/web/token", None),
        ("LIST", "kvv1/ovh/web/", None),
        ("DELETE", "kvv1/ovh/web/token", None),
        ("GET", "sys/mounts/auth/kubernetes", None),
        ("POST", "auth/token/create", Some(terraform())),
    ]
}

/// What a repository may read, and no job has written yet.
fn allowed_and_missing() -> Vec<Row> {
    vec![("GET", ROLE, None), ("GET", DATABASE, None)]
}

/// Requests for secrets of others.
fn refused() -> Vec<Row> {
    vec![
        ("POST", SHARED[0], Some(v1())),
        ("DELETE", SHARED[0], None),
        ("POST", SHARED[1], Some(v1())),
        ("DELETE", SHARED[1], None),
        ("LIST", "kvv1/gitea/", None),
        ("GET", "kvv1/cloudflare/webapp/token", None),
        ("POST", "kvv1/cloudflare/webapp/token", Some(v1())),
        ("LIST", "kvv1/cloudflare/", None),
        ("GET", "kvv1/ovh/webapp/token", None),
        ("POST", "kvv1/ovh/webapp/token", Some(v1())),
        ("LIST", "kvv1/ovh/", None),
        ("POST", "kvv1/other", Some(v1())),
        ("GET", "kvv2/data/webapp/config", None),
        ("POST", "kvv2/data/webapp/config", Some(data())),
        ("PATCH", "kvv2/data/webapp/config", Some(data())),
        ("DELETE", "kvv2/data/webapp/config", None),
        ("POST", "kvv2/metadata/webapp/config", Some(json!({"max_versions": 5}))),
        ("LIST", "kvv2/metadata/", None),
        ("GET", "postgres/creds/web", None),
        ("GET", "postgres/creds/webapp", None),
        ("GET", "postgres/config/db", None),
        ("GET", "postgres/roles/webapp", None),
    ]
}

/// Requests that would give more rights.
fn refused_administration() -> Vec<Row> {
    vec![
        ("POST", "postgres/static-roles/web", Some(json!({"db_name": "db", "username": "web_role"}))),
        ("POST", "postgres/rotate-root/db", None),
        ("POST", "sys/policies/acl/web", Some(json!({"policy": ""}))),
        ("POST", "sys/policies/acl/web-ops", Some(json!({"policy": ""}))),
        ("GET", "sys/policies/acl/web-ops", None),
        ("POST", "sys/auth/other", Some(json!({"type": "approle"}))),
        ("POST", "sys/mounts/other", Some(json!({"type": "kv"}))),
        ("POST", "sys/mounts/auth/kubernetes/tune", Some(json!({"max_lease_ttl": "9h"}))),
        ("POST", "identity/group/name/web-ops", Some(json!({"policies": ["root"]}))),
        ("POST", "identity/entity", Some(json!({"policies": ["root"]}))),
        ("POST", "identity/entity-alias", Some(json!({"name": "x"}))),
        ("POST", "auth/gitea_jwt/role/gitea_cicd_web", Some(json!({"bound_audiences": ["x"]}))),
        ("POST", "auth/token/create-orphan", None),
        ("POST", "auth/token/create/any", None),
    ]
}

/// Checks the answer to each request. A token without the policy may send none of them. No job has written a role yet.
pub async fn the_rows(apps: &Apps, token: &Session, has_policy: bool) -> Result<()> {
    for path in SHARED {
        apps.scene.post(path, v1()).await?;
    }
    let allowed = allowed().into_iter().map(|row| (row, Answer::Success));
    let missing = allowed_and_missing().into_iter().map(|row| (row, Answer::Missing));
    let refused = refused().into_iter().chain(refused_administration()).map(|row| (row, Answer::Denied));
    for ((method, path, body), expected) in allowed.chain(missing).chain(refused) {
        let expected = if has_policy { expected } else { Answer::Denied };
        let verb = Method::from_bytes(method.as_bytes())?;
        let seen = answer(token, verb, path, body).await.with_context(|| format!("{method} {path}"))?;
        ensure!(seen == expected, "{method} {path}: {seen:?} instead of {expected:?}");
    }
    Ok(())
}

async fn answer(token: &Session, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
    match token.request_any(method, path, body).await {
        Ok(_) => Ok(Answer::Success),
        Err(Error::NotFound { .. }) => Ok(Answer::Missing),
        Err(Error::Denied { .. }) => Ok(Answer::Denied),
        Err(error) => Err(error.into()),
    }
}
