//! A PostgreSQL as one runs it: TLS, passwords by SCRAM, a login that owns tables and one that makes roles.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::ports;
use crate::process::{Process, Program};
use crate::tools;
use crate::wait::eventually;

/// A server that can be stopped, killed and started again.
pub struct SecurePostgres {
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The CA of its certificate.
    pub ca: String,
    /// Its data.
    pub data: PathBuf,
    bin: PathBuf,
    /// Whether it was built with TLS.
    encrypts: bool,
    logs: PathBuf,
    process: Mutex<Option<Process>>,
}

const PASSWORD: &str = "p@ss w/ord#1";
/// The same in a URL.
const PASSWORD_IN_URL: &str = "p%40ss%20w%2Ford%231";

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

impl SecurePostgres {
    /// Starts one on an address.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(folder: &Path, logs: &Path, host: &str) -> Result<Self> {
        Self::with(&tools::postgres()?, &folder.join("postgres-secure"), (logs, host)).await
    }

    /// The same with the programs and the data folder given.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn with(bin: &Path, data: &Path, (logs, host): (&Path, &str)) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let built = tools::output(Command::new(bin.join("pg_config")).arg("--configure")).unwrap_or_default();
        let encrypts = built.is_empty() || built.contains("openssl");
        let authority = Authority::new("PostgreSQL test CA")?;
        let password = data.with_extension("password");
        std::fs::write(&password, PASSWORD)?;
        tools::succeed(Command::new("chown").arg("postgres:postgres").args([data, &password]))?;
        tools::succeed(
            as_postgres(&bin.join("initdb"))
                .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--encoding=UTF8"])
                .args(["--locale=C.UTF-8", "--username=postgres"])
                .arg(format!("--pwfile={}", password.display()))
                .arg("-D")
                .arg(data),
        )?;
        authority.leaf("postgres", None, &[host, "localhost"])?.write(data, "server")?;
        tools::succeed(
            Command::new("chown")
                .arg("postgres:postgres")
                .args([data.join("server.crt"), data.join("server.key")]),
        )?;
        tools::succeed(Command::new("chmod").arg("600").arg(data.join("server.key")))?;
        std::fs::write(
            data.join("pg_hba.conf"),
            format!(
                "local all all trust\nlocal replication all trust\n{} all all all scram-sha-256\nhost replication all all scram-sha-256\n",
                if encrypts { "hostssl" } else { "host" }
            ),
        )?;
        let server = Self {
            host: host.to_owned(),
            port: ports::free()?,
            ca: authority.pem,
            data: data.to_owned(),
            bin: bin.to_owned(),
            encrypts,
            logs: logs.to_owned(),
            process: Mutex::default(),
        };
        server.run().await?;
        Ok(server)
    }

    /// Starts it again. Call it where it is to live: it ends with the calling thread.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn run(&self) -> Result<()> {
        let mut program = Program::as_user("secure-postgres", &self.bin.join("postgres"), "postgres")
            .args(["-D", &self.data.display().to_string(), "-p", &self.port.to_string(), "-h", &self.host])
            .args(["-k", "/tmp", "-c", "fsync=off", "-c", "max_connections=600"])
            .args(["-c", "authentication_timeout=5s"]);
        if self.encrypts {
            let files = ["-c", "ssl=on", "-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key"];
            program = program.args(files);
        }
        let process = program.start(&self.logs)?;
        *self.held() = Some(process);
        self.answers().await
    }

    /// A replica of this server, which does not confirm a write before the replica has it.
    ///
    /// # Errors
    /// When it cannot be copied, or does not follow.
    pub async fn replica(&self, data: &Path) -> Result<Self> {
        let copy = Self {
            host: self.host.clone(),
            port: ports::free()?,
            ca: self.ca.clone(),
            data: data.to_owned(),
            bin: self.bin.clone(),
            encrypts: self.encrypts,
            logs: self.logs.clone(),
            process: Mutex::default(),
        };
        let port = self.port.to_string();
        std::fs::create_dir_all(data)?;
        tools::succeed(Command::new("chown").arg("postgres:postgres").arg(data))?;
        tools::succeed(Command::new("chmod").arg("700").arg(data))?;
        tools::succeed(
            as_postgres(&self.bin.join("pg_basebackup"))
                .args(["-h", "/tmp", "-p", &port, "-U", "postgres", "-R", "--checkpoint=fast", "-D"])
                .arg(data),
        )?;
        copy.run().await?;
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        eventually("the replica follows synchronously", || async {
            let asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            let count = self.sql("postgres", asked).map_err(|error| error.to_string())?;
            if count.trim() == "1" { Ok(()) } else { Err(count) }
        })
        .await?;
        Ok(copy)
    }

    /// Makes a replica the primary, at the port of the one that is lost. Call it where it is to live.
    ///
    /// # Errors
    /// When it does not become one.
    pub async fn promote(&mut self, lost: &Self) -> Result<()> {
        self.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names")?;
        self.sql("postgres", "SELECT pg_promote()")?;
        self.kill();
        self.port = lost.port;
        self.run().await
    }

    /// Waits until it answers again; where it has ended by itself, starts it. Call it where it is to live.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn again(&self) -> Result<()> {
        let ended = self.held().as_mut().is_none_or(|process| process.alive().is_err());
        if ended {
            return self.run().await;
        }
        self.answers().await
    }

    async fn answers(&self) -> Result<()> {
        eventually("PostgreSQL answers", || async {
            self.sql("postgres", "SELECT 1").map_err(|error| error.to_string())
        })
        .await
        .map(drop)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Kills it as a crash does.
    pub fn kill(&self) {
        // Every process of the server: a child left over keeps a new one from starting.
        if let Some(process) = self.held().as_ref() {
            let _ = Command::new("pkill").args(["-KILL", "-P", &process.id().to_string()]).output();
        }
        *self.held() = None;
    }

    /// Its process and those of its sessions.
    ///
    /// # Errors
    /// When it does not run.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let id = self.held().as_ref().context("PostgreSQL does not run")?.id();
        let children = Command::new("pgrep").args(["-P", &id.to_string()]).output()?;
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        Ok(children.split_whitespace().filter_map(|child| child.parse().ok()).chain([id]).collect())
    }

    /// Runs SQL as the superuser; gives what it returns, unadorned.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        tools::output(
            Command::new(self.bin.join("psql"))
                .args(["-h", "/tmp", "-p", &self.port.to_string(), "-U", "postgres", "-d", database])
                .args(["-v", "ON_ERROR_STOP=1", "-AtqX", "-c", sql]),
        )
    }

    /// `pg_dump` or another program of PostgreSQL, as the superuser.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.args(["-h", "/tmp", "-p", &self.port.to_string(), "-U", "postgres"]);
        command
    }

    /// Makes a database that `<name>_owner` owns, and a login `<name>_admin` that may make roles.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn database(&self, name: &str) -> Result<()> {
        let run = |sql: String| self.sql("postgres", &sql);
        run(format!("CREATE ROLE \"{name}_owner\" LOGIN PASSWORD '{PASSWORD}'"))?;
        run(format!("CREATE ROLE \"{name}_admin\" LOGIN CREATEROLE PASSWORD '{PASSWORD}'"))?;
        run(format!("GRANT pg_signal_backend TO \"{name}_admin\""))?;
        run(format!("CREATE DATABASE \"{name}\" OWNER \"{name}_owner\"")).map(drop)
    }

    /// A connection URL.
    #[must_use]
    pub fn url(&self, login: &str, database: &str) -> String {
        format!(
            "postgresql://{login}:{PASSWORD_IN_URL}@{}:{}/{database}?sslmode=require",
            self.host, self.port
        )
    }

    /// The Secrets `pg-app`, `pg-admin` and `pg-ca` for a database, as CloudNativePG writes them.
    #[must_use]
    pub fn secrets(&self, database: &str, namespace: &str) -> Vec<Value> {
        let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data});
        vec![
            secret(
                "pg-app",
                json!({
                    "host": self.host, "port": self.port.to_string(), "dbname": database,
                    "username": format!("{database}_owner"), "password": PASSWORD,
                }),
            ),
            secret("pg-admin", json!({"username": format!("{database}_admin"), "password": PASSWORD})),
            secret("pg-ca", json!({"ca.crt": self.ca})),
        ]
    }
}
