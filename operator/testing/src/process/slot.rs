//! A server that is stopped and started again.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use super::{Process, Program, Server};

/// At most one running server.
#[derive(Default)]
pub struct Slot(Mutex<Option<Process>>);

impl Slot {
    /// Starts a program after every process of the previous server has exited.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&self, program: Program, logs: &Path) -> Result<Server> {
        let mut running = self.running();
        *running = None;
        let process = program.start(logs)?;
        let server = process.server();
        *running = Some(process);
        Ok(server)
    }

    /// Kills the server and waits until all of its processes have exited.
    pub fn stop(&self) {
        *self.running() = None;
    }

    /// The server that was started last.
    ///
    /// # Errors
    /// When it was stopped, or none was started.
    pub fn server(&self) -> Result<Server> {
        self.running().as_ref().map(Process::server).context("the server was stopped or never started")
    }

    /// Sends a signal to the server.
    ///
    /// # Errors
    /// When it was stopped, or none was started.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self.running().as_ref().context("the server was stopped or never started")?.signal(signal)
    }

    fn running(&self) -> MutexGuard<'_, Option<Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
