//! Roles of nodes: one per incarnation. A lost leader cannot write once its role may no longer log in.

use secrecy::{ExposeSecret, SecretString};
use steamer_core::error::Error;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::database::{Database, DatabaseError, first_column};

/// A role of a node, or another role with such a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRole {
    pub(crate) name: String,
    /// It belongs to this cluster. Clusters with the same name can share a server.
    pub(crate) own: bool,
    pub(crate) can_login: bool,
    /// The admin login may change it.
    pub(crate) may_change: bool,
    /// It ends sessions of which the client is gone.
    pub(crate) has_timeouts: bool,
    /// Note of its fence.
    pub(crate) note: Option<FenceNote>,
}

/// Facts with which another process can complete a fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FenceNote {
    /// Seconds since the epoch.
    pub(crate) since: i64,
    /// Lock of the fenced node.
    pub(crate) lock: String,
    /// UID of its pod.
    pub(crate) uid: String,
    /// Reason of the fence.
    pub(crate) reason: String,
}

/// Start of the reason of a fence that a user requested.
const REQUESTED: &str = "the annotation steamer.dev/fence requests it";

/// Reason of a fence that a user requested, with the field manager of the annotation.
pub(crate) fn requested(manager: Option<&str>) -> String {
    manager.map_or(REQUESTED.to_owned(), |manager| format!("{REQUESTED}, field manager {manager}"))
}

impl FenceNote {
    /// Returns true if a user requested the fence.
    pub(crate) fn is_requested(&self) -> bool {
        self.reason.starts_with(REQUESTED)
    }
}

/// Condition that a role lacks a right of a node.
pub(super) const LACKS_A_GRANT: &str = "
rolname <> current_user AND EXISTS (
  SELECT 1 FROM pg_catalog.unnest(ARRAY['openbao_kv_store', 'openbao_ha_locks']) t, pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
  WHERE NOT pg_catalog.has_table_privilege(pg_roles.oid, to_regclass(t), p))";

/// Name of the role of the n-th incarnation of a node.
pub(crate) fn role_name(cluster: &str, ordinal: u32, n: u32) -> String {
    format!("{}_{ordinal}_{n}", plain(cluster))
}

/// Name of a cluster as a part of a role name.
fn plain(cluster: &str) -> String {
    cluster.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Ordinal of the node of this cluster that a role name belongs to.
pub(crate) fn node_of(cluster: &str, role: &str) -> Option<u32> {
    let (ordinal, n) = parse_role(role)?;
    (role_name(cluster, ordinal, n) == role).then_some(ordinal)
}

/// Ordinal of the node and number of the incarnation in a role name.
pub(crate) fn parse_role(name: &str) -> Option<(u32, u32)> {
    let mut parts = name.rsplitn(3, '_');
    let n = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, n))
}

/// Regular expression of the names of the roles of a cluster.
pub(super) fn pattern(cluster: &str) -> String {
    format!("^{}_[0-9]+_[0-9]+$", plain(cluster))
}

/// The roles with a name of a node. Before version 16, a login with CREATEROLE may change every role that is not a superuser.
pub(super) const ROLES: &str = "
SELECT rolname::text AS name, rolcanlogin AS can_login, pg_catalog.shobj_description(oid, 'pg_authid') AS comment,
       current_setting('server_version_num')::int4 < 160000 OR pg_catalog.pg_has_role(oid, 'MEMBER WITH ADMIN OPTION') AS may_change,
       COALESCE(pg_catalog.array_to_string(rolconfig, ' ') LIKE '%idle_in_transaction_session_timeout%', false) AS has_timeouts
FROM pg_roles WHERE rolname ~ $1";

/// Settings that end the sessions of a lost node without an operator: its transactions hold row locks.
const TIMEOUTS: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_user_timeout", "15s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "2"),
];

/// Logins of the sessions of OpenBao in the database.
pub(super) const LOGINS: &str = "
ARRAY(SELECT DISTINCT usename::text FROM pg_stat_activity
      WHERE datname = current_database() AND usename IS NOT NULL AND application_name <> 'steamer')";

const SESSIONS: &str = "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid()";

const IN_USE: &str = "
SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = $1)
    OR EXISTS (SELECT 1 FROM openbao_ha_locks WHERE ha_key = 'core/lock' AND ha_value = $2)";

impl NodeRole {
    /// The role in a row of [`ROLES`]. `mark` is that of its cluster.
    pub(super) fn of(row: &Row, mark: &str) -> Result<Self, tokio_postgres::Error> {
        let comment = row.try_get::<_, Option<String>>("comment")?.unwrap_or_default();
        let rest = comment.strip_prefix("steamer: ").and_then(|marked| marked.strip_prefix(mark));
        Ok(Self {
            name: row.try_get("name")?,
            own: rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" fenced ")),
            can_login: row.try_get("can_login")?,
            may_change: row.try_get("may_change")?,
            has_timeouts: row.try_get("has_timeouts")?,
            note: note(&comment),
        })
    }
}

impl Database {
    /// The roles with a name of a node of the cluster.
    pub(crate) async fn node_roles(&self, cluster: &str, mark: &str) -> Result<Vec<NodeRole>, DatabaseError> {
        let (named, sql) = (pattern(cluster), format!("{ROLES} ORDER BY 1"));
        let roles = self.with(|client| async move {
            let rows = client.query(&sql, &[&named]).await?;
            rows.iter().map(|row| NodeRole::of(row, mark)).collect()
        });
        roles.await
    }

    /// Creates and marks a role that may log in with this password.
    pub(crate) async fn create_role(
        &self,
        name: &str,
        password: &SecretString,
        mark: &str,
    ) -> Result<(), Error> {
        // The server and its log receive the verifier, not the password.
        let verifier = postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
        let sql = format!(
            "BEGIN; CREATE ROLE {role} LOGIN PASSWORD '{verifier}'; {timeouts} \
             COMMENT ON ROLE {role} IS '{comment}'; COMMIT",
            role = quoted(name),
            timeouts = timeouts(name),
            comment = literal(&format!("steamer: {mark}")),
        );
        match self.transaction(sql).await {
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {
                // Created by another cluster of the same name: the next reconcile chooses another name.
                Err(Error::Waiting(format!(
                    "role `{name}` already exists in PostgreSQL: the node gets another one"
                )))
            }
            made => Ok(made?),
        }
    }

    /// Grants a role the rights that a node needs. Requires the owner of the tables.
    pub(crate) async fn grant(&self, role: &str) -> Result<(), DatabaseError> {
        let sql = format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON openbao_kv_store, openbao_ha_locks TO {role}; \
             GRANT USAGE ON SCHEMA public TO {role}",
            role = quoted(role)
        );
        // Every role may use the schema unless its owner revoked this; then its owner must grant it.
        let schema = sql.split("; ").nth(1).unwrap_or_default().to_owned();
        let tables = sql.split("; ").next().unwrap_or_default().to_owned();
        self.change(|client| async move {
            client.batch_execute(&tables).await?;
            let _ = client.batch_execute(&schema).await;
            Ok(())
        })
        .await
    }

    /// Revokes the right to log in and notes the lock of the node, in one transaction.
    pub(crate) async fn disable(
        &self,
        role: &str,
        mark: &str,
        note: &FenceNote,
    ) -> Result<(), DatabaseError> {
        self.transaction(format!("BEGIN; {}; COMMIT", disabling(role, mark, note))).await
    }

    /// Takes a fence back.
    pub(crate) async fn enable(&self, role: &str, mark: &str) -> Result<(), DatabaseError> {
        let (role, comment) = (quoted(role), literal(&format!("steamer: {mark}")));
        let sql = format!("BEGIN; ALTER ROLE {role} LOGIN; COMMENT ON ROLE {role} IS '{comment}'; COMMIT");
        self.transaction(sql).await
    }

    /// Makes the database end sessions of a role whose client is gone.
    pub(crate) async fn set_timeouts(&self, role: &str) -> Result<(), DatabaseError> {
        self.transaction(format!("BEGIN; {} COMMIT", timeouts(role))).await
    }

    /// Returns true if a role has sessions, or if its lock exists.
    pub(crate) async fn is_in_use(&self, role: &str, lock: &str) -> Result<bool, DatabaseError> {
        let (role, lock) = (role.to_owned(), lock.to_owned());
        self.with(|client| async move { client.query_one(IN_USE, &[&role, &lock]).await?.try_get(0) }).await
    }

    /// The roles among these that lack a right of a node.
    pub(crate) async fn without_grants(&self, roles: &[String]) -> Result<Vec<String>, DatabaseError> {
        let roles = roles.to_vec();
        let sql = format!("SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND {LACKS_A_GRANT}");
        self.with(|client| async move { first_column(&client.query(&sql, &[&roles]).await?) }).await
    }

    /// Ends the sessions of a role. Returns their number.
    pub(crate) async fn end_sessions(&self, role: &str) -> Result<i64, DatabaseError> {
        let role = role.to_owned();
        self.change(|client| async move { client.query_one(SESSIONS, &[&role]).await?.try_get(0) }).await
    }

    /// Revokes all rights of a role. Requires the owner of the tables.
    pub(crate) async fn revoke(&self, role: &str) -> Result<(), DatabaseError> {
        let role = quoted(role);
        let tables = format!("REVOKE ALL ON openbao_kv_store, openbao_ha_locks FROM {role}");
        let schema = format!("REVOKE ALL ON SCHEMA public FROM {role}");
        self.change(|client| async move {
            client.batch_execute(&tables).await?;
            let _ = client.batch_execute(&schema).await;
            Ok(())
        })
        .await
    }

    /// Drops a role without rights.
    pub(crate) async fn drop_role(&self, role: &str) -> Result<(), DatabaseError> {
        let sql = format!("DROP ROLE IF EXISTS {}", quoted(role));
        self.change(|client| async move { client.batch_execute(&sql).await }).await
    }

    /// Time limit of a login in seconds.
    pub(crate) async fn authentication_timeout(&self) -> Result<i64, DatabaseError> {
        let asked = "SELECT setting::int8 FROM pg_settings WHERE name = 'authentication_timeout'";
        self.value(asked).await
    }
}

/// Statements that revoke the right to log in, and note the lock of the node.
pub(super) fn disabling(role: &str, mark: &str, note: &FenceNote) -> String {
    let FenceNote { since, lock, uid, reason } = note;
    format!(
        "ALTER ROLE {role} NOLOGIN; COMMENT ON ROLE {role} IS '{comment}'",
        role = quoted(role),
        comment = literal(&format!("steamer: {mark} fenced {since} {lock} {uid} {reason}")),
    )
}

/// Statements that set the timeouts of a role.
fn timeouts(role: &str) -> String {
    let role = quoted(role);
    TIMEOUTS.map(|(name, value)| format!("ALTER ROLE {role} SET {name} = '{value}';")).join(" ")
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    text.replace('\'', "''")
}

fn note(comment: &str) -> Option<FenceNote> {
    let (_, noted) = comment.split_once(" fenced ")?;
    let mut parts = noted.splitn(4, ' ');
    let since = parts.next()?.parse().ok()?;
    let mut text = || parts.next().unwrap_or_default().to_owned();
    Some(FenceNote { since, lock: text(), uid: text(), reason: text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_name_contains_cluster_node_and_incarnation() {
        assert_eq!(role_name("main-prod", 2, 13), "main_prod_2_13");
        assert_eq!(parse_role("main_prod_2_13"), Some((2, 13)));
        assert_eq!(parse_role("main"), None);
        assert_eq!(node_of("main-prod", "main_prod_2_13"), Some(2));
        assert_eq!(node_of("main", "main_prod_2_13"), None, "another cluster");
        assert_eq!(node_of("main", "main_02_1"), None, "not a name that Steamer chooses");
    }

    #[test]
    fn a_fence_can_be_completed_from_its_note() {
        let noted = note("steamer: i/OpenBaoCluster/ns/main fenced 17 a-b-c u-1 it does not answer").unwrap();
        assert_eq!((noted.since, noted.lock.as_str(), noted.uid.as_str()), (17, "a-b-c", "u-1"));
        assert_eq!(noted.reason, "it does not answer");
        assert_eq!(note("steamer: i/OpenBaoCluster/ns/main"), None);
    }
}
