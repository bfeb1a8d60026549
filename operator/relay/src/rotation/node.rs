//! The process of the OpenBao node, in the process namespace of its pod.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Name of the process.
const NAME: &str = "bao";

/// Process that writes a log.
pub(super) trait Node {
    /// Returns true if it is known to have the file open.
    fn holds(&self, path: &Path) -> bool;

    /// Makes it open its logs again, if it has this file open.
    ///
    /// # Errors
    /// If it cannot be signaled.
    fn reopen(&self, path: &Path) -> io::Result<()>;
}

/// The process in this process namespace.
pub(super) struct Local;

impl Node for Local {
    fn holds(&self, path: &Path) -> bool {
        processes().any(|process| has_open(process, path))
    }

    fn reopen(&self, path: &Path) -> io::Result<()> {
        let holders = processes().filter(|process| has_open(*process, path));
        holders.filter_map(Pid::from_raw).try_for_each(signal)
    }
}

fn signal(process: Pid) -> io::Result<()> {
    kill_process(process, Signal::HUP).map_err(io::Error::from)
}

/// IDs of the processes of OpenBao.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &i32| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim_end() == NAME)
    })
}

/// Returns true if a process has a file open. The path is the same in its container.
fn has_open(process: i32, path: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|open| open == path)
}
