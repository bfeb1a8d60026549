//! A user of the database cannot keep its access after its lease, with what the rights of the owner role allow. The user of OpenBao
//! has no right to end the sessions of other users.

use std::process::{Child, Stdio};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use steamer_testing::tools;
use steamer_testing::wait::eventually;

use crate::secrets_apps::scene::{Apps, app, credential};

/// Functions with the names and better fitting parameters of those of PostgreSQL. They record who calls them.
const FUNCTIONS: &str = "CREATE TABLE called (by name); GRANT INSERT ON called TO PUBLIC; \
    CREATE FUNCTION pg_has_role(name, text, text) RETURNS boolean LANGUAGE sql AS \
      'INSERT INTO public.called VALUES (CURRENT_USER); SELECT true'; \
    CREATE FUNCTION has_database_privilege(text, text, text) RETURNS boolean LANGUAGE sql AS \
      'INSERT INTO public.called VALUES (CURRENT_USER); SELECT true'";

#[tokio::test]
async fn a_user_of_the_database_cannot_keep_its_access() -> Result<()> {
    let apps = Apps::new("former-users").await?;
    apps.kv().await?;
    apps.engines().await?;
    let sql = |database: &str, sql: &str| apps.postgres.sql(database, sql).map(drop);
    sql("shared", "REVOKE pg_signal_backend FROM shared_admin")?;
    sql("postgres", "CREATE DATABASE other")?;
    sql("other", "GRANT ALL ON SCHEMA public TO web_role")?;
    apps.scene.apply("SecretsApp", "web", app(json!({}))).await?;
    apps.scene.ready("SecretsApp", "web", "True/Applied").await?;
    functions_of_a_user_are_not_called(&apps).await?;
    an_open_transaction_of_the_user_is_ended(&apps).await?;
    a_table_that_stays_ends_the_access(&apps, "shared").await?;
    a_table_that_stays_ends_the_access(&apps, "other").await?;
    a_superuser_needs_no_membership(&apps).await
}

/// Ends the lease of a user, and waits until `seen`, a query of one value, is as expected.
async fn ended(apps: &Apps, lease: &str, seen: &str, expected: &str) -> Result<()> {
    apps.scene.post("sys/leases/revoke", json!({"lease_id": lease, "sync": true})).await?;
    eventually("the access of the user is removed", || async {
        let value = apps.postgres.sql("postgres", seen).map_err(|error| error.to_string())?;
        if value.trim() == expected { Ok(()) } else { Err(value) }
    })
    .await
}

/// A query of the number of roles and sessions of a user.
fn remains(user: &str) -> String {
    format!(
        "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = '{user}') + \
         (SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}')"
    )
}

/// Neither the revocation nor the check of the owner role calls a function of a user.
async fn functions_of_a_user_are_not_called(apps: &Apps) -> Result<()> {
    let [user, password, lease] = credential(&apps.scene.admin, "web").await?;
    apps.sql_as((&user, &password), FUNCTIONS)?;
    // Without their schema, the names stand for the functions of the user.
    let unqualified = "SET ROLE shared_admin; SELECT pg_has_role(CURRENT_USER, 'pg_signal_backend', 'USAGE'), \
                       has_database_privilege('web_role', 'shared', 'CONNECT')";
    apps.postgres.sql("shared", unqualified)?;
    let called = "SELECT count(*) FROM called";
    assert_eq!(apps.postgres.sql("shared", called)?.trim(), "2");
    apps.postgres.sql("shared", "DELETE FROM called")?;
    ended(apps, &lease, &remains(&user), "0").await?;
    // The check of this application runs now.
    apps.scene.apply("SecretsApp", "webapp", app(json!({}))).await?;
    apps.scene.ready("SecretsApp", "webapp", "True/Applied").await?;
    assert_eq!(apps.postgres.sql("shared", called)?.trim(), "0", "OpenBao called a function of the user");
    Ok(())
}

/// Starts a session that holds a lock on a table, and waits until it has the lock.
async fn locking(apps: &Apps, database: &str, login: (&str, &str), table: &str) -> Result<Child> {
    let lock = format!("LOCK TABLE {table}");
    let mut psql = apps.psql(database, login, &["SET ROLE NONE", "BEGIN", &lock, "SELECT pg_sleep(300)"]);
    let session = psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let locks = format!(
        "SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND mode = 'AccessExclusiveLock' AND granted"
    );
    eventually("a session has the lock", || async {
        let count = apps.postgres.sql(database, &locks).map_err(|error| error.to_string())?;
        if count.trim() == "1" { Ok(()) } else { Err(count) }
    })
    .await?;
    Ok(session)
}

async fn an_open_transaction_of_the_user_is_ended(apps: &Apps) -> Result<()> {
    let [user, password, lease] = credential(&apps.scene.admin, "web").await?;
    let login = (user.as_str(), password.as_str());
    apps.sql_as(login, "SET ROLE NONE; CREATE TABLE own (a int)")?;
    let mut session = locking(apps, "shared", login, "own").await?;
    ended(apps, &lease, &remains(&user), "0").await?;
    ensure!(!session.wait()?.success(), "the session was not ended");
    let owner = apps.postgres.sql("shared", "SELECT tableowner FROM pg_tables WHERE tablename = 'own'")?;
    assert_eq!(owner.trim(), "web_role");
    Ok(())
}

/// In the database of the connection, the transaction of another user has a lock on a table of the user. In another database, OpenBao
/// cannot give the table away. The role stays, without a login, a password and sessions.
async fn a_table_that_stays_ends_the_access(apps: &Apps, database: &str) -> Result<()> {
    let [user, password, lease] = credential(&apps.scene.admin, "web").await?;
    let login = (user.as_str(), password.as_str());
    let creation = "SET ROLE NONE; CREATE TABLE kept (a int); GRANT ALL ON kept TO web_role";
    tools::output(&mut apps.psql(database, login, &[creation]))?;
    let [other, others, _] = credential(&apps.scene.admin, "web").await?;
    // In the other database, the session that has the lock is one of the user.
    let holder = if database == "shared" { (other.as_str(), others.as_str()) } else { login };
    let mut session = locking(apps, database, holder, "kept").await?;
    let state = format!(
        "SELECT rolcanlogin, rolpassword IS NULL, (SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}') \
         FROM pg_authid WHERE rolname = '{user}'"
    );
    let clients = [0, 1].map(|_| apps.psql(database, login, &["SELECT pg_sleep(600)"]));
    // The second session begins when the first one ends, while the revocation waits for the lock.
    let pool = std::thread::spawn(move || clients.map(|mut client| client.output()));
    ended(apps, &lease, &state, "f|t|0").await?;
    ensure!(apps.sql_as(login, "SELECT 1").is_err(), "the user logs in");
    for client in pool.join().map_err(|_| anyhow!("a client panicked"))? {
        ensure!(!client?.status.success(), "a session that began during the revocation was not ended");
    }
    if database == "shared" {
        ensure!(session.try_wait()?.is_none(), "the session of another user was ended");
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{other}'");
        apps.postgres.sql("postgres", &end)?;
    }
    ensure!(!session.wait()?.success(), "the session was not ended");
    // The statements of the page remove the role.
    let give =
        format!("REASSIGN OWNED BY \"{user}\" TO web_role; DROP OWNED BY \"{user}\"; DROP ROLE \"{user}\"");
    apps.postgres.sql(database, &give).map(drop)
}

/// A superuser that is a member of the owner role cannot be granted the role of the user.
async fn a_superuser_needs_no_membership(apps: &Apps) -> Result<()> {
    let [user, password, _] = credential(&apps.scene.admin, "web").await?;
    apps.sql_as((&user, &password), "SET ROLE NONE; CREATE TABLE last (a int)")?;
    let sql = |sql: &str| apps.postgres.sql("shared", sql);
    sql("GRANT postgres TO web_role")?;
    let refused = sql(&format!("GRANT \"{user}\" TO CURRENT_USER")).err().map(|error| error.to_string());
    ensure!(refused.clone().unwrap_or_default().contains("is a member of role"), "{refused:?}");
    let role = apps.scene.state("postgres/roles/web").await?.context("no role")?;
    let statement = role["revocation_statements"][0].as_str().context("no statement")?;
    sql(&statement.replace("{{name}}", &user))?;
    assert_eq!(sql(&remains(&user))?.trim(), "0");
    assert_eq!(sql("SELECT tableowner FROM pg_tables WHERE tablename = 'last'")?.trim(), "web_role");
    sql("REVOKE postgres FROM web_role").map(drop)
}
