//! The gotchas of the guide of the homelab, each with a test of that name, and what CI jobs of a repository may do.

mod former_users;
mod ops_table;
mod owners;
mod people;
mod rows;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, ValidationDirective};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::SecretsApp;
use steamer_openbao::{Identity, Session};
use steamer_testing::database::{self, Connection};
use steamer_testing::installation::root_policy;
use steamer_testing::openbao::mount_kv;

use crate::fixture::Case;
use crate::general::Scene;
use crate::root_scope::root_cluster;
use crate::secrets_apps::roles::admit_exactly_their_bindings;
use crate::secrets_apps::scene::{Apps, account, app, denied, pod, value};
use owners::{
    a_lost_owner_role_keeps_what_a_user_owns, a_missing_owner_role_is_reported_before_a_credential_is_issued,
    a_missing_owner_role_is_reported_to_the_repository,
    objects_belong_to_the_owner_role_and_the_user_is_dropped,
    the_credentials_survive_a_rotation_of_the_root_password,
};

/// A value of the application of the sandbox.
const SANDBOX: &str = "sandbox-kv/data/sandbox-web/config";

/// A scene with a KV engine and the application `web` without a database and CI jobs.
async fn small(name: &'static str) -> Result<Scene> {
    let scene = Scene::new(name).await?;
    mount_kv(&scene.admin, "kvv2").await?;
    scene.admin.write_kv2("kvv2", "web/config", &json!({"value": "web"})).await?;
    scene.apply("SecretsApp", "web", json!({})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    Ok(scene)
}

#[tokio::test]
async fn the_kubernetes_auth_role_binds_service_account_and_namespace() -> Result<()> {
    admit_exactly_their_bindings(&small("gotcha-bindings").await?).await
}

#[tokio::test]
async fn vault_must_be_unsealed_after_every_restart() -> Result<()> {
    let mut scene = small("gotcha-sealed").await?;
    account(&scene, ("web", "web")).await?;
    consumer(&scene).await?;
    database_login(&scene).await?;
    let uid = delivered(&scene).await?;
    scene.openbao.stop();
    scene.openbao.run_sealed()?;
    scene.nudge("SecretsApp", "web").await?;
    let object = scene.ready("SecretsApp", "web", "False/Sealed").await?;
    ensure!(object.pointer("/status/owned/resources/0").is_some(), "the record is lost: {object}");
    scene.ready("BaoStaticSecret", "config", "False/Sealed").await?;
    // A credential that is requested now is delivered after OpenBao is unsealed.
    let spec = json!({
        "authRef": {"name": "database"}, "mount": "database", "path": "creds/unsealed",
        "destination": {"name": "credential", "create": true},
    });
    scene.case.object("BaoDynamicSecret", "credential", spec).await?;
    scene.ready("BaoDynamicSecret", "credential", "False/Sealed").await?;
    let secrets: Api<Secret> = scene.case.api();
    ensure!(secrets.get_opt("credential").await?.is_none(), "a Secret exists while OpenBao is sealed");
    ensure!(delivered(&scene).await? == uid, "the Secret was replaced while OpenBao is sealed");
    scene.openbao.stop();
    scene.openbao.run()?;
    scene.openbao.serves().await?;
    scene.nudge("SecretsApp", "web").await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    scene.ready("BaoStaticSecret", "config", "True/Applied").await?;
    ensure!(delivered(&scene).await? == uid, "the Secret was replaced after OpenBao was unsealed");
    scene.ready("BaoDynamicSecret", "credential", "True/Applied").await?;
    let data = secrets.get("credential").await?.data.unwrap_or_default();
    let user = String::from_utf8_lossy(&data["username"].0).into_owned();
    let count = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'");
    ensure!(scene.case.ground.postgres.run("postgres", &count)?.trim() == "1", "{user} does not exist");
    ensure!(value(&pod(&scene, "web", ("web", "web")).await?, "kvv2/data/web/config").await? == "web");
    Ok(())
}

/// A pod of the application in the namespace of the test, and the object that delivers its configuration.
async fn consumer(scene: &Scene) -> Result<()> {
    let case = &scene.case;
    let accounts = json!({"serviceAccounts": ["web", "default"], "namespaces": ["web", case.namespace]});
    scene.change("SecretsApp", "web", json!({"spec": {"runtime": accounts}})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    let consent = json!({"metadata": {"annotations": {"steamer.dev/audiences": "vault"}}});
    let own: Api<ServiceAccount> = case.api();
    own.patch("default", &PatchParams::default(), &Patch::Merge(consent)).await?;
    let login = json!({"role": "web", "serviceAccount": "default", "audiences": ["vault"]});
    scene.apply("BaoAuth", "web", json!({"method": "Kubernetes", "kubernetes": login})).await?;
    let spec = json!({
        "authRef": {"name": "web"}, "mount": "kvv2", "path": "web/config", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "config", "create": true},
    });
    case.object("BaoStaticSecret", "config", spec).await?;
    scene.ready("BaoStaticSecret", "config", "True/Applied").await.map(drop)
}

/// A database engine with the role `unsealed`, and a login of the ServiceAccount of [`consumer`] that requests its credentials.
async fn database_login(scene: &Scene) -> Result<()> {
    let (case, admin) = (&scene.case, &scene.admin);
    let url = database::url(&format!("127.0.0.1:{}", case.ground.postgres.port), "disable");
    database::engine(admin, "database", Connection { url: &url, user: "postgres", password: "trusted" })
        .await?;
    database::role(admin, "database/roles/unsealed", ("1h", "24h")).await?;
    let policy = "path \"database/creds/unsealed\" { capabilities = [\"read\"] }";
    scene.post("sys/policies/acl/database", json!({"policy": policy})).await?;
    let role = json!({
        "bound_service_account_names": ["default"], "bound_service_account_namespaces": [case.namespace],
        "audience": "vault", "token_policies": ["database"], "token_ttl": "1h",
    });
    scene.post("auth/kubernetes/role/database", role).await?;
    let login = json!({"role": "database", "serviceAccount": "default", "audiences": ["vault"]});
    scene.apply("BaoAuth", "database", json!({"method": "Kubernetes", "kubernetes": login})).await
}

/// Checks the value of the delivered Secret, and returns its UID.
async fn delivered(scene: &Scene) -> Result<Option<String>> {
    let secret = scene.case.api::<Secret>().get("config").await.context("the Secret was deleted")?;
    let value = secret.data.unwrap_or_default().remove("value").context("the Secret has no value")?;
    ensure!(value.0 == b"web", "the value was changed");
    Ok(secret.metadata.uid)
}

/// A token of a server with a policy.
async fn token(admin: &Session, policy: &str) -> Result<Identity> {
    let body = json!({"policies": [policy], "ttl": "10m"});
    let answer = admin.request_any(Method::POST, "auth/token/create", Some(body)).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    Ok(Identity::Token(token.to_owned().into()))
}

#[tokio::test]
async fn the_sandbox_uses_a_separate_vault() -> Result<()> {
    let scene = small("gotcha-sandbox").await?;
    let (case, shared) = (&scene.case, scene.case.admin()?);
    root_policy(&case.ground.openbao, "sandbox-root").await?;
    root_cluster(case, "sandbox", "sandbox-root").await?;
    mount_kv(&shared, "sandbox-kv").await?;
    let spec =
        json!({"clusterRef": {"name": "sandbox"}, "app": "sandbox-web", "kv": {"mount": "sandbox-kv"}});
    case.object("SecretsApp", "sandbox-web", spec).await?;
    case.ready::<SecretsApp>("sandbox-web", "True/Applied").await?;
    // Each server has the policies of its own applications only.
    let policy = |name: &str| format!("sys/policies/acl/{name}");
    ensure!(scene.state(&policy("sandbox-web")).await?.is_none());
    ensure!(scene.state(&policy("web")).await?.is_some());
    shared.request_any(Method::GET, &policy("sandbox-web"), None).await?;
    // A token of the sandbox reads a value of the sandbox, and a token of the other server with the same policy does not.
    shared.write_kv2("sandbox-kv", "sandbox-web/config", &json!({"value": "sandbox"})).await?;
    account(&scene, ("web", "web")).await?;
    let own = pod(&scene, "web", ("web", "web")).await?;
    ensure!(value(&own, "kvv2/data/web/config").await? == "web");
    let at_sandbox = |identity| case.ground.openbao.client().map(|client| client.session(identity));
    let admitted = at_sandbox(token(&shared, "sandbox-web").await?)?;
    ensure!(value(&admitted, SANDBOX).await? == "sandbox");
    for foreign in [own.identity().clone(), token(&scene.admin, "sandbox-web").await?] {
        ensure!(
            denied(&at_sandbox(foreign)?, Method::GET, SANDBOX, None).await?,
            "the sandbox accepts the token"
        );
    }
    // A cluster of another namespace is not referred to: the schema has no such field.
    let elsewhere = json!({"clusterRef": {"name": "own", "namespace": "other"}});
    let refusal = apply_strictly(case, "elsewhere", elsewhere).await.err().map(|error| format!("{error:#}"));
    ensure!(refusal.clone().unwrap_or_default().contains("clusterRef.namespace"), "{refusal:?}");
    case.dynamic("SecretsApp")?.delete("sandbox-web", &kube::api::DeleteParams::default()).await?;
    crate::openbao_outage::gone(&case.dynamic("SecretsApp")?, "sandbox-web").await
}

/// Applies a SecretsApp as kubectl does it.
async fn apply_strictly(case: &Case, name: &str, spec: Value) -> Result<()> {
    let object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "SecretsApp", "metadata": {"name": name}, "spec": spec,
    });
    let parameters = PatchParams {
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("kubectl").force()
    };
    case.dynamic("SecretsApp")?.patch(name, &parameters, &Patch::Apply(&object)).await?;
    Ok(())
}

#[tokio::test]
async fn the_ops_policies_and_policies_key_mismatch_is_refused_at_apply() -> Result<()> {
    let case = Case::new("gotcha-keys").await?;
    let cluster = json!({"name": "main"});
    for (spec, field) in [
        (json!({"clusterRef": cluster, "ops_policies": ["a"]}), "spec.ops_policies"),
        (json!({"clusterRef": cluster, "policies": ["a"]}), "spec.policies"),
        (json!({"clusterRef": cluster, "ops": {"policies": ["a"]}}), "spec.ops.policies"),
        (json!({"clusterRef": cluster, "ops": {"ops_policies": ["a"]}}), "spec.ops.ops_policies"),
    ] {
        let refusal = apply_strictly(&case, "web", spec).await.err().map(|error| format!("{error:#}"));
        ensure!(refusal.as_ref().is_some_and(|it| it.contains(field)), "{field}: {refusal:?}");
    }
    // The one field that exists names policies that exist.
    let scene = small("gotcha-policies").await?;
    scene.post("sys/auth/gitea_jwt", json!({"type": "jwt"})).await?;
    let ci = json!({"audiences": ["gitea"], "boundClaims": {"repository": ["example/web"]}});
    let policies = json!({"spec": {"ci": ci, "ops": {"extraPolicies": ["factory__tf"]}}});
    scene.change("SecretsApp", "web", policies).await?;
    let message = "policy factory__tf does not exist: create it";
    scene.case.says::<SecretsApp>("web", "False/SourceMissing", message).await?;
    scene
        .post(
            "sys/policies/acl/factory__tf",
            json!({"policy": "path \"kvv1/x\" { capabilities = [\"read\"] }"}),
        )
        .await?;
    scene.nudge("SecretsApp", "web").await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    scene.change("SecretsApp", "web", json!({"spec": {"ops": {"extraPolicies": ["steamer"]}}})).await?;
    scene.case.says::<SecretsApp>("web", "False/Invalid", "it belongs to the operator").await
}

#[tokio::test]
async fn the_postgres_dynamic_role_depends_on_the_owner_role() -> Result<()> {
    let apps = Apps::new("gotcha-owner").await?;
    apps.kv().await?;
    apps.engines().await?;
    a_missing_owner_role_is_reported_before_a_credential_is_issued(&apps).await?;
    a_missing_owner_role_is_reported_to_the_repository(&apps).await?;
    objects_belong_to_the_owner_role_and_the_user_is_dropped(&apps, "shop").await?;
    a_lost_owner_role_keeps_what_a_user_owns(&apps).await?;
    // A database that does not exist is reported as well, and an owner role is created on request.
    let database = json!({"connectionRef": {"name": "db"}, "database": "nowhere", "ownerRole": "web_role"});
    apps.scene.apply("SecretsApp", "lost", app(json!({"database": database}))).await?;
    let message = "the database nowhere does not exist";
    apps.scene.case.says::<SecretsApp>("lost", "False/SourceMissing", message).await?;
    apps.scene.delete("SecretsApp", "lost").await?;
    let database = json!({"connectionRef": {"name": "db"}, "createOwnerRole": true});
    apps.scene.apply("SecretsApp", "made", app(json!({"database": database}))).await?;
    apps.scene.ready("SecretsApp", "made", "True/Applied").await?;
    objects_belong_to_the_owner_role_and_the_user_is_dropped(&apps, "made").await?;
    the_credentials_survive_a_rotation_of_the_root_password(&apps).await
}
