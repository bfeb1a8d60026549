//! The gotchas of the guide of the homelab, each with a test of that name, and what CI jobs of a repository may do.

mod ops_table;
mod people;
mod rows;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, ValidationDirective};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::SecretsApp;
use steamer_openbao::Session;
use steamer_testing::installation::root_policy;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_of};
use crate::general::Scene;
use crate::root_scope::root_cluster;
use crate::secrets_apps::roles::admit_exactly_their_bindings;
use crate::secrets_apps::scene::{Apps, account, app, pod, value};

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
    let uid = delivered(&scene).await?;
    scene.openbao.stop();
    scene.openbao.run_sealed()?;
    scene.nudge("SecretsApp", "web").await?;
    let object = scene.ready("SecretsApp", "web", "False/Sealed").await?;
    ensure!(object.pointer("/status/owned/resources/0").is_some(), "the record is lost: {object}");
    scene.ready("BaoStaticSecret", "config", "False/Sealed").await?;
    ensure!(delivered(&scene).await? == uid, "the Secret was replaced while OpenBao is sealed");
    scene.openbao.stop();
    scene.openbao.run()?;
    scene.openbao.serves().await?;
    scene.nudge("SecretsApp", "web").await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    scene.ready("BaoStaticSecret", "config", "True/Applied").await?;
    ensure!(delivered(&scene).await? == uid, "the Secret was replaced after OpenBao was unsealed");
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

/// Checks the value of the delivered Secret, and returns its UID.
async fn delivered(scene: &Scene) -> Result<Option<String>> {
    let secret = scene.case.api::<Secret>().get("config").await.context("the Secret was deleted")?;
    let value = secret.data.unwrap_or_default().remove("value").context("the Secret has no value")?;
    ensure!(value.0 == b"web", "the value was changed");
    Ok(secret.metadata.uid)
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
    // Each server has the policies of its own applications only, and accepts no token of the other.
    let policy = |name: &str| format!("sys/policies/acl/{name}");
    ensure!(scene.state(&policy("sandbox-web")).await?.is_none());
    ensure!(shared.request_any(Method::GET, &policy("sandbox-web"), None).await.is_ok());
    account(&scene, ("web", "web")).await?;
    let own = pod(&scene, "web", ("web", "web")).await?;
    let foreign = case.ground.openbao.client()?.session(own.identity().clone());
    ensure!(foreign.request_any(Method::GET, "sandbox-kv/data/web/config", None).await.is_err());
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
    objects_belong_to_the_owner_role_and_the_user_is_dropped(&apps, "shop").await?;
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

async fn a_missing_owner_role_is_reported_before_a_credential_is_issued(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    scene.apply("SecretsApp", "shop", app(json!({}))).await?;
    let message = "the owner role shop_role does not exist in the server of DatabaseConnection";
    scene.case.says::<SecretsApp>("shop", "False/SourceMissing", message).await?;
    // The role that issues credentials does not exist before the owner role does.
    ensure!(scene.state("postgres/roles/shop").await?.is_none());
    ensure!(scene.admin.request_any(Method::GET, "postgres/creds/shop", None).await.is_err());
    let users = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'";
    ensure!(apps.postgres.sql("shared", users)?.trim() == "0", "a user was created");
    apps.owner_role("shop_role")?;
    scene.ready("SecretsApp", "shop", "True/Applied").await?;
    // The check changed neither the password nor the login of the owner role.
    let role = "SELECT rolcanlogin, rolpassword IS NULL FROM pg_authid WHERE rolname = 'shop_role'";
    ensure!(apps.postgres.sql("shared", role)?.trim() == "f|t", "the owner role was changed");
    Ok(())
}

/// A credential as the administrator gets it: user, password and lease.
async fn credential(admin: &Session, app: &str) -> Result<[String; 3]> {
    let answer = admin.request_any(Method::GET, &format!("postgres/creds/{app}"), None).await?;
    let text =
        |pointer| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context("no credential");
    Ok([text("/data/username")?, text("/data/password")?, text("/lease_id")?])
}

async fn objects_belong_to_the_owner_role_and_the_user_is_dropped(apps: &Apps, app: &str) -> Result<()> {
    let [user, password, lease] = credential(&apps.scene.admin, app).await?;
    if app == "made" {
        apps.postgres.sql("shared", "GRANT ALL ON SCHEMA public TO made_role")?;
    }
    apps.sql_as(
        (&user, &password),
        &format!("CREATE TABLE of_{app} (a int); INSERT INTO of_{app} VALUES (7)"),
    )?;
    let owner = format!("SELECT tableowner FROM pg_tables WHERE tablename = 'of_{app}'");
    assert_eq!(apps.postgres.sql("shared", &owner)?.trim(), format!("{app}_role"));
    apps.scene.post("sys/leases/revoke", json!({"lease_id": lease, "sync": true})).await?;
    eventually("the user is dropped", || async {
        let sql = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'");
        let count = apps.postgres.sql("shared", &sql).map_err(|error| error.to_string())?;
        if count.trim() == "0" { Ok(()) } else { Err(count) }
    })
    .await?;
    let [user, password, _] = credential(&apps.scene.admin, app).await?;
    // The next user changes and drops what the former one created.
    let kept = apps.sql_as(
        (&user, &password),
        &format!("ALTER TABLE of_{app} ADD b int; SELECT a FROM of_{app}; DROP TABLE of_{app}"),
    )?;
    assert_eq!(kept.trim(), "7");
    Ok(())
}

async fn the_credentials_survive_a_rotation_of_the_root_password(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let secret = &apps.postgres.secrets("shared", &scene.case.namespace)[1]["stringData"];
    let login = |key: &str| secret[key].as_str().unwrap_or_default().to_owned();
    let (user, password) = (login("username"), login("password"));
    apps.sql_as((&user, &password), "SELECT 1")?;
    scene.change("DatabaseConnection", "db", json!({"spec": {"rotateRoot": "Once"}})).await?;
    scene.ready("DatabaseConnection", "db", "True/Applied").await?;
    ensure!(apps.sql_as((&user, &password), "SELECT 1").is_err(), "the old password works");
    let before = scene.writes()?;
    scene.pass("DatabaseConnection", "db", "postgres/config/db").await?;
    scene.pass("SecretsApp", "shop", "sys/policies/acl/shop-ops").await?;
    assert_eq!(scene.writes()?, before, "a later pass writes");
    ensure!(apps.sql_as((&user, &password), "SELECT 1").is_err(), "the rotation was undone");
    let object = scene.ready("SecretsApp", "shop", "True/Applied").await?;
    ensure!(ready_of(&object).contains("application shop"), "{object}");
    // OpenBao creates users with the new password only.
    let [user, password, _] = credential(&scene.admin, "shop").await?;
    apps.sql_as((&user, &password), "SELECT 1").map(drop)
}
