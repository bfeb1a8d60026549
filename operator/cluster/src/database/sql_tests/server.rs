//! A PostgreSQL server for the tests of statements.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use steamer_api::DatabaseTlsMode;
use steamer_runtime::Metrics;
use tokio_postgres::SimpleQueryMessage;

use crate::database::login::Login;
use crate::database::{Database, DatabaseError};

/// Programs of PostgreSQL.
const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A server with the logins `owner`, `admin` and `stranger`, and the database `bao`. It accepts every login, and counts
/// statements.
pub(super) struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
}

/// Command that runs a program of PostgreSQL, which refuses to run as root.
fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(format!("{BIN}/{name}")).args(arguments).current_dir("/tmp");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Server {
    /// Starts a server for one test. None if PostgreSQL is not installed.
    pub(super) async fn start(test: &str) -> Option<Self> {
        if !Path::new(BIN).exists() {
            eprintln!("PostgreSQL is not installed in {BIN}: nothing is tested");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("steamer-sql-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let data = folder.join("data").display().to_string();
        let options =
            ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres"];
        assert!(program("initdb", &[&options[..], &["-D", &data]].concat()).status().unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started =
            ["-D", &data, "-p", &port.to_string(), "-h", "127.0.0.1", "-k", &data, "-c", "fsync=off"];
        let counts = ["-c", "shared_preload_libraries=pg_stat_statements"];
        let process = program("postgres", &[&started[..], &counts].concat()).spawn().unwrap();
        let server = Self { process, port, folder };
        while server.of("postgres", "postgres").client().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for sql in [
            "CREATE ROLE owner LOGIN",
            "CREATE ROLE stranger LOGIN",
            "CREATE ROLE admin LOGIN CREATEROLE",
            "GRANT pg_signal_backend TO admin",
            "CREATE DATABASE bao OWNER owner",
        ] {
            server.of("postgres", "postgres").run(sql).await.unwrap();
        }
        Some(server)
    }

    pub(super) fn login(&self, user: &str, database: &str) -> Login {
        Login {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            database: database.to_owned(),
            user: user.to_owned(),
            password: "unused".to_owned().into(),
            tls: DatabaseTlsMode::Disable,
            ca: String::new(),
        }
    }

    fn of(&self, user: &str, database: &str) -> Database {
        Database::new(self.login(user, database), Arc::default(), Arc::new(Metrics::default()))
    }

    pub(super) fn database(&self, user: &str) -> Database {
        self.of(user, "bao")
    }

    /// Executes statements as the superuser. Returns the first value of the last row.
    pub(super) async fn sql(&self, sql: &str) -> String {
        let (database, sql) = (self.database("postgres"), sql.to_owned());
        let messages = database.with(|client| async move { client.simple_query(&sql).await }).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        rows.last().unwrap_or_default().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Database {
    /// Executes statements as OpenBao does, or holds their transaction open.
    pub(super) async fn run(&self, sql: &'static str) -> Result<(), DatabaseError> {
        self.with(|client| async move { client.batch_execute(sql).await }).await
    }
}
