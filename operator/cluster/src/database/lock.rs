//! The leader's lock, and the login that holds it. Every change of the lock row is bound to the state that was judged.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::database::{Database, DatabaseError};

/// Lifetime of a lock in seconds, as in the SQL statements below: a younger lock has a holder.
pub(crate) const LOCK_SECONDS: f64 = 15.0;

/// The leader's lock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Lock {
    /// Unique value of the holder. OpenBao calls it the leader's UUID.
    pub(crate) value: String,
    /// Seconds since its last renewal, by the clock of the database.
    pub(crate) age: f64,
    /// Expiration time in seconds since the epoch, as the database prints it: each renewal changes it.
    pub(crate) expires: String,
    /// The database records the login of the holder.
    pub(crate) is_recorded: bool,
}

const LOCK: &str = "
SELECT COALESCE(ha_value, ''), EXTRACT(EPOCH FROM now() - (valid_until - INTERVAL '15 seconds'))::float8,
       EXTRACT(EPOCH FROM valid_until)::text,
       COALESCE(pg_catalog.has_table_privilege(to_regclass('steamer_guard'), 'SELECT'), false)
FROM openbao_ha_locks WHERE ha_key = 'core/lock'";

const HOLDER: &str = "SELECT login FROM steamer_guard WHERE key = 'lock' AND value = $1";

/// Proves that the database accepts writes. Returns whether the holder of the lock has written its address: a node
/// writes it before it serves a request.
const PULSE: &str = "
INSERT INTO steamer_guard AS g VALUES ('pulse', NULL, session_user, now()) ON CONFLICT (key) DO UPDATE SET at = now()
RETURNING EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/leader/' AND openbao_kv_store.key = $1)";

const FREE: &str = "
DELETE FROM openbao_ha_locks
WHERE ha_key = 'core/lock' AND ha_value = $1 AND now() - (valid_until - INTERVAL '15 seconds') >= make_interval(secs => $2)
  AND NOT EXISTS (SELECT 1 FROM openbao_kv_store WHERE path = '/core/leader/' AND key = $1)";

const DELETE: &str = "DELETE FROM openbao_ha_locks WHERE ha_key = 'core/lock' AND ha_value = $1";

/// Table of the lock, as the owner of the tables names it.
const TABLE: &str = "openbao_ha_locks";

/// A transaction that PostgreSQL ends if its client does not.
const BEGIN: &str =
    "BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL idle_in_transaction_session_timeout = '20s'";

/// Access to the row of a lock in a transaction. No client can change a row that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Locks it if no other client has locked it.
    Lock,
    /// Shares the lock of another transaction of Steamer.
    Share,
    Read,
}

/// Statement that returns the row of a lock if it has not changed since it was read.
fn row(table: &str, locking: &str) -> String {
    format!(
        "SELECT 1 FROM {table} WHERE ha_key = 'core/lock' AND ha_value = $1 \
         AND EXTRACT(EPOCH FROM valid_until)::text = $2{locking}"
    )
}

/// Login of the transaction that holds the lock row.
const BLOCKER: &str = "
SELECT a.usename::text FROM openbao_ha_locks l
JOIN pg_locks k ON k.locktype = 'transactionid' AND k.granted AND k.transactionid = l.xmax
JOIN pg_stat_activity a ON a.pid = k.pid WHERE l.ha_key = 'core/lock'";

/// The row of a lock. No client can renew, release or take the lock until the row is released, or this value is dropped.
pub(crate) struct LockRow<'a> {
    database: &'a Database,
    lock: Lock,
    hold: Hold,
}

/// Protection of a lock row.
enum Hold {
    /// An open transaction of this connection holds the row. The connection is detached.
    Own(Arc<Client>),
    /// A session of the holder itself holds the row.
    OfHolder,
}

/// Result of one attempt to open a transaction that holds a row.
enum Tried {
    /// An open transaction of this connection holds the row.
    Held(Arc<Client>),
    /// There is no such row.
    Changed,
    /// A session holds the row.
    Blocked,
}

/// Result of an attempt to hold the row of a lock.
pub(crate) enum Attempt<'a> {
    Held(LockRow<'a>),
    /// The lock was renewed, released or taken in the meantime.
    Changed,
    /// A session of another login holds the row.
    Blocked(Option<String>),
}

impl Database {
    pub(crate) async fn lock(&self) -> Result<Option<Lock>, DatabaseError> {
        let lock = self.with(|client| async move {
            let Some(row) = client.query_opt(LOCK, &[]).await? else { return Ok(None) };
            Ok(Some(Lock {
                value: row.try_get(0)?,
                age: row.try_get(1)?,
                expires: row.try_get(2)?,
                is_recorded: row.try_get(3)?,
            }))
        });
        lock.await
    }

    /// Login of the session that took a lock, if the database has recorded it.
    pub(crate) async fn holder(&self, value: &str) -> Result<Option<String>, DatabaseError> {
        let value = value.to_owned();
        let holder = self.with(|client| async move {
            let row = client.query_opt(HOLDER, &[&value]).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
        });
        holder.await
    }

    /// Writes one row. Returns true if the holder of the lock has written its address.
    pub(crate) async fn pulse(&self, value: &str) -> Result<bool, DatabaseError> {
        let value = value.to_owned();
        self.with(|client| async move { client.query_one(PULSE, &[&value]).await?.try_get(0) }).await
    }

    /// Deletes the lock if it still has this value.
    pub(crate) async fn delete_lock(&self, value: &str) -> Result<(), DatabaseError> {
        let value = value.to_owned();
        self.change(|client| async move { client.execute(DELETE, &[&value]).await }).await.map(drop)
    }

    /// Deletes a lock that was not renewed for `patience`, if its holder has not written its address. OpenBao's own
    /// fence stops the holder.
    pub(crate) async fn free_unannounced_lock(
        &self,
        value: &str,
        patience: Duration,
    ) -> Result<bool, DatabaseError> {
        let (value, patience) = (value.to_owned(), patience.as_secs_f64());
        let freed = self.change(|client| async move { client.execute(FREE, &[&value, &patience]).await });
        Ok(freed.await? > 0)
    }

    /// Holds the row of a lock that has not changed since it was read. `holder` is the login of its holder.
    pub(crate) async fn hold_lock(&self, lock: &Lock, holder: &str) -> Result<Attempt<'_>, DatabaseError> {
        let held = |hold| Attempt::Held(LockRow { database: self, lock: lock.clone(), hold });
        match self.try_hold(TABLE, lock, Access::Lock).await? {
            Tried::Held(client) => return Ok(held(Hold::Own(client))),
            Tried::Changed => return Ok(Attempt::Changed),
            Tried::Blocked => {}
        }
        let blocker = self.blocker().await?;
        if blocker.as_deref() != Some(holder) {
            return Ok(Attempt::Blocked(blocker));
        }
        // A renewal in progress ends in the meantime. A session that holds the row for longer hangs.
        Ok(match self.try_hold(TABLE, lock, Access::Lock).await? {
            Tried::Held(client) => held(Hold::Own(client)),
            Tried::Changed => Attempt::Changed,
            Tried::Blocked => held(Hold::OfHolder),
        })
    }

    /// Executes statements in a transaction whose first statement locks a row that the owner of the tables holds. `table` is
    /// its qualified name. Returns false without a change if this login does not see the row.
    ///
    /// While a session of the holder itself holds the row, no other client can change it, and the transaction only reads it.
    pub(crate) async fn change_beside(
        &self,
        held: &LockRow<'_>,
        table: &str,
        statements: &str,
    ) -> Result<bool, DatabaseError> {
        let access = if held.is_own() { Access::Share } else { Access::Read };
        let Tried::Held(client) = self.try_hold(table, &held.lock, access).await? else { return Ok(false) };
        let sql = format!("{statements}; COMMIT");
        self.before_change();
        self.finish(client, &sql).await?;
        Ok(true)
    }

    /// Opens a transaction that holds or reads the row of a lock. Without the row, no transaction is left open.
    async fn try_hold(&self, table: &str, lock: &Lock, access: Access) -> Result<Tried, DatabaseError> {
        let client = self.detached().await?;
        let asked = async {
            match hold(&client, table, lock, access).await {
                Err(error) if error.code().is_none() => Err(error),
                found => Ok(found),
            }
        };
        let found = self.timed(None, asked).await?;
        if matches!(found, Ok(true)) {
            return Ok(Tried::Held(client));
        }
        self.finish(client, "ROLLBACK").await?;
        match found {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Tried::Blocked),
            Err(error) => Err(self.failed(error)),
            Ok(_) => Ok(Tried::Changed),
        }
    }

    async fn blocker(&self) -> Result<Option<String>, DatabaseError> {
        let blocker = self.with(|client| async move {
            let row = client.query_opt(BLOCKER, &[]).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
        });
        blocker.await
    }

    /// Ends the transaction of a detached connection. The server is asked also while it is known not to answer. After an error,
    /// the connection is closed, which ends the transaction.
    async fn finish(&self, client: Arc<Client>, statements: &str) -> Result<(), DatabaseError> {
        self.timed(None, client.batch_execute(statements)).await?;
        self.attach(client).await;
        Ok(())
    }
}

/// Begins a transaction, and locks or reads the row in it. Returns false if there is no such row.
async fn hold(
    client: &Client,
    table: &str,
    lock: &Lock,
    access: Access,
) -> Result<bool, tokio_postgres::Error> {
    client.batch_execute(BEGIN).await?;
    if access == Access::Lock {
        // A client that shares the lock would prevent the deletion of the row.
        client.batch_execute("SAVEPOINT alone").await?;
        client.query_opt(&row(table, " FOR UPDATE"), &[&lock.value, &lock.expires]).await?;
        client.batch_execute("ROLLBACK TO SAVEPOINT alone").await?;
    }
    let locking = if access == Access::Read { "" } else { " FOR SHARE" };
    let found = client.query_opt(&row(table, locking), &[&lock.value, &lock.expires]).await?;
    Ok(found.is_some())
}

impl LockRow<'_> {
    /// Returns true if an open transaction of the owner holds the row, and not a session of the holder.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.hold, Hold::Own(_))
    }

    /// Deletes the lock.
    pub(crate) async fn delete(self) -> Result<(), DatabaseError> {
        let Self { database, lock: Lock { value, .. }, hold } = self;
        let Hold::Own(client) = hold else { return database.delete_lock(&value).await };
        database.before_change();
        database.timed(None, client.execute(DELETE, &[&value])).await?;
        database.finish(client, "COMMIT").await
    }

    /// Keeps the lock.
    pub(crate) async fn release(self) -> Result<(), DatabaseError> {
        let Hold::Own(client) = self.hold else { return Ok(()) };
        self.database.finish(client, "ROLLBACK").await
    }
}
