//! PgBouncer in front of PostgreSQL, with the configuration of the samples.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::certificates::Authority;
use crate::ports;
use crate::process::{Process, Program, while_running};
use crate::secure_postgres::SecurePostgres;
use crate::tools;

/// Folder of the files that the configuration of the samples names.
const FILES: &str = "/etc/pgbouncer/";
/// PostgreSQL in the configuration of the samples.
const SERVER: &str = "host=postgres.tools.svc port=5432";
/// Address in the configuration of the samples.
const ADDRESS: &str = "listen_addr = *\nlisten_port = 5432";

/// Login of the pooler, which may read the password hashes of the users.
pub struct Login<'a> {
    /// User.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// A running pooler. It exits with the calling thread.
pub struct PgBouncer {
    /// Address of the pooler.
    pub host: String,
    /// Port of the pooler.
    pub port: u16,
    /// CA of its certificate, in PEM.
    pub ca: String,
    _process: Process,
}

impl PgBouncer {
    /// Starts a pooler on the address of a server, with a certificate for `name` and with a configuration for the paths and names of the samples. The folder
    /// must be readable by the user of PostgreSQL.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        (name, configuration): (&str, &str),
        login: Login<'_>,
        postgres: &SecurePostgres,
        (folder, logs): (&Path, &Path),
    ) -> Result<Self> {
        let (host, port) = (postgres.host.clone(), ports::free()?);
        let here = [
            (FILES, format!("{}/", folder.display())),
            (SERVER, format!("host={host} port={}", postgres.port)),
            (ADDRESS, format!("listen_addr = {host}\nlisten_port = {port}\nunix_socket_dir =")),
        ];
        let mut text = configuration.to_owned();
        for (place, here) in here {
            ensure!(text.contains(place), "the configuration of PgBouncer does not contain `{place}`");
            text = text.replace(place, &here);
        }
        let authority = Authority::new("PgBouncer test CA")?;
        let file = files(folder, &text, &login, postgres)?;
        authority.leaf("pgbouncer", None, &[name])?.write(folder, "tls")?;
        tools::succeed(Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder))?;
        let program = Program::as_user("pgbouncer", &tools::pgbouncer()?, "postgres")
            .args([file.display().to_string()]);
        let pooler = Self { host, port, ca: authority.pem, _process: program.start(logs)? };
        pooler.answers(&login).await?;
        Ok(pooler)
    }

    async fn answers(&self, login: &Login<'_>) -> Result<()> {
        while_running(&self._process.server(), "PgBouncer answers", || async {
            self.sql((login.user, login.password), "postgres", "SELECT 1").map_err(|error| error.to_string())
        })
        .await
        .map(drop)
    }

    /// Runs SQL as a user, through the pooler, and returns the rows without headers and alignment.
    ///
    /// # Errors
    /// The output of `psql`.
    pub fn sql(&self, (user, password): (&str, &str), database: &str, sql: &str) -> Result<String> {
        tools::output(
            Command::new(tools::postgres()?.join("psql"))
                .args(["-h", &self.host, "-p", &self.port.to_string(), "-U", user, "-d", database])
                .args(["-v", "ON_ERROR_STOP=1", "-AtqX", "-c", sql])
                .env("PGPASSWORD", password)
                .env("PGSSLMODE", "require"),
        )
    }
}

/// Writes the files of the configuration. Returns the path of the configuration.
fn files(folder: &Path, text: &str, login: &Login<'_>, postgres: &SecurePostgres) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = |name: &str| folder.join(name);
    std::fs::write(file("pgbouncer.ini"), text)?;
    std::fs::write(file("userlist.txt"), format!("\"{}\" \"{}\"\n", login.user, login.password))?;
    std::fs::write(file("ca.crt"), &postgres.ca)?;
    Ok(file("pgbouncer.ini"))
}
