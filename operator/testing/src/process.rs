//! Server processes. Each one has its own process group, exits with the thread that started it, and writes to a log.

mod lifeline;
mod server;
mod slot;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

pub(crate) use lifeline::{Lifeline, end_all, in_cgroup};
pub use server::{Server, tail, while_all_run, while_running};
pub use slot::Slot;

/// Garbage collection of the programs in Go, in percent of their live memory. By default they spend a quarter of their
/// CPU time on it, and the tests have more memory than CPU time.
pub(crate) const GARBAGE: &str = "800";

/// A server process. It is killed when this value is dropped, and by the kernel when the thread that started it exits.
pub struct Process {
    server: Server,
    detached: bool,
}

/// A program to start.
pub struct Program {
    name: String,
    arguments: Vec<String>,
    command: Command,
}

impl Program {
    /// A program that exits with the calling thread.
    #[must_use]
    pub fn new(name: &str, path: &Path) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(path);
        Self { name: name.to_owned(), arguments: Vec::new(), command }
    }

    /// A program that continues after the calling process has exited.
    #[must_use]
    pub fn lasting(name: &str, path: &Path) -> Self {
        Self { name: name.to_owned(), arguments: Vec::new(), command: Command::new(path) }
    }

    /// A program that exits with the calling thread and runs as another user.
    #[must_use]
    pub fn as_user(name: &str, path: &Path, user: &str) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={user}"))
            .args(["--clear-groups", "--"])
            .arg(path);
        Self { name: name.to_owned(), arguments: Vec::new(), command }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the program after every process of the previous server of this name has exited. The output is appended to
    /// a file in `logs`.
    ///
    /// # Errors
    /// When the program cannot be started, or a server of this name still runs at the deadline.
    pub fn start(mut self, logs: &Path) -> Result<Process> {
        let log = logs.join(format!("{}.log", self.name));
        let output = File::options().create(true).append(true).open(&log)?;
        let lifeline = Lifeline::new(logs, &self.name);
        let child = self
            .command
            .args(&self.arguments)
            .env("GOGC", GARBAGE)
            .stdin(lifeline.hold()?)
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let server = Server::new(self.name, child, log, lifeline);
        Ok(Process { server, detached: false })
    }
}

impl Process {
    /// Handle of the server.
    #[must_use]
    pub fn server(&self) -> Server {
        self.server.clone()
    }

    /// Process id of the main process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Resident memory of the main process in KiB.
    ///
    /// # Errors
    /// When the process has exited.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// CPU time that the main process has used, in seconds.
    ///
    /// # Errors
    /// When the process has exited.
    pub fn processor_time(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name is in parentheses and can contain anything. User and system time are fields 12 and 13 after it.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).context("no times");
        // Linux counts in hundredths of a second.
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Path of the log.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.server.log()
    }

    /// Lets the server continue after this value is dropped. Returns the process id.
    #[must_use]
    pub fn detach(mut self) -> u32 {
        self.detached = true;
        self.id()
    }

    /// Sends a signal to the main process, by the signal's name such as `TERM` or `STOP`.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal(&self, signal: &str) -> Result<()> {
        crate::tools::succeed(Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()))
    }

    /// Kills the server and waits until all of its processes have exited.
    pub fn kill(&mut self) {
        let main = || {
            self.server.kill_main();
            Ok(())
        };
        if let Err(error) = self.server.end(main) {
            eprintln!("{error:#}");
        }
    }

    /// Asks the server to exit and waits until all of its processes have exited. Returns whether the exit status was
    /// success.
    ///
    /// # Errors
    /// When the signal cannot be sent or the deadline passes.
    pub fn terminate(&mut self) -> Result<bool> {
        Ok(self.server.end(|| self.signal("TERM"))?.success())
    }

    /// Aborts the server and waits until all of its processes have exited. Returns whether it left a core dump. The
    /// resource limit allows one, so only the server itself can prevent it.
    ///
    /// # Errors
    /// When the signal cannot be sent or the deadline passes.
    pub fn crash(&mut self) -> Result<bool> {
        let id = self.id().to_string();
        crate::tools::succeed(Command::new("prlimit").args(["--pid", &id, "--core=unlimited:unlimited"]))?;
        Ok(self.server.end(|| self.signal("ABRT"))?.core_dumped())
    }

    /// Fails with the exit status and the end of the log when the server has exited.
    ///
    /// # Errors
    /// When the server has exited.
    pub fn alive(&mut self) -> Result<()> {
        self.server.alive()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached {
            self.kill();
        }
    }
}
