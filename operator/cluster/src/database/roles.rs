//! Roles of nodes: one per incarnation. A lost leader cannot write once its role may no longer log in.

use secrecy::{ExposeSecret, SecretString};
use steamer_core::error::Error;
use tokio_postgres::error::SqlState;

use crate::database::{Database, DatabaseError, first_column};

/// A role of a node, or another role with such a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRole {
    pub(crate) name: String,
    /// It belongs to this cluster. Clusters with the same name can share a server.
    pub(crate) own: bool,
    pub(crate) can_login: bool,
    /// Note of its fence.
    pub(crate) note: Option<FenceNote>,
}

/// Reason why fencing is not possible or not reliable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The login lacks a right that role changes need.
    Rights(String),
    /// A promoted replica may lack the fence.
    Replication,
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rights(why) => f.write_str(why),
            Self::Replication => f.write_str(
                "PostgreSQL replicates asynchronously: a promoted replica may lack acknowledged writes and fences; set \
                 synchronous_standby_names",
            ),
        }
    }
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

const UNGRANTED: &str = "
SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND rolname <> current_user AND EXISTS (
  SELECT 1 FROM unnest(ARRAY['openbao_kv_store', 'openbao_ha_locks']) t, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
  WHERE NOT has_table_privilege(pg_roles.oid, to_regclass(t), p))";

/// Name of the role of the n-th incarnation of a node.
pub(crate) fn role_name(cluster: &str, ordinal: u32, n: u32) -> String {
    format!("{}_{ordinal}_{n}", plain(cluster))
}

/// Name of a cluster as a part of a role name.
fn plain(cluster: &str) -> String {
    cluster.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Ordinal of the node and number of the incarnation in a role name.
pub(crate) fn parse_role(name: &str) -> Option<(u32, u32)> {
    let mut parts = name.rsplitn(3, '_');
    let n = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, n))
}

const ROLES: &str = "
SELECT rolname::text, rolcanlogin, shobj_description(oid, 'pg_authid') FROM pg_roles
WHERE rolname ~ $1 ORDER BY 1";

const RIGHTS: &str = "
SELECT rolsuper OR rolcreaterole, rolsuper OR pg_has_role(oid, 'pg_signal_backend', 'USAGE')
FROM pg_roles WHERE rolname = current_user";

const ASYNCHRONOUS: &str = "
SELECT EXISTS (SELECT 1 FROM pg_stat_replication) AND current_setting('synchronous_standby_names') = ''";

const SESSIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid()";

impl Database {
    /// The roles with a name of a node of the cluster.
    pub(crate) async fn node_roles(&self, cluster: &str, mark: &str) -> Result<Vec<NodeRole>, DatabaseError> {
        let named = format!("^{}_[0-9]+_[0-9]+$", plain(cluster));
        let (marked, fenced) = (format!("steamer: {mark}"), format!("steamer: {mark} fenced "));
        let role = move |row: &tokio_postgres::Row| {
            let comment = row.try_get::<_, Option<String>>(2)?.unwrap_or_default();
            Ok(NodeRole {
                name: row.try_get(0)?,
                own: comment == marked || comment.starts_with(&fenced),
                can_login: row.try_get(1)?,
                note: note(&comment),
            })
        };
        let roles = self.with(|client| async move {
            let rows = client.query(ROLES, &[&named]).await?;
            rows.iter().map(role).collect()
        });
        roles.await
    }

    /// Reason why this login cannot fence nodes.
    pub(crate) async fn obstacle(&self) -> Result<Option<Obstacle>, DatabaseError> {
        let rights = self.with(|client| async move {
            let row = client.query_one(RIGHTS, &[]).await?;
            Ok((row.try_get(0)?, row.try_get(1)?))
        });
        let (creates, signals): (bool, bool) = rights.await?;
        let user = &self.login.user;
        if !creates {
            return Ok(Some(Obstacle::Rights(format!(
                "login `{user}` may not create roles: run ALTER ROLE \"{user}\" CREATEROLE"
            ))));
        }
        if !signals {
            return Ok(Some(Obstacle::Rights(format!(
                "login `{user}` may not end sessions: run GRANT pg_signal_backend TO \"{user}\""
            ))));
        }
        let asynchronous: bool = self.value(ASYNCHRONOUS).await?;
        Ok(asynchronous.then_some(Obstacle::Replication))
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
            "BEGIN; CREATE ROLE {role} LOGIN PASSWORD '{verifier}'; COMMENT ON ROLE {role} IS '{comment}'; COMMIT",
            role = quoted(name),
            comment = literal(&format!("steamer: {mark}")),
        );
        let made = self.with(|client| async move {
            let made = client.batch_execute(&sql).await;
            if made.is_err() {
                let _ = client.batch_execute("ROLLBACK").await;
            }
            made
        });
        match made.await {
            Err(DatabaseError::Statement { source, .. })
                if source.code() == Some(&SqlState::DUPLICATE_OBJECT) =>
            {
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
        self.with(|client| async move {
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
        let FenceNote { since, lock, uid, reason } = note;
        let sql = format!(
            "BEGIN; ALTER ROLE {role} NOLOGIN; COMMENT ON ROLE {role} IS '{comment}'; COMMIT",
            role = quoted(role),
            comment = literal(&format!("steamer: {mark} fenced {since} {lock} {uid} {reason}")),
        );
        self.with(|client| async move {
            let done = client.batch_execute(&sql).await;
            if done.is_err() {
                let _ = client.batch_execute("ROLLBACK").await;
            }
            done
        })
        .await
    }

    /// The roles among these that lack a right of a node.
    pub(crate) async fn without_grants(&self, roles: &[String]) -> Result<Vec<String>, DatabaseError> {
        let roles = roles.to_vec();
        let roles =
            self.with(|client| async move { first_column(&client.query(UNGRANTED, &[&roles]).await?) });
        roles.await
    }

    /// Ends the sessions of a role. Returns their number.
    pub(crate) async fn end_sessions(&self, role: &str) -> Result<i64, DatabaseError> {
        let role = role.to_owned();
        self.with(|client| async move { client.query_one(SESSIONS, &[&role]).await?.try_get(0) }).await
    }

    /// Ends the sessions of this login from an address: those of an ended process.
    pub(crate) async fn end_sessions_from(&self, address: &str) -> Result<i64, DatabaseError> {
        let asked = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = current_user \
                     AND client_addr = $1::text::inet AND pid <> pg_backend_pid()";
        let address = address.to_owned();
        self.with(|client| async move { client.query_one(asked, &[&address]).await?.try_get(0) }).await
    }

    /// Revokes all rights of a role. Requires the owner of the tables.
    pub(crate) async fn revoke(&self, role: &str) -> Result<(), DatabaseError> {
        let role = quoted(role);
        let tables = format!("REVOKE ALL ON openbao_kv_store, openbao_ha_locks FROM {role}");
        let schema = format!("REVOKE ALL ON SCHEMA public FROM {role}");
        self.with(|client| async move {
            client.batch_execute(&tables).await?;
            let _ = client.batch_execute(&schema).await;
            Ok(())
        })
        .await
    }

    /// Drops a role without rights.
    pub(crate) async fn drop_role(&self, role: &str) -> Result<(), DatabaseError> {
        let sql = format!("DROP ROLE IF EXISTS {}", quoted(role));
        self.with(|client| async move { client.batch_execute(&sql).await }).await
    }

    /// Time limit of a login in seconds.
    pub(crate) async fn authentication_timeout(&self) -> Result<i64, DatabaseError> {
        let asked = "SELECT setting::int8 FROM pg_settings WHERE name = 'authentication_timeout'";
        self.value(asked).await
    }
}

fn quoted(name: &str) -> String {
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
    }

    #[test]
    fn a_fence_can_be_completed_from_its_note() {
        let noted = note("steamer: i/OpenBaoCluster/ns/main fenced 17 a-b-c u-1 it does not answer").unwrap();
        assert_eq!((noted.since, noted.lock.as_str(), noted.uid.as_str()), (17, "a-b-c", "u-1"));
        assert_eq!(noted.reason, "it does not answer");
        assert_eq!(note("steamer: i/OpenBaoCluster/ns/main"), None);
    }
}
