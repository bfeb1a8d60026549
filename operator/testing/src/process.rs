//! Server processes: each in its own group, ended with the one that started it, its output kept.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A server process. Killed when dropped, and by the kernel when the thread that started it ends.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    detached: bool,
}

/// A program to be started.
pub struct Program {
    name: String,
    arguments: Vec<String>,
    command: Command,
}

impl Program {
    /// A program that ends with the calling thread.
    #[must_use]
    pub fn new(name: &str, path: &Path) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(path);
        Self { name: name.to_owned(), arguments: Vec::new(), command }
    }

    /// A program that goes on when the calling process has ended.
    #[must_use]
    pub fn lasting(name: &str, path: &Path) -> Self {
        Self { name: name.to_owned(), arguments: Vec::new(), command: Command::new(path) }
    }

    /// The same as another user.
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

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it; its output goes to a file in `logs`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut self, logs: &Path) -> Result<Process> {
        let log = logs.join(format!("{}.log", self.name));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = self
            .command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        Ok(Process { name: self.name, child, log, detached: false })
    }
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// The processor time it has used, in seconds.
    ///
    /// # Errors
    /// When it has ended.
    pub fn processor_time(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // After the name, which is in parentheses and may hold anything: user and system time are the 12th and 13th.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).context("no times");
        // Linux counts in hundredths of a second.
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Where its output is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Lets it go on after this value is dropped; its process id.
    #[must_use]
    pub fn detach(mut self) -> u32 {
        self.detached = true;
        self.id()
    }

    /// Sends a signal by its name, such as `TERM` or `STOP`.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, signal: &str) -> Result<()> {
        crate::tools::succeed(Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()))
    }

    /// Ends it at once and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end and waits for its end; whether it ended well.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn terminate(&mut self) -> Result<bool> {
        self.signal("TERM")?;
        Ok(self.child.wait()?.success())
    }

    /// Crashes it and waits for its end; whether it left a core dump, which nothing but itself has forbidden.
    ///
    /// # Errors
    /// When it cannot be crashed.
    pub fn crash(&mut self) -> Result<bool> {
        let id = self.id().to_string();
        crate::tools::succeed(Command::new("prlimit").args(["--pid", &id, "--core=unlimited:unlimited"]))?;
        self.signal("ABRT")?;
        Ok(self.child.wait()?.core_dumped())
    }

    /// An error with the last lines of its output when it has ended.
    ///
    /// # Errors
    /// That one.
    pub fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} ended with {status}:\n{}", self.name, tail(&self.log)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached {
            self.kill();
        }
    }
}

/// The last lines of a file.
#[must_use]
pub fn tail(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
