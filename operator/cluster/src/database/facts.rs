//! State of a PostgreSQL server, and of OpenBao in its database.

use steamer_core::error::Error;
use tokio_postgres::Row;

use crate::database::{Database, DatabaseError};

/// Connections that are reserved for administrators and Steamer.
const RESERVE: i32 = 8;

/// Columns of a [`Server`].
pub(super) const SERVER: &str = "
current_setting('server_version_num')::int4 AS number, split_part(current_setting('server_version'), ' ', 1) AS version,
current_setting('server_encoding') AS encoding, current_setting('max_connections')::int4 AS max_connections,
pg_is_in_recovery() AS read_only,
(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections";

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) number: i32,
    pub(crate) version: String,
    pub(crate) encoding: String,
    pub(crate) max_connections: i32,
    pub(crate) read_only: bool,
    /// Number of sessions in the database.
    pub(crate) connections: i64,
}

impl Server {
    pub(super) fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            number: row.try_get("number")?,
            version: row.try_get("version")?,
            encoding: row.try_get("encoding")?,
            max_connections: row.try_get("max_connections")?,
            read_only: row.try_get("read_only")?,
            connections: row.try_get("connections")?,
        })
    }

    /// Refuses a server that OpenBao cannot use.
    pub(crate) fn check(&self, replicas: i32, connections: i32) -> Result<(), Error> {
        let Self { number, version, encoding, max_connections, read_only, connections: _ } = self;
        if *number < 150_000 {
            return Err(Error::Invalid(format!("PostgreSQL {version} is too old: 15 or later is required")));
        }
        if encoding != "UTF8" {
            return Err(Error::Invalid(format!(
                "the database's encoding is {encoding}: use a database that was created with ENCODING 'UTF8'"
            )));
        }
        if *read_only {
            return Err(Error::Waiting(
                "PostgreSQL is a read-only replica: waiting for the primary".to_owned(),
            ));
        }
        let needed = replicas * connections + RESERVE;
        if needed > *max_connections {
            return Err(Error::Invalid(format!(
                "{replicas} nodes with {connections} connections each and {RESERVE} reserved ones need {needed}, and \
                 max_connections is {max_connections}: raise it, or lower maxConnectionsPerPod"
            )));
        }
        Ok(())
    }
}

/// Columns of [`Contents`].
pub(super) const CONTENTS: &str = "
EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/' AND key = 'keyring') AS initialized,
EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/status/' AND key = 'self-init') AS self_init_failed,
EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/' AND key = 'recovery-key') AS recovery_keys,
(SELECT convert_from(value, 'UTF8')::json->>'type' FROM openbao_kv_store
 WHERE path = '/core/' AND key = 'seal-config') AS seal";

/// Contents of OpenBao's storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) initialized: bool,
    pub(crate) self_init_failed: bool,
    pub(crate) recovery_keys: bool,
    /// Type of its seal, as OpenBao names it.
    pub(crate) seal: Option<String>,
}

impl Contents {
    pub(super) fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            initialized: row.try_get("initialized")?,
            self_init_failed: row.try_get("self_init_failed")?,
            recovery_keys: row.try_get("recovery_keys")?,
            seal: row.try_get("seal")?,
        })
    }
}

/// A lock is valid for 15 s after its renewal.
const RENEWAL: &str = "
SELECT extract(epoch FROM valid_until)::int8 - 15 FROM openbao_ha_locks WHERE ha_key = 'core/lock'";

/// A server starts once, and has a database once, whatever address leads to it.
const IDENTITY: &str = "
SELECT pg_catalog.format('%s %s', extract(epoch FROM pg_postmaster_start_time()),
              (SELECT oid FROM pg_database WHERE datname = current_database()))";

/// A namespace is an entry of its parent.
const NAMESPACES: &str = "
SELECT (SELECT count(*) FROM openbao_kv_store WHERE path = '/core/namespaces/')
     + (SELECT count(*) FROM openbao_kv_store
        WHERE path > '/namespaces/' AND path < '/namespaces0' AND path LIKE '%/core/namespaces/')";

impl Database {
    /// Time of the last renewal of the leader's lock, in seconds since the epoch. None: no node has led.
    pub(crate) async fn last_renewal(&self) -> Result<Option<i64>, DatabaseError> {
        Ok(self.column::<i64>(RENEWAL).await?.first().copied())
    }

    /// Start of the server, and object ID of the database: the same only for the same database.
    pub(crate) async fn identity(&self) -> Result<String, DatabaseError> {
        self.value(IDENTITY).await
    }

    /// Number of namespaces in storage.
    pub(crate) async fn namespaces(&self) -> Result<u32, DatabaseError> {
        let count: i64 = self.value(NAMESPACES).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub(crate) async fn contents(&self) -> Result<Contents, DatabaseError> {
        let sql = format!("SELECT {CONTENTS}");
        self.with(|client| async move { Contents::of(&client.query_one(&sql, &[]).await?) }).await
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(140_010, "UTF8", 100, "is too old")]
    #[case(150_010, "SQL_ASCII", 100, "encoding is SQL_ASCII")]
    #[case(160_001, "UTF8", 50, "need 56, and max_connections is 50")]
    fn an_unsuitable_server_is_refused(
        #[case] number: i32,
        #[case] encoding: &str,
        #[case] max_connections: i32,
        #[case] expected: &str,
    ) {
        let (version, encoding) = ("x".to_owned(), encoding.to_owned());
        let server = Server { number, version, encoding, max_connections, read_only: false, connections: 3 };
        assert!(server.check(3, 16).unwrap_err().to_string().contains(expected));
    }
}
