//! Fence of one incarnation of a node: its login is disabled, its sessions end, and its lock is freed.

use std::time::Duration;

use steamer_core::error::Error;

use crate::database::DatabaseError;
use crate::database::incarnations::RoleAdmin;
use crate::database::lock::{Attempt, Lock, LockRow};
use crate::database::roles::{FenceNote, disabling};

/// Largest number of attempts to end the sessions of a role, and the pause between them.
const ROUNDS: u32 = 40;
const ROUND: Duration = Duration::from_millis(20);
/// Longest time of all attempts: the guard holds the row of the lock in the meantime.
const LONGEST: Duration = Duration::from_secs(8);
/// Longest time of a fence until the lock is deleted. PostgreSQL ends the transaction of the owner soon after.
const FENCE: Duration = Duration::from_secs(18);

impl RoleAdmin<'_> {
    /// Prevents all further writes of an incarnation, and frees its lock. Every step can be repeated.
    pub(crate) async fn shut_out(&self, role: &str, note: &FenceNote) -> Result<(), Error> {
        self.block(role, note).await?;
        Ok(self.delete_lock(&note.lock).await?)
    }

    /// The same for the holder of a lock. Returns false without a change if the lock has changed since it was read.
    ///
    /// The first statement of the transaction that disables the login locks the row of the lock. A transaction of the owner
    /// shares this lock until the sessions have ended and the lock is deleted: no node can take it in the meantime, also if it
    /// has expired.
    pub(crate) async fn fence(&self, role: &str, note: &FenceNote, lock: &Lock) -> Result<bool, Error> {
        // Before the transaction of the owner.
        let table = self.lock_table().await;
        let Some(row) = held(self.owner.hold_lock(lock, role).await?)? else { return Ok(false) };
        let blocking = self.block_holder((&row, table.as_deref()), role, note);
        let blocked = tokio::time::timeout(FENCE, blocking).await;
        let blocked =
            blocked.unwrap_or_else(|_| Err(self.admin.unreachable("no answer in time".into()).into()));
        match blocked {
            Ok(true) => row.delete().await.map(|()| true).map_err(Error::from),
            _ => {
                row.release().await?;
                blocked
            }
        }
    }

    /// Disables the login of a holder, and ends its sessions. Returns false without a change if the lock has changed.
    async fn block_holder(
        &self,
        (row, table): (&LockRow<'_>, Option<&str>),
        role: &str,
        note: &FenceNote,
    ) -> Result<bool, Error> {
        let is_disabled = match table {
            Some(table) => self.disable_holder((row, table), role, note).await?,
            None => None,
        };
        match is_disabled {
            Some(true) => self.end_or_enable(role).await?,
            Some(false) => return Ok(false),
            None => self.block(role, note).await?,
        }
        Ok(true)
    }

    /// Name of the table of the lock, if the admin is known to have the right to lock its rows.
    async fn lock_table(&self) -> Option<String> {
        match self.owner.lock_table(&self.admin.login).await {
            Ok(table) => table,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(
                    error,
                    "the rights of the admin are not known: the owner alone locks the row"
                );
                None
            }
        }
    }

    /// Disables the login of a holder in one transaction with the lock of the row. Returns false if the lock has changed: the owner
    /// does not hold it anymore. Returns None if PostgreSQL refused the transaction: the owner holds the row, too, and the login is
    /// disabled in a transaction of its own.
    async fn disable_holder(
        &self,
        (row, table): (&LockRow<'_>, &str),
        role: &str,
        note: &FenceNote,
    ) -> Result<Option<bool>, Error> {
        match self.admin.change_beside(row, table, &disabling(role, self.mark, note)).await {
            Ok(done) => Ok(Some(done)),
            Err(error) if matches!(error, DatabaseError::Statement { .. }) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(role, error, "the admin does not lock the row: the owner alone locks it");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The steps of a fence after the first one.
    pub(crate) async fn complete_fence(&self, role: &str, lock: &str) -> Result<(), Error> {
        self.end_all_sessions(role).await?;
        Ok(self.delete_lock(lock).await?)
    }

    /// Deletes the lock of a fenced node, if its fence noted one.
    async fn delete_lock(&self, lock: &str) -> Result<(), DatabaseError> {
        if lock.is_empty() { Ok(()) } else { self.owner.delete_lock(lock).await }
    }

    /// Takes the right to log in from a role, and ends its sessions.
    async fn block(&self, role: &str, note: &FenceNote) -> Result<(), Error> {
        self.admin.disable(role, self.mark, note).await?;
        self.end_or_enable(role).await
    }

    /// Ends the sessions of a role that can no longer log in. If PostgreSQL refuses to end them, the role gets its right back:
    /// half a fence stops nothing, and the node could not log in again.
    async fn end_or_enable(&self, role: &str) -> Result<(), Error> {
        let Err(error) = self.end_all_sessions(role).await else { return Ok(()) };
        if matches!(error, DatabaseError::Statement { .. }) {
            self.admin.enable(role, self.mark).await?;
        }
        Err(error.into())
    }

    async fn end_all_sessions(&self, role: &str) -> Result<(), DatabaseError> {
        let ended = tokio::time::timeout(LONGEST, self.end_until_quiet(role)).await;
        ended.unwrap_or_else(|_| Err(self.admin.unreachable("no answer in time".into())))
    }

    async fn end_until_quiet(&self, role: &str) -> Result<(), DatabaseError> {
        // A login that was in progress when the role lost the right appears only in a later query.
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            quiet = if self.admin.end_sessions(role).await? == 0 { quiet + 1 } else { 0 };
            if quiet == 2 {
                return Ok(());
            }
            tokio::time::sleep(ROUND).await;
        }
        Err(self.admin.unreachable(format!("the sessions of `{role}` do not end").into()))
    }
}

/// The row that an attempt holds. None: the lock has changed.
fn held(attempt: Attempt<'_>) -> Result<Option<LockRow<'_>>, Error> {
    match attempt {
        Attempt::Held(row) => Ok(Some(row)),
        Attempt::Changed => Ok(None),
        Attempt::Blocked(blocker) => {
            let blocker = blocker.unwrap_or_else(|| "unknown login".to_owned());
            Err(Error::Waiting(format!("a session of `{blocker}` holds the row of the lock")))
        }
    }
}
