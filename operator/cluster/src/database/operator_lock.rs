//! Exclusive use of a database by one operator. The lease in Kubernetes is not sufficient: a restored copy of a Kubernetes
//! cluster has a lease of its own, and a process that lost its lease may still run.

use std::time::{Duration, Instant};

use steamer_core::digest::digest;
use steamer_core::error::Error;
use tokio::sync::watch;

use crate::database::{Database, DatabaseError};

/// Time for which a reconcile waits for the first answer of the guard.
const FIRST: Duration = Duration::from_secs(5);
/// Time after which another operator is reported. A session of this process may still be closing.
const REPORT: Duration = Duration::from_secs(3);
/// Time without a query after which a session is not that of a running operator: a guard queries every second.
const STALE: f64 = 15.0;
/// Largest number of attempts to claim a database without a guard, and the pause between them. The session of a guard
/// that was stopped may still be closing.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Operator that uses a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Operator {
    #[default]
    Unknown,
    This,
    /// Another one, and its session.
    Other(String),
}

/// Result of the guard for reconciles: which operator uses the database.
#[derive(Default)]
pub(crate) struct OperatorLock(watch::Sender<Known>);

#[derive(Default)]
struct Known {
    operator: Operator,
    /// Number of changes.
    changes: u64,
}

impl OperatorLock {
    pub(crate) fn set(&self, operator: Operator) {
        self.0.send_if_modified(|known| {
            let changed = known.operator != operator;
            known.changes += u64::from(changed);
            known.operator = operator;
            changed
        });
    }

    /// Number of the period in which no other operator uses the database. Another number means that one may have used it
    /// in the meantime.
    pub(crate) fn period(&self) -> Option<u64> {
        let known = self.0.borrow();
        (known.operator == Operator::This).then_some(known.changes)
    }

    /// Waits for the first result.
    ///
    /// # Errors
    /// [`Error::Waiting`] if another operator uses the database.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let mut changes = self.0.subscribe();
        let known = changes.wait_for(|known| known.operator != Operator::Unknown);
        let known = tokio::time::timeout(FIRST, known).await;
        match known.map(|known| known.map(|known| known.operator.clone())) {
            Ok(Ok(Operator::Other(session))) => Err(Error::Waiting(in_use(&session))),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Waiting("the guard does not hold the lock of the database yet".to_owned())),
        }
    }
}

/// Text about another operator.
pub(crate) fn in_use(session: &str) -> String {
    format!(
        "another Steamer uses this database ({session}): stop it, or use another database if that Steamer belongs to a copy of \
         this Kubernetes cluster"
    )
}

/// Attempts of a guard to be the only operator of a database.
#[derive(Default)]
pub(crate) struct Claim {
    /// Connection that holds the advisory lock.
    connection: Option<u64>,
    /// The connection was lost and replaced: the database may have been restarted.
    gap: bool,
    refused_since: Option<Instant>,
}

const TRY: &str = "SELECT pg_try_advisory_lock($1)";

const OTHER: &str = "
SELECT a.pid, COALESCE(host(a.client_addr), 'a local socket'),
       COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - a.state_change), 0)::float8
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.datname = current_database()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::int8 << 32) | l.objid::int8) = $1";

const END: &str = "SELECT pg_catalog.pg_terminate_backend($1)";

impl Claim {
    /// Returns true if the present connection of `database` holds the lock.
    pub(crate) fn holds(&self, database: &Database) -> bool {
        self.connection == Some(database.connection_number())
    }

    /// Returns true once after the connection was replaced.
    pub(crate) fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.gap)
    }

    /// Takes the lock, unless this connection holds it. Returns the operator that uses the database.
    pub(crate) async fn take(&mut self, database: &Database, mark: &str) -> Result<Operator, DatabaseError> {
        if self.holds(database) && database.is_connected().await {
            return Ok(Operator::This);
        }
        self.gap |= self.connection.take().is_some();
        if database.try_advisory_lock(key(mark)).await? {
            self.connection = Some(database.connection_number());
            self.refused_since = None;
            return Ok(Operator::This);
        }
        let session = database.other_operator(key(mark)).await?;
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        Ok(match session {
            Some(session) if since.elapsed() >= REPORT => Operator::Other(session),
            _ => Operator::Unknown,
        })
    }
}

impl Database {
    /// Takes the lock for work without a guard. This connection holds it until it ends.
    ///
    /// # Errors
    /// [`Error::Contended`] if another operator uses the database.
    pub(crate) async fn claim(&self, mark: &str) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            if self.try_advisory_lock(key(mark)).await? {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let session = self.other_operator(key(mark)).await?;
        Err(Error::Contended(in_use(&session.unwrap_or_else(|| "its session is closing".to_owned()))))
    }

    async fn try_advisory_lock(&self, key: i64) -> Result<bool, DatabaseError> {
        self.with(|client| async move { client.query_one(TRY, &[&key]).await?.try_get(0) }).await
    }

    /// Session of another operator. One that has not sent a query for a while is ended: its process hangs.
    async fn other_operator(&self, key: i64) -> Result<Option<String>, DatabaseError> {
        let found = self.with(|client| async move {
            let Some(row) = client.query_opt(OTHER, &[&key]).await? else { return Ok(None) };
            let (pid, address, idle): (i32, String, f64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if idle >= STALE {
                client.execute(END, &[&pid]).await?;
            }
            Ok(Some(format!("session {pid} from {address}")))
        });
        found.await
    }
}

/// Key of the advisory lock. Clusters that share a database by mistake do not block each other: their data differs.
fn key(mark: &str) -> i64 {
    let digits = digest(mark.as_bytes());
    i64::from_str_radix(&digits[..15], 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_lost_in_the_meantime_has_another_period() {
        let lock = OperatorLock::default();
        assert_eq!(lock.period(), None);
        lock.set(Operator::This);
        let first = lock.period();
        lock.set(Operator::This);
        assert!(first.is_some() && lock.period() == first);
        lock.set(Operator::Unknown);
        assert_eq!(lock.period(), None);
        lock.set(Operator::This);
        assert_ne!(lock.period(), first);
    }

    #[tokio::test]
    async fn a_reconcile_waits_for_the_guard_and_stops_beside_another_operator() {
        let lock = OperatorLock::default();
        lock.set(Operator::This);
        assert!(lock.check().await.is_ok());
        lock.set(Operator::Other("session 7 from 10.0.0.1".to_owned()));
        let text = lock.check().await.unwrap_err().to_string();
        assert!(text.contains("another Steamer uses this database (session 7 from 10.0.0.1)"), "{text}");
    }
}
