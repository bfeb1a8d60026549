//! SecretsApp: one name determines policies, roles, CI identity and database role, and gives access to nothing else.

mod missing;
pub mod roles;
pub mod scene;
mod terraform;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::SecretsApp;

use crate::fixture::ready_of;
use crate::general::{Scene, Subject, check};
use scene::{Apps, app, denied, pod, value};

/// Paths of the application `web` in OpenBao.
const PATHS: [&str; 4] = [
    "sys/policies/acl/web",
    "sys/policies/acl/web-ops",
    "identity/group/name/web-ops",
    "auth/kubernetes/role/web",
];

#[tokio::test]
async fn an_application_has_access_to_its_secrets_and_to_nothing_else() -> Result<()> {
    let apps = Apps::new("secrets-apps").await?;
    what_is_missing_is_named(&apps).await?;
    apps.engines().await?;
    for name in ["web", "webapp"] {
        apps.scene.apply("SecretsApp", name, app(json!({}))).await?;
        apps.scene.ready("SecretsApp", name, "True/Applied").await?;
    }
    the_status_names_everything(&apps).await?;
    web_never_reads_what_belongs_to_webapp(&apps).await?;
    jobs_of_other_repositories_are_refused(&apps).await?;
    roles::readers_read_their_folder(&apps.scene).await?;
    roles::of_type_jwt_list_their_bindings(&apps).await?;
    terraform::is_adopted(&apps).await?;
    a_settled_application_is_not_written(&apps).await?;
    every_resource_is_repaired(&apps.scene).await?;
    missing::access_that_the_spec_no_longer_grants_ends(&apps).await?;
    a_disabled_database_gives_no_credentials(&apps.scene).await?;
    deletion_removes_access_and_keeps_values(&apps).await
}

/// Each message states what is missing and what to do.
async fn what_is_missing_is_named(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    scene.apply("SecretsApp", "web", app(json!({}))).await?;
    let object = scene.ready("SecretsApp", "web", "False/SourceMissing").await?;
    let expected = "kv.mount: no secrets engine is mounted at kvv2: create it, such as with a SecretEngine, or correct kv.mount";
    ensure!(ready_of(&object).contains(expected), "{object}");
    apps.kv().await?;
    scene.nudge("SecretsApp", "web").await?;
    scene
        .case
        .says::<SecretsApp>("web", "False/SourceMissing", "auth mount gitea_jwt does not exist")
        .await?;
    let paths = PATHS.iter().map(|path| scene.state(path));
    for state in futures::future::join_all(paths).await {
        ensure!(state?.is_none(), "something was written before everything was found");
    }
    Ok(())
}

async fn the_status_names_everything(apps: &Apps) -> Result<()> {
    let status = apps.scene.ready("SecretsApp", "web", "True/Applied").await?["status"].take();
    ensure!(status["policies"] == json!(["web", "web-ops"]), "{status}");
    ensure!(status["kvPath"] == "kvv2/web", "{status}");
    ensure!(
        status["ci"] == json!({"role": "gitea_cicd_web", "loginPath": "auth/gitea_jwt/login"}),
        "{status}"
    );
    let role = json!({"name": "web", "loginPath": "auth/kubernetes/login", "serviceAccounts": ["web/web"]});
    ensure!(status["roles"] == json!([role]), "{status}");
    let (pods, ops) =
        ("auth/kubernetes/role/web", ["auth/gitea_jwt/role/gitea_cicd_web", "identity/group/name/web-ops"]);
    let inventory = json!([
        {"path": "kvv2/web/*", "writtenBy": ops, "readBy": [pods, ops[0], ops[1]]},
        {"path": "postgres/creds/web", "readBy": [pods]},
    ]);
    ensure!(status["inventory"] == inventory, "{status}");
    Ok(())
}

/// `web` is a prefix of `webapp`.
async fn web_never_reads_what_belongs_to_webapp(apps: &Apps) -> Result<()> {
    let pod = pod(&apps.scene, "web", ("web", "web")).await?;
    ensure!(value(&pod, "kvv2/data/web/config").await? == "web");
    pod.request_any(Method::GET, "postgres/creds/web", None).await.context("web has no credential")?;
    for path in
        ["kvv2/data/webapp/config", "kvv2/metadata/webapp/config", "postgres/creds/webapp", "kvv2/data/web"]
    {
        ensure!(denied(&pod, Method::GET, path, None).await?, "web reads {path}");
    }
    ensure!(
        denied(&pod, Method::from_bytes(b"LIST")?, "kvv2/metadata/webapp/", None).await?,
        "web lists webapp"
    );
    ensure!(denied(&pod, Method::POST, "kvv2/data/web/config", Some(json!({"data": {"value": "x"}}))).await?);
    let job = apps.job("web", "example/web").await?;
    for path in ["kvv2/data/webapp/config", "kvv2/metadata/webapp/config", "kvv2/destroy/webapp/config"] {
        ensure!(
            denied(&job, Method::POST, path, Some(json!({"data": {}, "versions": [1]}))).await?,
            "the job writes {path}"
        );
    }
    Ok(())
}

/// The audience, the user and the team are those of every repository of the owner.
async fn jobs_of_other_repositories_are_refused(apps: &Apps) -> Result<()> {
    apps.job("web", "example/web").await.context("the job of the repository")?;
    for repository in ["example/webapp", "example/other", "other/web", "example/web/fork"] {
        let refusal = apps.job("web", repository).await.err();
        let message = refusal.with_context(|| format!("{repository} logs in"))?.to_string();
        let expected = "claim \"repository\" does not match any associated bound claim values";
        ensure!(message.contains(expected), "{repository}: {message}");
    }
    ensure!(apps.job_for("web", "example/web", "other").await.is_err(), "another audience logs in");
    Ok(())
}

async fn a_settled_application_is_not_written(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let before = scene.writes()?;
    for name in ["web", "webapp"] {
        let path = format!("auth/gitea_jwt/role/gitea_cicd_{name}");
        scene.ready("SecretsApp", name, "True/Applied").await?;
        scene.pass("SecretsApp", name, &path).await?;
    }
    let written = scene.written()?.split_off(before);
    assert!(written.is_empty(), "a settled SecretsApp was written: {written:?}");
    Ok(())
}

/// Drift of each resource, `Observe`, adoption of what exists, and deletion.
async fn every_resource_is_repaired(scene: &Scene) -> Result<()> {
    let role = json!({
        "bound_service_account_names": ["plain"], "bound_service_account_namespaces": ["plain"], "audience": "vault",
        "token_policies": ["default", "plain"], "token_ttl": 3600,
    });
    let spec = json!({"identityGroup": {"enabled": false}});
    // The policy by its text, so that the adoption makes no write.
    scene.apply("SecretsApp", "plain", spec.clone()).await?;
    scene.ready("SecretsApp", "plain", "True/Applied").await?;
    let text = scene.state("sys/policies/acl/plain").await?.context("no policy")?["policy"].take();
    scene.delete("SecretsApp", "plain").await?;
    let subject = Subject {
        kind: "SecretsApp",
        name: "plain",
        spec,
        path: "auth/kubernetes/role/plain",
        by_hand: vec![
            ("sys/policies/acl/plain", json!({"policy": text})),
            ("auth/kubernetes/role/plain", role),
        ],
        drift: vec![
            ("auth/kubernetes/role/plain", json!({"token_policies": ["default", "plain", "web-ops"]})),
            ("auth/kubernetes/role/plain", json!({"bound_service_account_namespaces": ["plain", "other"]})),
            ("auth/kubernetes/role/plain", json!({"audience": ""})),
        ],
    };
    check(scene, &subject).await?;
    let changes = [
        ("sys/policies/acl/web", json!({"policy": "path \"*\" { capabilities = [\"read\"] }"})),
        ("sys/policies/acl/web-ops", json!({"policy": "path \"sys/*\" { capabilities = [\"sudo\"] }"})),
        ("identity/group/name/web-ops", json!({"policies": ["web-ops", "default"]})),
        ("auth/gitea_jwt/role/gitea_cicd_web", wider_job()),
        ("postgres/roles/web", json!({"db_name": "db", "creation_statements": ["x"]})),
    ];
    for (path, body) in changes {
        let right = scene.state(path).await?;
        scene.post(path, body).await?;
        scene.nudge("SecretsApp", "web").await?;
        scene.becomes(path, right.as_ref()).await?;
    }
    Ok(())
}

fn wider_job() -> Value {
    json!({
        "role_type": "jwt", "user_claim": "email", "bound_audiences": ["gitea"], "bound_claims": {"repository": ["other/web"]},
        "token_policies": ["default", "web-ops"],
    })
}

/// Neither the role of the database nor the right to its credentials exists, until the database is enabled again.
async fn a_disabled_database_gives_no_credentials(scene: &Scene) -> Result<()> {
    const ROLES: [&str; 2] = ["postgres/roles/webapp", "postgres/static-roles/webapp.owner"];
    for enabled in [false, true] {
        scene.change("SecretsApp", "webapp", json!({"spec": {"database": {"enabled": enabled}}})).await?;
        scene.ready("SecretsApp", "webapp", "True/Applied").await?;
        for path in ROLES {
            ensure!(scene.state(path).await?.is_some() == enabled, "{path}: {enabled}");
        }
        let policy = scene.state("sys/policies/acl/webapp").await?.context("no policy")?["policy"].take();
        let credentials = policy.as_str().unwrap_or_default().contains("postgres/creds/webapp");
        ensure!(credentials == enabled, "{policy}");
    }
    Ok(())
}

async fn deletion_removes_access_and_keeps_values(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    for (name, policy) in [("web", "Retain"), ("webapp", "Delete")] {
        scene.change("SecretsApp", name, json!({"spec": {"deletionPolicy": policy}})).await?;
        scene.ready("SecretsApp", name, "True/Applied").await?;
        scene.delete("SecretsApp", name).await?;
        for path in PATHS.map(|path| path.replace("web", name)) {
            scene.becomes(&path, None).await?;
        }
        for path in [format!("postgres/roles/{name}"), format!("postgres/static-roles/{name}.owner")] {
            scene.becomes(&path, None).await?;
        }
        let kept = scene.state(&format!("kvv2/data/{name}/config")).await?;
        ensure!(kept.is_some_and(|it| it["data"]["value"] == name), "the values of {name}");
    }
    Ok(())
}
