//! State of a PostgreSQL server, and of OpenBao in its database.

use std::time::Duration;

use steamer_core::error::Error;

use crate::database::{Database, DatabaseError, first_column};

/// Connections that are reserved for administrators and Steamer.
const RESERVE: i32 = 8;

const SERVER: &str = "
SELECT current_setting('server_version_num')::int4, split_part(current_setting('server_version'), ' ', 1),
       current_setting('server_encoding'), current_setting('max_connections')::int4, pg_is_in_recovery(),
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())";

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

/// Lifetime of a lock in seconds, as in the SQL statements below: a younger lock has a holder.
pub(crate) const LOCK_SECONDS: f64 = 15.0;

/// The leader's lock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lock {
    /// Unique value of the holder. OpenBao calls it the leader's UUID.
    pub(crate) value: String,
    /// Seconds since its last renewal, by the clock of the database.
    pub(crate) age: f64,
}

const LOCK: &str = "
SELECT COALESCE(ha_value, ''), EXTRACT(EPOCH FROM now() - (valid_until - INTERVAL '15 seconds'))::float8
FROM openbao_ha_locks WHERE ha_key = 'core/lock'";

const FREE: &str = "
DELETE FROM openbao_ha_locks
WHERE ha_key = 'core/lock' AND ha_value = $1 AND now() - (valid_until - INTERVAL '15 seconds') >= make_interval(secs => $2)
  AND NOT EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/leader/' AND key = $1)";

const BOOTSTRAP: &str = "
SELECT EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/' AND key = 'keyring'),
       EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/status/' AND key = 'self-init'),
       EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/' AND key = 'recovery-key'),
       (SELECT convert_from(value, 'UTF8')::json->>'type' FROM openbao_kv_store WHERE path = '/core/' AND key = 'seal-config')";

/// Contents of OpenBao's storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) initialized: bool,
    pub(crate) self_init_failed: bool,
    pub(crate) recovery_keys: bool,
    /// Type of its seal, as OpenBao names it.
    pub(crate) seal: Option<String>,
}

const WRAPPED: &str = "
SELECT position(convert_to($1, 'UTF8') IN value) > 0 FROM openbao_kv_store
WHERE (path = '/core/hsm/' AND key = 'barrier-unseal-keys') OR (path = '/core/' AND key = 'recovery-key')";

impl Database {
    pub(crate) async fn server(&self) -> Result<Server, DatabaseError> {
        let asked = self.with(|client| async move {
            let row = client.query_one(SERVER, &[]).await?;
            Ok(Server {
                number: row.try_get(0)?,
                version: row.try_get(1)?,
                encoding: row.try_get(2)?,
                max_connections: row.try_get(3)?,
                read_only: row.try_get(4)?,
                connections: row.try_get(5)?,
            })
        });
        asked.await
    }

    /// The timeline, if the login may read it. Another one means that another server was promoted.
    pub(crate) async fn timeline(&self) -> Option<i64> {
        let asked = "SELECT timeline_id::int8 FROM pg_control_checkpoint()";
        self.value(asked).await.ok()
    }

    pub(crate) async fn lock(&self) -> Result<Option<Lock>, DatabaseError> {
        let lock = self.with(|client| async move {
            let row = client.query_opt(LOCK, &[]).await?;
            row.map(|row| Ok(Lock { value: row.try_get(0)?, age: row.try_get(1)? })).transpose()
        });
        lock.await
    }

    /// Deletes the lock if it still has this value.
    pub(crate) async fn delete_lock(&self, value: &str) -> Result<bool, DatabaseError> {
        let delete = "DELETE FROM openbao_ha_locks WHERE ha_key = 'core/lock' AND ha_value = $1";
        let value = value.to_owned();
        Ok(self.with(|client| async move { client.execute(delete, &[&value]).await }).await? > 0)
    }

    /// Deletes a lock that was not renewed for `patience`, if its holder has not written its address: a node writes it
    /// before it serves a request. OpenBao's own fence stops the holder.
    pub(crate) async fn free_unannounced_lock(
        &self,
        value: &str,
        patience: Duration,
    ) -> Result<bool, DatabaseError> {
        let (value, patience) = (value.to_owned(), patience.as_secs_f64());
        let freed = self.with(|client| async move { client.execute(FREE, &[&value, &patience]).await });
        Ok(freed.await? > 0)
    }

    pub(crate) async fn contents(&self) -> Result<Contents, DatabaseError> {
        let contents = self.with(|client| async move {
            let row = client.query_one(BOOTSTRAP, &[]).await?;
            Ok(Contents {
                initialized: row.try_get(0)?,
                self_init_failed: row.try_get(1)?,
                recovery_keys: row.try_get(2)?,
                seal: row.try_get(3)?,
            })
        });
        contents.await
    }

    /// Returns true if every value that the seal wraps is wrapped by this key.
    pub(crate) async fn wrapped_by(&self, key_id: &str) -> Result<bool, DatabaseError> {
        let wrapped = self.wrapped(key_id).await?;
        Ok(!wrapped.is_empty() && wrapped.iter().all(|by_key| *by_key))
    }

    /// Returns true if any value that the seal wraps is wrapped by this key.
    pub(crate) async fn uses(&self, key_id: &str) -> Result<bool, DatabaseError> {
        Ok(self.wrapped(key_id).await?.contains(&true))
    }

    /// For each value that the seal wraps: true if this key wraps it.
    async fn wrapped(&self, key_id: &str) -> Result<Vec<bool>, DatabaseError> {
        let id = key_id.to_owned();
        let wrapped = self.with(|client| async move { first_column(&client.query(WRAPPED, &[&id]).await?) });
        wrapped.await
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
