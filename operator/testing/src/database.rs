//! A database engine of OpenBao that creates users in PostgreSQL.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Session};

/// Connection of the engine to PostgreSQL.
pub struct Connection<'a> {
    /// URL with the placeholders `{{username}}` and `{{password}}`.
    pub url: &'a str,
    /// User with the right to create roles.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// URL of a database `postgres` for [`Connection`]. `server` is host and port.
#[must_use]
pub fn url(server: &str, sslmode: &str) -> String {
    format!("postgresql://{{{{username}}}}:{{{{password}}}}@{server}/postgres?sslmode={sslmode}")
}

/// SQL that creates a user.
pub const CREATION: &str =
    r#"CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"#;

/// Mounts a database engine at `mount`, and configures its connection `postgres`.
///
/// # Errors
/// The error of OpenBao.
pub async fn engine(admin: &Session, mount: &str, connection: Connection<'_>) -> Result<()> {
    let path = format!("sys/mounts/{mount}");
    match admin.request_any(Method::POST, &path, Some(json!({"type": "database"}))).await {
        // The response was lost and the client repeated the request.
        Ok(_) | Err(Error::InUse { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let Connection { url, user, password } = connection;
    let config = json!({
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
        "connection_url": url, "username": user, "password": password,
    });
    admin.request_any(Method::POST, &format!("{mount}/config/postgres"), Some(config)).await?;
    Ok(())
}

/// Creates what the sample of BaoDynamicSecret needs: the engine `database` with the role `app`, and the policy `database` of
/// logins that use it.
///
/// # Errors
/// The error of OpenBao.
pub async fn sample(admin: &Session, connection: Connection<'_>) -> Result<()> {
    engine(admin, "database", connection).await?;
    role(admin, "database/roles/app", ("1h", "24h")).await?;
    let policy = json!({"path": {
        "database/creds/app": {"capabilities": ["read"]}, "sys/leases/revoke": {"capabilities": ["update"]},
    }});
    let policy = json!({"policy": policy.to_string()});
    admin.request_any(Method::POST, "sys/policies/acl/database", Some(policy)).await?;
    Ok(())
}

/// Creates a role of the engine. Its users have leases of `ttl`, which can be renewed until `max_ttl`.
///
/// # Errors
/// The error of OpenBao.
pub async fn role(admin: &Session, path: &str, (ttl, max_ttl): (&str, &str)) -> Result<()> {
    let role: Value = json!({
        "db_name": "postgres", "default_ttl": ttl, "max_ttl": max_ttl, "creation_statements": [CREATION],
    });
    admin.request_any(Method::POST, path, Some(role)).await?;
    Ok(())
}
