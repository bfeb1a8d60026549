//! What CI jobs of a repository and members of the identity group may do: each row of the policy, and attempts to get more than
//! that.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::SecretsApp;
use steamer_openbao::Session;

use super::people::members_of_the_group_have_the_same_rows;
use super::rows::{DATABASE, ROLE, extra_paths, of_database, terraform, the_rows};
use crate::general::Scene;
use crate::secrets_apps::scene::{Apps, account, denied, of_repository, pod, value};

#[tokio::test]
async fn the_ops_policy_allows_exactly_its_rows() -> Result<()> {
    let apps = Apps::new("ops-table").await?;
    apps.kv().await?;
    apps.engines().await?;
    let ops = json!({"extraPaths": extra_paths(), "terraformCompat": true});
    let runtime = json!({"serviceAccounts": ["web", "job"]});
    let spec = of_repository("example/web", json!({"ops": ops, "runtime": runtime}));
    apps.scene.apply("SecretsApp", "web", spec).await?;
    apps.scene.ready("SecretsApp", "web", "True/Applied").await?;
    apps.scene.apply("SecretsApp", "webapp", of_repository("example/webapp", json!({}))).await?;
    apps.scene.ready("SecretsApp", "webapp", "True/Applied").await?;
    let job = apps.job("web", "example/web").await?;
    the_rows(&apps, &job, true).await?;
    members_of_the_group_have_the_same_rows(&apps).await?;
    the_job_owns_its_roles(&apps, &job).await?;
    each_parameter_is_checked(&apps, &job).await?;
    a_role_without_an_audience_is_reported(&apps, &job).await?;
    a_role_of_the_database_with_other_statements_is_reported(&apps, &job).await?;
    a_wildcard_of_parameters_would_let_admin_through(&apps).await?;
    allowed_lists_are_real_lists_and_not_json_in_a_string(&apps, &job).await?;
    steamer_does_not_touch_the_roles(&apps).await
}

/// The parameters of the role of the pods that the policy accepts.
fn role() -> Value {
    json!({
        "bound_service_account_names": ["web", "job"], "bound_service_account_namespaces": ["web"], "audience": "vault",
        "token_policies": ["default", "web"], "token_ttl": 3600,
    })
}

/// The job creates both roles, a pod logs in with one, and the other issues a credential.
async fn the_job_owns_its_roles(apps: &Apps, job: &Session) -> Result<()> {
    let post = |path, body| job.request_any(Method::POST, path, Some(body));
    post(ROLE, role()).await?;
    let mut reordered = role();
    reordered["bound_service_account_names"] = json!(["job", "web"]);
    reordered["token_policies"] = json!(["web", "default"]);
    post(ROLE, reordered).await?;
    account(&apps.scene, ("web", "job")).await?;
    let token = pod(&apps.scene, "web", ("web", "job")).await?;
    ensure!(value(&token, "kvv2/data/web/config").await? == "web");
    post(DATABASE, database()?).await?;
    // Terraform reads what it has created.
    for path in [ROLE, DATABASE] {
        job.request_any(Method::GET, path, None).await.with_context(|| path.to_owned())?;
    }
    token.request_any(Method::GET, "postgres/creds/web", None).await?;
    job.request_any(Method::DELETE, ROLE, None).await?;
    post(ROLE, role()).await?;
    Ok(())
}

/// The parameters of the role of the database that the policy accepts.
fn database() -> Result<Value> {
    of_database("web")
}

/// Each parameter that would give more is refused, alone and with the others.
async fn each_parameter_is_checked(apps: &Apps, job: &Session) -> Result<()> {
    let attempts = [
        ("policies", json!(["admin"])),
        ("Policies", json!(["admin"])),
        ("token_policies", json!(["default", "web", "web-ops"])),
        ("token_policies", json!(["webapp"])),
        ("token_policies", json!("default,web,admin")),
        ("token_no_default_policy", json!(true)),
        ("token_period", json!("24h")),
        ("period", json!("24h")),
        ("token_type", json!("batch")),
        ("token_num_uses", json!(0)),
        ("token_explicit_max_ttl", json!(0)),
        ("token_bound_cidrs", json!([])),
        ("alias_name_source", json!("serviceaccount_name")),
        ("bound_service_account_names", json!(["web", "job", "admin"])),
        ("bound_service_account_names", json!(["*"])),
        ("bound_service_account_names", json!("web,job,admin")),
        ("bound_service_account_namespaces", json!(["web", "webapp"])),
        ("bound_service_account_namespaces", json!(["*"])),
        ("bound_service_account_namespaces", json!("*")),
        ("bound_service_account_namespace_selector", json!("{\"matchLabels\": {}}")),
        ("audience", json!("")),
        ("audience", json!("*")),
        ("audience", json!(null)),
    ];
    let right = apps.scene.state(ROLE).await?;
    for (name, attempt) in &attempts {
        let mut body = role();
        body[*name] = attempt.clone();
        ensure!(denied(job, Method::POST, ROLE, Some(body)).await?, "{name}: {attempt}");
        let alone = Value::Object([((*name).to_owned(), attempt.clone())].into_iter().collect());
        ensure!(denied(job, Method::POST, ROLE, Some(alone)).await?, "{name}: {attempt} alone");
    }
    for name in ["webapp", "web-2", "web2", "web*", "*", "we", "steamer"] {
        ensure!(
            denied(job, Method::POST, &format!("auth/kubernetes/role/{name}"), Some(role())).await?,
            "role {name}"
        );
    }
    ensure!(apps.scene.state(ROLE).await? == right, "an attempt changed the role");
    of_the_database(apps, job).await?;
    for (name, attempt) in [
        ("policies", json!(["admin"])),
        ("period", json!("24h")),
        ("no_parent", json!(true)),
        ("id", json!("mine")),
        ("entity_alias", json!("x")),
        ("type", json!("batch")),
    ] {
        let mut body = terraform();
        body[name] = attempt;
        ensure!(
            denied(job, Method::POST, "auth/token/create", Some(body)).await?,
            "auth/token/create with {name}"
        );
    }
    Ok(())
}

/// A policy cannot require an audience without refusing reads. Steamer reports a role without one, and the job corrects it.
async fn a_role_without_an_audience_is_reported(apps: &Apps, job: &Session) -> Result<()> {
    let scene = &apps.scene;
    let mut body = role();
    body.as_object_mut().context("no object")?.remove("audience");
    job.request_any(Method::DELETE, ROLE, None).await?;
    job.request_any(Method::POST, ROLE, Some(body)).await?;
    scene.nudge("SecretsApp", "web").await?;
    let object = scene.ready("SecretsApp", "web", "False/Conflict").await?;
    ensure!(object.to_string().contains("set audience: vault"), "{object}");
    job.request_any(Method::POST, ROLE, Some(role())).await?;
    scene.nudge("SecretsApp", "web").await?;
    scene.ready("SecretsApp", "web", "True/Applied").await.map(drop)
}

/// The job can leave out statements, and an administrator can write other ones. Steamer reports both, and the job corrects them.
async fn a_role_of_the_database_with_other_statements_is_reported(apps: &Apps, job: &Session) -> Result<()> {
    let scene = &apps.scene;
    let mut body = database()?;
    body.as_object_mut().context("no object")?.remove("revocation_statements");
    job.request_any(Method::DELETE, DATABASE, None).await?;
    job.request_any(Method::POST, DATABASE, Some(body)).await?;
    let differs = |names: &str| format!("{DATABASE} differs in {names}: run the job of the repository");
    scene.nudge("SecretsApp", "web").await?;
    scene.case.says::<SecretsApp>("web", "False/Conflict", &differs("revocation_statements")).await?;
    scene
        .post(DATABASE, json!({"db_name": "other", "creation_statements": ["CREATE ROLE \"{{name}}\""]}))
        .await?;
    scene.nudge("SecretsApp", "web").await?;
    let names = "db_name, creation_statements, revocation_statements";
    scene.case.says::<SecretsApp>("web", "False/Conflict", &differs(names)).await?;
    // Everything else has its desired state meanwhile.
    let status = scene.ready("SecretsApp", "web", "False/Conflict").await?["status"].take();
    ensure!(status["policies"] == json!(["web", "web-ops"]), "{status}");
    job.request_any(Method::POST, DATABASE, Some(database()?)).await?;
    scene.nudge("SecretsApp", "web").await?;
    scene.ready("SecretsApp", "web", "True/Applied").await.map(drop)
}

async fn of_the_database(apps: &Apps, job: &Session) -> Result<()> {
    let own = database()?;
    let right = apps.scene.state(DATABASE).await?;
    let other = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' IN ROLE webapp_role;";
    for (name, attempt) in [
        ("creation_statements", json!([other])),
        ("creation_statements", json!(other)),
        ("revocation_statements", json!([])),
        ("renew_statements", json!([other])),
        ("rollback_statements", json!([other])),
        ("db_name", json!("other")),
        ("credential_type", json!("rsa_private_key")),
        ("credential_config", json!({"password_policy": "x"})),
    ] {
        let mut body = own.clone();
        body[name] = attempt.clone();
        ensure!(denied(job, Method::POST, DATABASE, Some(body)).await?, "{name}: {attempt}");
    }
    for name in ["webapp", "web2", "web.owner"] {
        ensure!(
            denied(job, Method::POST, &format!("postgres/roles/{name}"), Some(own.clone())).await?,
            "role {name}"
        );
    }
    ensure!(apps.scene.state(DATABASE).await? == right, "an attempt changed the role of the database");
    Ok(())
}

/// The policy of the guide with `"*" = []` accepts the alias of `token_policies`. This shows that the refusals above are those of
/// the listed parameters.
async fn a_wildcard_of_parameters_would_let_admin_through(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let policy = format!(
        "path \"{ROLE}-wild\" {{\n capabilities = [\"create\", \"update\"]\n allowed_parameters = {{\n \"token_policies\" = [[\"default\", \
         \"web\"]]\n \"*\" = []\n }}\n}}"
    );
    let wild = with_policy(scene, "wild", &policy).await?;
    let mut body = role();
    let fields = body.as_object_mut().context("no object")?;
    fields.remove("token_policies");
    fields.insert("policies".to_owned(), json!(["admin"]));
    let path = format!("{ROLE}-wild");
    ensure!(!denied(&wild, Method::POST, &path, Some(body)).await?, "the wildcard refuses the alias");
    let state = scene.state(&path).await?.context("no role")?;
    ensure!(state["token_policies"] == json!(["admin"]), "{state}");
    Ok(())
}

/// The guide's policy contains each list as JSON in a string, until two calls of `replace()` make it a list. Steamer's policy
/// contains lists, and refuses the string. A policy without the calls refuses the list, and accepts the string as one name.
async fn allowed_lists_are_real_lists_and_not_json_in_a_string(apps: &Apps, job: &Session) -> Result<()> {
    let scene = &apps.scene;
    for (name, text) in [
        ("bound_service_account_names", "[\"web\",\"job\"]"),
        ("bound_service_account_namespaces", "[\"web\"]"),
        ("token_policies", "[\"default\",\"web\"]"),
    ] {
        for attempt in [json!(text), json!([text])] {
            let mut body = role();
            body[name] = attempt.clone();
            ensure!(denied(job, Method::POST, ROLE, Some(body)).await?, "{name}: {attempt}");
        }
    }
    let (path, text) = (format!("{ROLE}-strings"), "[\"web\"]");
    let allowed = json!({"bound_service_account_names": [text], "*": []});
    let rule = json!({"capabilities": ["create", "update"], "allowed_parameters": allowed});
    let strings = with_policy(scene, "strings", &json!({"path": {&path: rule}}).to_string()).await?;
    let mut body = role();
    body["bound_service_account_names"] = json!(["web"]);
    ensure!(denied(&strings, Method::POST, &path, Some(body.clone())).await?, "the list is accepted");
    body["bound_service_account_names"] = json!(text);
    ensure!(!denied(&strings, Method::POST, &path, Some(body)).await?, "the string is refused");
    let state = scene.state(&path).await?.context("no role")?;
    ensure!(state["bound_service_account_names"] == json!([text]), "{state}");
    Ok(())
}

/// Writes a policy, and returns a session of a token with this policy.
async fn with_policy(scene: &Scene, name: &str, policy: &str) -> Result<Session> {
    scene.post(&format!("sys/policies/acl/{name}"), json!({"policy": policy})).await?;
    let answer = scene.post("auth/token/create", json!({"policies": [name]})).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?.to_owned();
    Ok(scene.openbao.client()?.session(steamer_openbao::Identity::Token(token.into())))
}

/// The roles of the repository are neither written nor removed, and the status names them.
async fn steamer_does_not_touch_the_roles(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let right = [scene.state(ROLE).await?, scene.state(DATABASE).await?];
    let before = scene.writes()?;
    scene.pass("SecretsApp", "web", "identity/group/name/web-ops").await?;
    assert_eq!(scene.writes()?, before, "a settled SecretsApp was written");
    let status = scene.ready("SecretsApp", "web", "True/Applied").await?["status"].take();
    ensure!(status["roles"][0]["name"] == "web", "{status}");
    ensure!(status["database"]["credentialPath"] == "postgres/creds/web", "{status}");
    assert_eq!([scene.state(ROLE).await?, scene.state(DATABASE).await?], right);
    // Steamer takes the roles over only on request.
    scene.change("SecretsApp", "web", json!({"spec": {"rolesOwner": "Steamer"}})).await?;
    scene.ready("SecretsApp", "web", "False/Conflict").await?;
    scene.change("SecretsApp", "web", json!({"spec": {"adopt": "IfUnowned"}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    let job = apps.job("web", "example/web").await?;
    ensure!(denied(&job, Method::POST, ROLE, Some(role())).await?, "the job writes a role of Steamer");
    scene.delete("SecretsApp", "web").await?;
    scene.becomes(ROLE, None).await
}
