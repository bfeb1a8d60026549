//! Finds, kills and waits for every process of a server.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::wait::{DEADLINE, blocking};

/// A lock that every process of a server inherits as its standard input. It is free once all of them have exited.
///
/// A process group does not cover them: PostgreSQL moves each of its children into its own session, and they outlive a
/// killed parent. The kernel detaches the shared memory of a process before it closes its files, so a free lock also
/// means that the shared memory is released.
#[derive(Clone)]
pub(crate) struct Lifeline {
    name: String,
    file: PathBuf,
}

impl Lifeline {
    /// The lifeline of the server with this name and log folder. A restarted server has the same one.
    pub(crate) fn new(logs: &Path, name: &str) -> Self {
        Self { name: name.to_owned(), file: logs.join(format!("{name}.lock")) }
    }

    /// Returns the locked file for a new server, once every process of the previous one has exited.
    pub(super) fn hold(&self) -> Result<File> {
        let file = self.open()?;
        blocking(&format!("every process of the previous {} has exited", self.name), DEADLINE, || {
            file.try_lock().map_err(|_| format!("processes {:?}", self.processes(None)))
        })?;
        Ok(file)
    }

    /// Kills what is left of the server, and waits until every process has exited. `group` is the process group that
    /// the server was started in.
    pub(crate) fn end(&self, group: Option<u32>) -> Result<()> {
        blocking(&format!("every process of {} has exited", self.name), DEADLINE, || {
            let left = self.processes(group);
            if left.is_empty() && self.is_free() {
                return Ok(());
            }
            kill(&left);
            Err(format!("processes {left:?}"))
        })
    }

    /// Returns whether no process holds the lifeline. Without its folder there is none.
    fn is_free(&self) -> bool {
        self.open().map_or(true, |file| file.try_lock().is_ok())
    }

    /// Processes that hold the lifeline or belong to the process group.
    pub(crate) fn processes(&self, group: Option<u32>) -> Vec<u32> {
        let file = std::fs::metadata(&self.file).ok();
        let holds = |id: u32| {
            let input = std::fs::metadata(format!("/proc/{id}/fd/0")).ok();
            file.as_ref().zip(input.as_ref()).is_some_and(|(file, input)| same(file, input))
        };
        running(|id, of| (group.is_some() && group == Some(of)) || holds(id))
    }

    fn open(&self) -> Result<File> {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        options.open(&self.file).with_context(|| format!("cannot open {}", self.file.display()))
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Running processes in a control group, given by a part of its path.
pub(crate) fn in_cgroup(part: &str) -> Vec<u32> {
    let below = |id: u32| {
        let groups = std::fs::read_to_string(format!("/proc/{id}/cgroup")).unwrap_or_default();
        groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(|path| path.contains(part))
    };
    running(|id, _| below(id))
}

/// Kills the processes that `find` returns, and waits until it returns none.
pub(crate) fn end_all(what: &str, find: impl Fn() -> Vec<u32>) -> Result<()> {
    blocking(&format!("every process of {what} has exited"), DEADLINE, || {
        let left = find();
        kill(&left);
        if left.is_empty() { Ok(()) } else { Err(format!("processes {left:?}")) }
    })
}

/// Processes that meet a condition on their id and process group. Zombies are not among them.
fn running(met: impl Fn(u32, u32) -> bool) -> Vec<u32> {
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    ids.filter(|id| group_of(*id).is_some_and(|group| met(*id, group))).collect()
}

/// Process group of a process that has not exited.
fn group_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name is in parentheses and can contain anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if ["Z", "X"].contains(&state) { None } else { fields.nth(1)?.parse().ok() }
}

fn kill(processes: &[u32]) {
    if !processes.is_empty() {
        let _ = Command::new("kill").arg("-KILL").args(processes.iter().map(u32::to_string)).output();
    }
}
