//! The PostgreSQL database of a managed cluster: its two tables, its lock, and the roles of its nodes.

pub(crate) mod availability;
pub(crate) mod facts;
mod fences;
mod fencing;
pub(crate) mod incarnations;
mod indexes;
pub(crate) mod lock;
mod lock_table;
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
pub(crate) mod survey;
mod tls;
pub(crate) mod wrapping;
pub(crate) mod writers;

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use steamer_core::error::Error;
use steamer_runtime::{Failure, Metrics, Reason, Retry, chain, fail_point};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::availability::{Entry, Server};
use crate::database::login::Login;

/// Time limit of a statement and of a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// TLS of one connection.
type Tls = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

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

/// Connection of one login to a database. A lost connection is replaced. A clone shares the connection.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) login: Login,
    connection: Arc<Mutex<Option<Arc<Client>>>>,
    opened: Arc<AtomicU64>,
    server: Arc<Server>,
    /// It is used also while the server is known not to answer.
    is_urgent: bool,
    /// Time limit of a statement and of a connection.
    patience: Duration,
    metrics: Arc<Metrics>,
}

impl Database {
    pub(crate) fn new(login: Login, server: Arc<Server>, metrics: Arc<Metrics>) -> Self {
        Self {
            login,
            connection: Arc::default(),
            opened: Arc::default(),
            server,
            is_urgent: false,
            patience: PATIENCE,
            metrics,
        }
    }

    /// The same, but it is used also while the server is known not to answer: for guards, fences, restores and deletions.
    pub(crate) fn urgent(self) -> Self {
        Self { is_urgent: true, ..self }
    }

    /// Another connection to the same database, with another role.
    pub(crate) fn as_role(&self, user: &str, password: SecretString) -> Self {
        let other = Self::new(self.login.as_role(user, password), self.server.clone(), self.metrics.clone());
        Self { is_urgent: self.is_urgent, patience: self.patience, ..other }
    }

    /// The connection, which is opened if there is none.
    pub(crate) async fn client(&self) -> Result<Arc<Client>, DatabaseError> {
        self.connected(self.enter()?.as_ref()).await
    }

    /// Permission to use the server. None for a connection that needs none.
    fn enter(&self) -> Result<Option<Entry<'_>>, DatabaseError> {
        if self.is_urgent {
            return Ok(None);
        }
        self.server.enter(Instant::now()).map(Some).map_err(|outage| self.unreachable(outage.into()))
    }

    /// The connection, which no other caller uses until it is returned. If it is dropped instead, it is closed, and PostgreSQL
    /// ends its transaction.
    async fn detached(&self) -> Result<Arc<Client>, DatabaseError> {
        loop {
            let client = self.client().await?;
            let mut held = self.connection.lock().await;
            if held.take_if(|held| Arc::ptr_eq(held, &client)).is_some() {
                return Ok(client);
            }
        }
    }

    /// Returns a detached connection without an open transaction.
    async fn attach(&self, client: Arc<Client>) {
        self.connection.lock().await.get_or_insert(client);
    }

    async fn connected(&self, entry: Option<&Entry<'_>>) -> Result<Arc<Client>, DatabaseError> {
        let mut held = self.connection.lock().await;
        if let Some(client) = held.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        // An error of the settings says nothing about the server.
        let tls = self.tls()?;
        let client = tokio::time::timeout(self.patience, self.connect(tls)).await;
        let client = client.unwrap_or_else(|_| Err(self.silent()));
        match &client {
            Err(error) if is_silence(error) => missed(entry, error),
            _ => self.heard(),
        }
        let client = Arc::new(client?);
        *held = Some(client.clone());
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }

    /// Records that the server answers.
    fn heard(&self) {
        self.server.answered(Instant::now());
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
        self.before_change();
        self.with(work).await
    }

    /// Place of a fail point.
    fn before_change(&self) {
        fail_point::before_write(&format!("postgresql/{}/", self.login.database));
    }

    /// Executes statements that begin and commit a transaction.
    async fn transaction(&self, sql: String) -> Result<(), DatabaseError> {
        self.change(|client| async move {
            let done = client.batch_execute(&sql).await;
            if done.is_err() && client.batch_execute("ROLLBACK").await.is_err() {
                self.disconnect().await;
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
        let entry = self.enter()?;
        let client = self.connected(entry.as_ref()).await?;
        self.timed(entry.as_ref(), work(client)).await
    }

    /// Waits for the answer to a statement, within the time limit.
    async fn timed<T>(
        &self,
        entry: Option<&Entry<'_>>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        self.metrics.database_asked();
        let Ok(result) = tokio::time::timeout(self.patience, work).await else {
            self.disconnect().await;
            let error = self.silent();
            missed(entry, &error);
            return Err(error);
        };
        let result = result.map_err(|error| self.failed(error));
        // A connection that was lost says nothing about the server: the next attempt to connect does.
        if !matches!(result, Err(DatabaseError::Unreachable { .. })) {
            self.heard();
        }
        result
    }

    /// TLS of a connection, or none if it is disabled.
    fn tls(&self) -> Result<Option<Tls>, DatabaseError> {
        let tls = tls::client(&self.login).map_err(|reason| self.certificate(reason))?;
        let Some(mut tls) = tls else { return Ok(None) };
        MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, &self.login.host)
            .map(Some)
            .map_err(|error| self.certificate(error.to_string()))
    }

    async fn connect(&self, tls: Option<Tls>) -> Result<Client, DatabaseError> {
        let Login { host, port, .. } = &self.login;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(|error| self.unreachable(Box::new(error)))?;
        let _ = stream.set_nodelay(true);
        let config = self.login.config();
        match tls {
            Some(tls) => {
                let connected = config.connect_raw(stream, tls).await;
                Ok(spawned(connected.map_err(|error| self.failed(error))?))
            }
            None => Ok(spawned(config.connect_raw(stream, NoTls).await.map_err(|error| self.failed(error))?)),
        }
    }

    fn silent(&self) -> DatabaseError {
        self.unreachable("no answer in time".into())
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

/// Returns true if a server did not answer an attempt to connect: there is no connection, no answer in time, or the
/// connection was lost. Any other error is an answer: it can concern one cluster only.
fn is_silence(error: &DatabaseError) -> bool {
    let DatabaseError::Unreachable { source, .. } = error else { return false };
    let Some(error) = source.downcast_ref::<tokio_postgres::Error>() else { return true };
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_closed() || io.is_some_and(is_of_connection)
}

/// Returns true for an error of the connection. The client reports answers that it refuses, as of SASL or TLS, with the
/// other kinds.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other};
    !matches!(error.kind(), InvalidData | InvalidInput | Other)
}

/// Records that a server did not answer.
fn missed(entry: Option<&Entry<'_>>, error: &DatabaseError) {
    if let (Some(entry), DatabaseError::Unreachable { source, .. }) = (entry, error) {
        entry.failed(chain(&**source), Instant::now());
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
