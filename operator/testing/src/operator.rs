//! The operator as a process that tests start, stop and kill, with exactly the rights it is installed with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::ports;
use crate::process::{Process, Program};
use crate::wait::eventually;

/// How an operator is started.
#[derive(Clone)]
pub struct Operator {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where its output goes.
    pub logs: PathBuf,
    /// Names it.
    pub name: String,
    /// Its binary; none: the one beside the running test.
    pub binary: Option<PathBuf>,
    /// More arguments.
    pub arguments: Vec<String>,
}

/// A running operator.
pub struct RunningOperator {
    /// The process.
    pub process: Process,
    /// URL of its admin server.
    pub admin: String,
}

impl Operator {
    /// Starts it. Call it where it is to live: it ends with the calling thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<RunningOperator> {
        let port = ports::free()?;
        let binary = self.binary.clone().map_or_else(binary, Ok)?;
        let process = Program::new(&self.name, &binary)
            .args(["run", "--log-format=json", &format!("--admin-address=127.0.0.1:{port}")])
            .args([&format!("--instance={}", self.name)])
            .args(&self.arguments)
            .env("KUBECONFIG", &self.kubeconfig.display().to_string())
            .start(&self.logs)?;
        Ok(RunningOperator { process, admin: format!("http://127.0.0.1:{port}") })
    }
}

impl RunningOperator {
    /// Returns when it works.
    ///
    /// # Errors
    /// When it ends, or the deadline passes.
    pub async fn ready(&mut self) -> Result<()> {
        let url = format!("{}/readyz", self.admin);
        let result = eventually("the operator is ready", || async {
            let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            if status.is_success() { Ok(()) } else { Err(text) }
        })
        .await;
        self.process.alive()?;
        result.with_context(|| crate::process::tail(self.process.log()))
    }
}

/// The operator's binary, beside the test that runs.
///
/// # Errors
/// A sentence when it was not built.
pub fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().map(|folder| folder.join("steamer")).find(|path| path.is_file());
    beside
        .or_else(|| {
            Some(cache::checkout().join("target/debug/steamer")).filter(|path: &PathBuf| Path::exists(path))
        })
        .context("the operator is not built: run `cargo build --package steamer`")
}
