//! The PostgreSQL database of a managed cluster: its two tables, its lock, and the roles of its nodes.

pub(crate) mod facts;
mod fences;
pub(crate) mod incarnations;
mod indexes;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod logins;
pub(crate) mod operator_lock;
pub(crate) mod recorder;
pub(crate) mod repair;
pub(crate) mod rights;
pub(crate) mod roles;
pub(crate) mod schema;
#[cfg(test)]
mod sql_tests;
pub(crate) mod storage;
mod tls;
mod wrapping;
pub(crate) mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use steamer_core::error::Error;
use steamer_runtime::{Failure, Metrics, Reason, Retry, fail_point};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls};

use crate::database::login::Login;

/// Time limit of a statement and of a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Error of PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// No answer, or none in time.
    #[error("PostgreSQL at {address} cannot be reached")]
    Unreachable { address: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// It is starting, stopping, or has no free connection.
    #[error("PostgreSQL at {address} accepts no connections now")]
    Busy { address: String, source: Box<tokio_postgres::Error> },
    /// It refuses the login.
    #[error(
        "PostgreSQL at {address} refuses the login `{user}`; correct username and password in its Secret"
    )]
    Login { address: String, user: String, source: Box<tokio_postgres::Error> },
    /// The database does not exist.
    #[error(
        "PostgreSQL at {address} has no database `{database}`; create it, or correct dbname in the Secret"
    )]
    NoDatabase { address: String, database: String },
    /// Its certificate is not valid for the configured CA and name.
    #[error(
        "the certificate of PostgreSQL at {address} is not accepted; correct storage.postgresql.tls: {reason}"
    )]
    Certificate { address: String, reason: String },
    /// It refuses a statement.
    #[error("PostgreSQL at {address} refuses a statement")]
    Statement { address: String, source: Box<tokio_postgres::Error> },
}

impl DatabaseError {
    /// SQLSTATE of a refused statement.
    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Statement { source, .. } => source.code(),
            _ => None,
        }
    }
}

impl Failure for DatabaseError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => Reason::Unreachable,
            Self::Login { .. } => Reason::PermissionDenied,
            Self::NoDatabase { .. } | Self::Certificate { .. } => Reason::Invalid,
            Self::Statement { .. } => Reason::Failed,
        }
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }

    fn stalled(&self) -> bool {
        matches!(self, Self::Login { .. } | Self::NoDatabase { .. } | Self::Certificate { .. })
    }
}

/// Connection of one login to a database. A lost connection is replaced.
pub(crate) struct Database {
    pub(crate) login: Login,
    connection: Mutex<Option<Arc<Client>>>,
    opened: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Database {
    pub(crate) fn new(login: Login, metrics: Arc<Metrics>) -> Self {
        Self { login, connection: Mutex::default(), opened: AtomicU64::default(), metrics }
    }

    /// The connection, which is opened if there is none.
    pub(crate) async fn client(&self) -> Result<Arc<Client>, DatabaseError> {
        let mut held = self.connection.lock().await;
        if let Some(client) = held.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let client = tokio::time::timeout(PATIENCE, self.connect()).await;
        let client = Arc::new(client.unwrap_or_else(|_| Err(self.unreachable("no answer in time".into())))?);
        *held = Some(client.clone());
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }

    /// Number of the present connection. Another number means that a connection was lost.
    pub(crate) fn connection_number(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Returns true if the present connection is open as far as it is known.
    pub(crate) async fn is_connected(&self) -> bool {
        self.connection.lock().await.as_ref().is_some_and(|client| !client.is_closed())
    }

    /// Returns true if PostgreSQL accepts the login.
    pub(crate) async fn accepts_login(&self) -> Result<bool, DatabaseError> {
        match self.client().await {
            Ok(_) => Ok(true),
            Err(DatabaseError::Login { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Drops the connection: one without an answer is not used again.
    pub(crate) async fn disconnect(&self) {
        *self.connection.lock().await = None;
    }

    /// The only value of an answer. A server that answers with another type is refused.
    async fn value<T>(&self, sql: &'static str) -> Result<T, DatabaseError>
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        self.with(|client| async move { client.query_one(sql, &[]).await?.try_get(0) }).await
    }

    /// The values of the first column of an answer.
    async fn column<T>(&self, sql: &'static str) -> Result<Vec<T>, DatabaseError>
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        self.with(|client| async move { first_column(&client.query(sql, &[]).await?) }).await
    }

    /// Uses the connection for a change.
    pub(crate) async fn change<T, F>(&self, work: impl FnOnce(Arc<Client>) -> F) -> Result<T, DatabaseError>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        fail_point::before_write(&format!("postgresql/{}/", self.login.database));
        self.with(work).await
    }

    /// Executes statements that begin and commit a transaction.
    async fn transaction(&self, sql: String) -> Result<(), DatabaseError> {
        self.change(|client| async move {
            let done = client.batch_execute(&sql).await;
            if done.is_err() {
                let _ = client.batch_execute("ROLLBACK").await;
            }
            done
        })
        .await
    }

    /// Uses the connection, within the time limit.
    pub(crate) async fn with<T, F>(&self, work: impl FnOnce(Arc<Client>) -> F) -> Result<T, DatabaseError>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let client = self.client().await?;
        self.metrics.database_asked();
        match tokio::time::timeout(PATIENCE, work(client)).await {
            Ok(result) => result.map_err(|error| self.failed(error)),
            Err(_) => {
                self.disconnect().await;
                Err(self.unreachable("no answer in time".into()))
            }
        }
    }

    async fn connect(&self) -> Result<Client, DatabaseError> {
        let Login { host, port, .. } = &self.login;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(|error| self.unreachable(Box::new(error)))?;
        let _ = stream.set_nodelay(true);
        let config = self.login.config();
        match tls::client(&self.login).map_err(|reason| self.certificate(reason))? {
            Some(mut tls) => {
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, host)
                    .map_err(|error| self.certificate(error.to_string()))?;
                let connected = config.connect_raw(stream, tls).await;
                Ok(spawned(connected.map_err(|error| self.failed(error))?))
            }
            None => Ok(spawned(config.connect_raw(stream, NoTls).await.map_err(|error| self.failed(error))?)),
        }
    }

    pub(crate) fn unreachable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> DatabaseError {
        DatabaseError::Unreachable { address: self.login.address(), source }
    }

    fn certificate(&self, reason: String) -> DatabaseError {
        DatabaseError::Certificate { address: self.login.address(), reason }
    }

    fn failed(&self, error: tokio_postgres::Error) -> DatabaseError {
        let address = self.login.address();
        if let Some(reason) = tls::refusal(&error) {
            return self.certificate(reason);
        }
        let Some(code) = error.code().cloned() else {
            return self.unreachable(Box::new(error));
        };
        let source = Box::new(error);
        match code {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                DatabaseError::Login { address, user: self.login.user.clone(), source }
            }
            SqlState::INVALID_CATALOG_NAME => {
                DatabaseError::NoDatabase { address, database: self.login.database.clone() }
            }
            SqlState::TOO_MANY_CONNECTIONS
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::READ_ONLY_SQL_TRANSACTION
            | SqlState::DISK_FULL => DatabaseError::Busy { address, source },
            _ => DatabaseError::Statement { address, source },
        }
    }
}

/// The values of the first column.
fn first_column<T>(rows: &[tokio_postgres::Row]) -> Result<Vec<T>, tokio_postgres::Error>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Drives a connection while its client is used.
fn spawned<S, T>((client, connection): (Client, tokio_postgres::Connection<S, T>)) -> Client
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection to PostgreSQL ended");
        }
    });
    client
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::other(error)
    }
}
