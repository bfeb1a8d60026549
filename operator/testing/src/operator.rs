//! The operator as a process that tests start, stop and kill, with the permissions of an installation.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::plain_http;
use crate::ports;
use crate::process::{Process, Program, while_running};

/// Configuration of an operator process.
#[derive(Clone)]
pub struct Operator {
    /// Kubeconfig of the operator.
    pub kubeconfig: PathBuf,
    /// Folder of its log.
    pub logs: PathBuf,
    /// Name of the process and of the instance in the lease.
    pub name: String,
    /// Path of the binary. Default: the one next to the running test.
    pub binary: Option<PathBuf>,
    /// Additional arguments.
    pub arguments: Vec<String>,
    /// Fail point, as `<text>:<n>`: the operator ends before the n-th write whose description contains the text. A text that ends
    /// with `*` is the beginning of names, and the writes of each name count separately.
    pub fails_at: Option<String>,
}

/// A running operator.
pub struct RunningOperator {
    /// The operator process.
    pub process: Process,
    /// URL of its admin server.
    pub admin: String,
    /// URL of the server that changes its log level.
    pub log_level: String,
}

impl Operator {
    /// Starts the operator. It exits with the calling thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<RunningOperator> {
        let (port, level_port) = (ports::free()?, ports::free()?);
        let binary = self.binary.clone().map_or_else(binary, Ok)?;
        let program = Program::new(&self.name, &binary);
        let program = match &self.fails_at {
            Some(fails_at) => program.env("STEAMER_FAIL_AT", fails_at),
            None => program,
        };
        let process = program
            .args(["run", "--log-format=json", &format!("--admin-address=127.0.0.1:{port}")])
            .args([&format!("--log-level-address=127.0.0.1:{level_port}")])
            // The servers of the tests run on this machine.
            .args(["--allow-loopback", &format!("--instance={}", self.name)])
            .args(&self.arguments)
            .env("KUBECONFIG", &self.kubeconfig.display().to_string())
            .start(&self.logs)?;
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        Ok(RunningOperator { process, admin: local(port), log_level: local(level_port) })
    }
}

impl RunningOperator {
    /// Waits until the operator is ready.
    ///
    /// # Errors
    /// When the operator exits or the deadline passes.
    pub async fn ready(&mut self) -> Result<()> {
        let (http, url) = (plain_http::client()?, format!("{}/readyz", self.admin));
        while_running(&self.process.server(), "the operator is ready", || async {
            let answer = http.get(&url).send().await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            if status.is_success() { Ok(()) } else { Err(text) }
        })
        .await
    }
}

/// Path of the operator's binary, next to the running test.
///
/// # Errors
/// When the operator was not built.
pub fn binary() -> Result<PathBuf> {
    built("steamer")
}

/// Path of the kubectl plugin, next to the running test.
///
/// # Errors
/// When the plugin was not built.
pub fn plugin() -> Result<PathBuf> {
    built("kubectl-steamer")
}

fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().map(|folder| folder.join(name)).find(|path| path.is_file());
    let default = cache::checkout().join("target/debug").join(name);
    beside
        .or_else(|| Some(default).filter(|path: &PathBuf| Path::exists(path)))
        .with_context(|| format!("{name} is not built: run `cargo build --workspace --bin {name}`"))
}
