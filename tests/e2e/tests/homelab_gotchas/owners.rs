//! The owner role of an application: it must exist before a credential is issued, and after it was lost.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use steamer_api::SecretsApp;

use super::rows::of_database;
use crate::fixture::ready_of;
use crate::secrets_apps::scene::{Apps, app, credential, of_repository};

/// Number of users that OpenBao has created.
fn users(apps: &Apps) -> Result<String> {
    let count = apps.postgres.sql("shared", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'")?;
    Ok(count.trim().to_owned())
}

/// Returns true if the server has the user.
fn is_user(apps: &Apps, user: &str) -> Result<bool> {
    let count = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{user}'");
    Ok(apps.postgres.sql("shared", &count)?.trim() == "1")
}

/// Revokes a lease, and waits for the statements.
async fn revoke(apps: &Apps, lease: &str) -> Result<()> {
    apps.scene.post("sys/leases/revoke", json!({"lease_id": lease, "sync": true})).await.map(drop)
}

/// PostgreSQL refuses to create a user without the owner role, and none is left.
async fn no_credential_is_issued(apps: &Apps, app: &str) -> Result<()> {
    let before = users(apps)?;
    let refusal = credential(&apps.scene.admin, app).await.err().map(|error| format!("{error:#}"));
    let message = format!("role \"{app}_role\" does not exist");
    ensure!(refusal.as_ref().is_some_and(|it| it.contains(&message)), "{refusal:?}");
    ensure!(users(apps)? == before, "a user was created");
    Ok(())
}

pub async fn a_missing_owner_role_is_reported_before_a_credential_is_issued(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    scene.apply("SecretsApp", "shop", app(json!({}))).await?;
    let message = "the owner role shop_role does not exist in the server of DatabaseConnection";
    scene.case.says::<SecretsApp>("shop", "False/SourceMissing", message).await?;
    // The role that issues credentials does not exist before the owner role does.
    ensure!(scene.state("postgres/roles/shop").await?.is_none());
    ensure!(scene.admin.request_any(Method::GET, "postgres/creds/shop", None).await.is_err());
    ensure!(users(apps)? == "0", "a user was created");
    apps.owner_role("shop_role")?;
    scene.ready("SecretsApp", "shop", "True/Applied").await?;
    // The check changed neither the password nor the login of the owner role.
    let role = "SELECT rolcanlogin, rolpassword IS NULL FROM pg_authid WHERE rolname = 'shop_role'";
    ensure!(apps.postgres.sql("shared", role)?.trim() == "f|t", "the owner role was changed");
    Ok(())
}

pub async fn objects_belong_to_the_owner_role_and_the_user_is_dropped(apps: &Apps, app: &str) -> Result<()> {
    let [user, password, lease] = credential(&apps.scene.admin, app).await?;
    if app == "made" {
        apps.postgres.sql("shared", "GRANT ALL ON SCHEMA public TO made_role")?;
    }
    apps.sql_as(
        (&user, &password),
        &format!("CREATE TABLE of_{app} (a int); INSERT INTO of_{app} VALUES (7)"),
    )?;
    // A user that gives up the owner role owns what it creates until it is dropped.
    apps.sql_as((&user, &password), &format!("SET ROLE NONE; CREATE TABLE own_of_{app} (a int)"))?;
    let owner_of = |table: &str| {
        let owner = format!("SELECT tableowner FROM pg_tables WHERE tablename = '{table}_{app}'");
        apps.postgres.sql("shared", &owner)
    };
    assert_eq!(owner_of("of")?.trim(), format!("{app}_role"));
    assert_eq!(owner_of("own_of")?.trim(), user);
    revoke(apps, &lease).await?;
    ensure!(!is_user(apps, &user)?, "the user is left");
    assert_eq!(owner_of("own_of")?.trim(), format!("{app}_role"));
    let [user, password, _] = credential(&apps.scene.admin, app).await?;
    // The next user changes and drops what the former one created.
    let kept = apps.sql_as(
        (&user, &password),
        &format!("ALTER TABLE of_{app} ADD b int; SELECT a FROM of_{app}; DROP TABLE of_{app}, own_of_{app}"),
    )?;
    assert_eq!(kept.trim(), "7");
    Ok(())
}

pub async fn the_credentials_survive_a_rotation_of_the_root_password(apps: &Apps) -> Result<()> {
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

/// A missing owner role is also reported if the repository owns the roles. The job can create the role of the database meanwhile:
/// PostgreSQL refuses its users until the owner role exists.
pub async fn a_missing_owner_role_is_reported_to_the_repository(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    let message = "the owner role late_role does not exist in the server of DatabaseConnection";
    scene.apply("SecretsApp", "late", of_repository("example/late", json!({}))).await?;
    scene.case.says::<SecretsApp>("late", "False/SourceMissing", message).await?;
    let job = apps.job("late", "example/late").await?;
    job.request_any(Method::POST, "postgres/roles/late", Some(of_database("late")?)).await?;
    no_credential_is_issued(apps, "late").await?;
    scene.pass("SecretsApp", "late", "sys/policies/acl/late-ops").await?;
    scene.case.says::<SecretsApp>("late", "False/SourceMissing", message).await?;
    apps.owner_role("late_role")?;
    let [user, password, _] = credential(&scene.admin, "late").await?;
    apps.sql_as((&user, &password), "SELECT 1")?;
    scene.nudge("SecretsApp", "late").await?;
    scene.ready("SecretsApp", "late", "True/Applied").await.map(drop)
}

/// The owner role is dropped while two users exist. OpenBao issues no credential. The user that owns nothing is dropped with its
/// lease. The other one loses its login and keeps its table, until an administrator gives it to the new owner role.
pub async fn a_lost_owner_role_keeps_what_a_user_owns(apps: &Apps) -> Result<()> {
    let admin = &apps.scene.admin;
    let [idle, _, idle_lease] = credential(admin, "shop").await?;
    let [holder, password, lease] = credential(admin, "shop").await?;
    let table = "SET ROLE NONE; CREATE TABLE held (a int); INSERT INTO held VALUES (7)";
    apps.sql_as((&holder, &password), table)?;
    apps.postgres.sql("shared", "DROP OWNED BY shop_role; DROP ROLE shop_role")?;
    no_credential_is_issued(apps, "shop").await?;
    revoke(apps, &idle_lease).await?;
    ensure!(!is_user(apps, &idle)?, "a user that owns nothing is left");
    apps.sql_as((&holder, &password), "SELECT 1").context("the lease has not ended")?;
    revoke(apps, &lease).await?;
    ensure!(apps.sql_as((&holder, &password), "SELECT 1").is_err(), "the user can log in without a lease");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'held'";
    assert_eq!(apps.postgres.sql("shared", owner)?.trim(), holder);
    apps.owner_role("shop_role")?;
    let cleanup = format!(
        "REASSIGN OWNED BY \"{holder}\" TO shop_role; DROP OWNED BY \"{holder}\"; DROP ROLE \"{holder}\""
    );
    apps.postgres.sql("shared", &cleanup)?;
    assert_eq!(apps.postgres.sql("shared", owner)?.trim(), "shop_role");
    assert_eq!(apps.postgres.sql("shared", "SELECT a FROM held")?.trim(), "7");
    apps.postgres.sql("shared", "DROP TABLE held").map(drop)
}
