//! PostgreSQL with a production setup: TLS, SCRAM passwords, a login that owns the tables and one that creates roles.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::ports;
use crate::process::{Program, Server, Slot, while_running};
use crate::tools;
use crate::wait::eventually;

/// A server that can be killed and started again.
pub struct SecurePostgres {
    /// Address of the server.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// CA of its certificate, in PEM.
    pub ca: String,
    /// Data folder.
    pub data: PathBuf,
    bin: PathBuf,
    /// Whether the programs were built with TLS.
    encrypts: bool,
    logs: PathBuf,
    server: Slot,
}

const PASSWORD: &str = "p@ss w/ord#1";
/// [`PASSWORD`] in a URL.
const PASSWORD_IN_URL: &str = "p%40ss%20w%2Ford%231";

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

impl SecurePostgres {
    /// Starts a server on an address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, logs: &Path, host: &str) -> Result<Self> {
        Self::with(&tools::postgres()?, &folder.join("postgres-secure"), (logs, host)).await
    }

    /// Starts a server with the given programs and data folder.
    ///
    /// # Errors
    /// When it does not start.
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
            server: Slot::default(),
        };
        server.run().await?;
        Ok(server)
    }

    /// Starts the server, after every process of the previous one has exited. It exits with the calling thread.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn run(&self) -> Result<()> {
        let mut program = Program::as_user(&self.name(), &self.bin.join("postgres"), "postgres")
            .args(["-D", &self.data.display().to_string(), "-p", &self.port.to_string(), "-h", &self.host])
            .args(["-k", "/tmp", "-c", "fsync=off", "-c", "max_connections=600"])
            .args(["-c", "authentication_timeout=5s"]);
        // Not every build contains it.
        if self.bin.parent().is_some_and(|folder| folder.join("lib/pg_stat_statements.so").exists()) {
            program = program.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
        }
        if self.encrypts {
            let files = ["-c", "ssl=on", "-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key"];
            program = program.args(files);
        }
        let server = self.server.start(program, &self.logs)?;
        self.answers(&server).await
    }

    /// Name of the server: a replica has the same log folder and another data folder.
    fn name(&self) -> String {
        self.data.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Starts a synchronous replica: this server confirms a write only after the replica has it.
    ///
    /// # Errors
    /// When the data cannot be copied, or the replica does not follow.
    pub async fn replica(&self, data: &Path) -> Result<Self> {
        let copy = Self {
            host: self.host.clone(),
            port: ports::free()?,
            ca: self.ca.clone(),
            data: data.to_owned(),
            bin: self.bin.clone(),
            encrypts: self.encrypts,
            logs: self.logs.clone(),
            server: Slot::default(),
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

    /// Promotes a replica to primary, at the port of the lost one. The server exits with the calling thread.
    ///
    /// # Errors
    /// When the promotion fails, or the server does not start.
    pub async fn promote(&mut self, lost: &Self) -> Result<()> {
        self.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names")?;
        self.sql("postgres", "SELECT pg_promote()")?;
        self.kill();
        self.port = lost.port;
        self.run().await
    }

    /// Waits until the server answers again, and starts it when it has exited. A started server exits with the calling
    /// thread.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn again(&self) -> Result<()> {
        let Ok(server) = self.server.server() else { return self.run().await };
        match self.answers(&server).await {
            Err(_) if server.alive().is_err() => self.run().await,
            answered => answered,
        }
    }

    async fn answers(&self, server: &Server) -> Result<()> {
        while_running(server, "PostgreSQL answers", || async {
            self.sql("postgres", "SELECT 1").map_err(|error| error.to_string())
        })
        .await
        .map(drop)
    }

    /// Kills the server as a crash does, and waits until all of its processes have exited.
    pub fn kill(&self) {
        self.server.stop();
    }

    /// Ids of the server's processes, including those of its sessions.
    ///
    /// # Errors
    /// When the server was stopped.
    pub fn processes(&self) -> Result<Vec<u32>> {
        Ok(self.server.server()?.processes())
    }

    /// Runs SQL as the superuser and returns the rows, without headers and alignment.
    ///
    /// # Errors
    /// The output of `psql`.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        tools::output(
            Command::new(self.bin.join("psql"))
                .args(["-h", "/tmp", "-p", &self.port.to_string(), "-U", "postgres", "-d", database])
                .args(["-v", "ON_ERROR_STOP=1", "-AtqX", "-c", sql]),
        )
    }

    /// Command that runs `pg_dump` or another program of PostgreSQL as the superuser.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.args(["-h", "/tmp", "-p", &self.port.to_string(), "-U", "postgres"]);
        command
    }

    /// Starts to count the statements of all logins again.
    ///
    /// # Errors
    /// When the server cannot count statements.
    pub fn count_statements(&self) -> Result<()> {
        self.sql("postgres", "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")?;
        self.sql("postgres", "SELECT pg_stat_statements_reset()").map(drop)
    }

    /// Statements that Steamer has executed in a database since then, each as the number of its executions and its text.
    ///
    /// # Errors
    /// The output of `psql`.
    pub fn counted_statements(&self, database: &str) -> Result<Vec<(u64, String)>> {
        let sql = format!(
            "SELECT s.calls || ' ' || regexp_replace(s.query, '\\s+', ' ', 'g') FROM pg_stat_statements s \
             JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname IN ('{database}_owner', '{database}_admin')"
        );
        let counted = self.sql("postgres", &sql)?;
        let counted = counted.lines().filter_map(|line| line.split_once(' '));
        counted.map(|(calls, query)| Ok((calls.parse()?, query.to_owned()))).collect()
    }

    /// Creates a database owned by `<name>_owner`, and a login `<name>_admin` that can create roles.
    ///
    /// # Errors
    /// The output of `psql`.
    pub fn database(&self, name: &str) -> Result<()> {
        let run = |sql: String| self.sql("postgres", &sql);
        run(format!("CREATE ROLE \"{name}_owner\" LOGIN PASSWORD '{PASSWORD}'"))?;
        run(format!("CREATE ROLE \"{name}_admin\" LOGIN CREATEROLE PASSWORD '{PASSWORD}'"))?;
        run(format!("GRANT pg_signal_backend TO \"{name}_admin\""))?;
        run(format!("CREATE DATABASE \"{name}\" OWNER \"{name}_owner\"")).map(drop)
    }

    /// Connection URL of a login.
    #[must_use]
    pub fn url(&self, login: &str, database: &str) -> String {
        format!(
            "postgresql://{login}:{PASSWORD_IN_URL}@{}:{}/{database}?sslmode=require",
            self.host, self.port
        )
    }

    /// Secrets `pg-app`, `pg-admin` and `pg-ca` of a database, in the format of CloudNativePG.
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
