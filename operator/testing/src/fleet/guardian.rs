//! Exclusive use of the machine by one test process, and the removal of its cluster after the process has exited.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cache;
use crate::nodes::{self, Cluster};
use crate::wait::{DEADLINE, blocking};

/// Lock of the machine. The guardian inherits it, so it is free once the cluster is removed.
const LOCK: &str = "/run/steamer-ground.lock";

/// Name of the function in a test binary that calls [`guard`]. It is run in its own process.
pub const GUARDIAN: &str = "guardian";

/// Process that removes the cluster when the test process exits, for whatever reason.
pub(super) struct Guardian {
    _process: Child,
    _lock: File,
}

impl Guardian {
    /// Takes the machine for this process.
    pub(super) fn new() -> Result<Self> {
        vacant()?;
        let lock = lock()?;
        vacant()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--ignored", "--exact", GUARDIAN]).stdin(Stdio::piped()).stdout(Stdio::null());
        // Only inherits the lock: the file is not writable.
        command.stderr(lock.try_clone()?);
        Ok(Self { _process: command.process_group(0).spawn()?, _lock: lock })
    }

    /// Records this process as the holder of the machine. The cluster has to exist.
    pub(super) fn hold() -> Result<()> {
        Ok(std::fs::write(holder()?, std::process::id().to_string())?)
    }
}

/// Waits until the input ends, and removes the cluster.
///
/// # Errors
/// When something cannot be removed.
pub fn guard() -> Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    nodes::stop()
}

/// Waits until the guardian of the previous test process has removed its cluster.
fn lock() -> Result<File> {
    File::options().create(true).append(true).open(LOCK).with_context(|| format!("cannot create {LOCK}"))?;
    let lock = File::open(LOCK)?;
    blocking("the previous test process has removed its cluster", DEADLINE, || {
        lock.try_lock().map_err(|_| format!("{LOCK} is locked"))
    })?;
    Ok(lock)
}

/// File with the id of the test process that uses the machine.
fn holder() -> Result<PathBuf> {
    Ok(cache::logs()?.join("cluster/tests"))
}

/// Fails while another process uses the machine's addresses. A cluster whose test process was killed is replaced.
fn vacant() -> Result<()> {
    nodes::owned_by_us()?;
    match std::fs::read_to_string(holder()?) {
        Ok(id) => ensure!(
            !Path::new("/proc").join(&id).exists(),
            "other tests use the addresses of the nodes: wait until process {id} exits"
        ),
        Err(_) => ensure!(
            Cluster::running()?.is_none(),
            "the cluster of `make run` uses the addresses of the nodes: run `make stop` first"
        ),
    }
    Ok(())
}
