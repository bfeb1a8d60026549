//! PostgreSQL of the control-plane tier.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::ports;
use crate::process::{Process, Program, while_running};
use crate::tools;

/// A running server. Every client on the loopback device is a superuser.
pub struct Postgres {
    /// Port of the server.
    pub port: u16,
    bin: PathBuf,
    _process: Process,
}

impl Postgres {
    /// Starts a server with its data in `folder`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, logs: &Path) -> Result<Self> {
        let (bin, port, data) = (tools::postgres()?, ports::free()?, folder.join("postgres"));
        std::fs::create_dir_all(&data)?;
        // PostgreSQL does not run as root.
        tools::succeed(Command::new("chown").arg("postgres:postgres").arg(&data))?;
        tools::succeed(
            Command::new("setpriv")
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
                .arg(bin.join("initdb"))
                .args([
                    "--auth=trust",
                    "--no-sync",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--username=postgres",
                    "-D",
                ])
                .arg(&data),
        )?;
        let process = Program::as_user("postgres", &bin.join("postgres"), "postgres")
            .args(["-D", &data.display().to_string(), "-p", &port.to_string(), "-h", "127.0.0.1"])
            .args(["-k", &data.display().to_string(), "-c", "max_connections=200"])
            // No test restarts the server: nothing needs to be durable.
            .args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"])
            .args(["-c", "wal_level=minimal", "-c", "max_wal_senders=0"])
            .start(logs)?;
        let server = process.server();
        let postgres = Self { port, bin, _process: process };
        while_running(&server, "PostgreSQL answers", || async {
            postgres.run("postgres", "SELECT 1").map_err(|error| error.to_string())
        })
        .await?;
        Ok(postgres)
    }

    /// Runs SQL and returns the rows, without headers and alignment.
    ///
    /// # Errors
    /// The output of `psql`.
    pub fn run(&self, database: &str, sql: &str) -> Result<String> {
        tools::output(
            Command::new(self.bin.join("psql"))
                .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-d", database])
                .args(["-v", "ON_ERROR_STOP=1", "-AtqX", "-c", sql]),
        )
    }

    /// Creates a database with OpenBao's tables and returns its URL.
    ///
    /// # Errors
    /// The output of `psql`.
    pub fn database(&self, name: &str) -> Result<String> {
        self.run("postgres", &format!("CREATE DATABASE \"{name}\""))?;
        self.run(name, TABLES)?;
        Ok(format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", self.port))
    }
}

/// OpenBao's tables. They exist before OpenBao starts, because nodes that start at the same time race to create them.
pub const TABLES: &str = "
CREATE TABLE IF NOT EXISTS openbao_kv_store (parent_path TEXT COLLATE \"C\" NOT NULL, path TEXT COLLATE \"C\",
  key TEXT COLLATE \"C\", value BYTEA, CONSTRAINT openbao_kv_store_pkey PRIMARY KEY (path, key));
CREATE INDEX IF NOT EXISTS openbao_kv_store_idx ON openbao_kv_store (parent_path);
CREATE TABLE IF NOT EXISTS openbao_ha_locks (ha_key TEXT COLLATE \"C\" NOT NULL,
  ha_identity TEXT COLLATE \"C\" NOT NULL, ha_value TEXT COLLATE \"C\",
  valid_until TIMESTAMP WITH TIME ZONE NOT NULL, CONSTRAINT openbao_ha_locks_pkey PRIMARY KEY (ha_key));";
