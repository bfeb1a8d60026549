//! Handle of a started server, and waits that fail as soon as it exits.

use std::fmt::Debug;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::lifeline::Lifeline;
use crate::wait::{DEADLINE, PAUSE, blocking, eventually};

/// Handle of a started server. Clones refer to the same server.
#[derive(Clone)]
pub struct Server {
    name: String,
    child: Arc<Mutex<Child>>,
    log: PathBuf,
    lifeline: Lifeline,
}

impl Server {
    pub(super) fn new(name: String, child: Child, log: PathBuf, lifeline: Lifeline) -> Self {
        Self { name, child: Arc::new(Mutex::new(child)), log, lifeline }
    }

    /// Name of the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fails with the exit status and the end of the log when the server has exited.
    ///
    /// # Errors
    /// When the server has exited.
    pub fn alive(&self) -> Result<()> {
        match self.child().try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} exited with {status}; {}", self.name, self.end_of_log()),
        }
    }

    /// Process id of the server's main process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Ids of all processes of the server.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.lifeline.processes(self.group())
    }

    /// Adds the end of the log to an error.
    #[must_use]
    pub fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow::anyhow!("{error:#}; {}", self.end_of_log())
    }

    /// Path of the log.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Kills the main process without waiting for its exit.
    pub(super) fn kill_main(&self) {
        let _ = self.child().kill();
    }

    fn end_of_log(&self) -> String {
        format!("{} ends with:\n{}", self.log.display(), tail(&self.log))
    }

    /// Waits until the main process has exited.
    fn exited(&self) -> Result<ExitStatus> {
        blocking(&format!("{} exits", self.name), DEADLINE, || match self.child().try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(other),
        })
    }

    /// Ends the main process, which then cannot start another process, and afterwards kills every other one.
    pub(super) fn end(&self, main: impl FnOnce() -> Result<()>) -> Result<ExitStatus> {
        let group = self.group();
        main()?;
        let status = self.exited()?;
        self.lifeline.end(group)?;
        Ok(status)
    }

    /// Process group, while the main process exists: the kernel can reuse its id afterwards.
    fn group(&self) -> Option<u32> {
        let mut child = self.child();
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits like [`eventually`] for a condition that a running server has to meet. Fails as soon as the server exits,
/// with its exit status and the end of its log.
///
/// # Errors
/// When the server exits or the deadline passes.
pub async fn while_running<T, S, F>(server: &Server, what: &str, look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, S>>,
    S: Debug,
{
    let met = while_all_run(std::slice::from_ref(server), what, look).await;
    met.map_err(|error| if server.alive().is_ok() { server.with_log(&error) } else { error })
}

/// Waits like [`while_running`] for a condition that several running servers have to meet.
///
/// # Errors
/// When one of the servers exits or the deadline passes.
pub async fn while_all_run<T, S, F>(servers: &[Server], what: &str, look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T, S>>,
    S: Debug,
{
    tokio::select! {
        biased;
        exited = exit(servers) => Err(exited),
        met = eventually(what, look) => met,
    }
}

async fn exit(servers: &[Server]) -> anyhow::Error {
    loop {
        if let Err(exited) = servers.iter().try_for_each(Server::alive) {
            return exited;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Last lines of a file.
#[must_use]
pub fn tail(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
