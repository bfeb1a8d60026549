//! Processes of a cluster, recorded in a file: they continue after the command that started them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::process::Lifeline;
use crate::wait::blocking;

/// Time that a process gets for a clean exit.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Serialize, Deserialize)]
struct Known {
    name: String,
    id: u32,
    /// Start time of the process by the kernel's clock: its id can belong to another process later.
    started: String,
}

/// Recorded processes of a cluster.
pub(super) struct Processes {
    folder: PathBuf,
    all: Vec<Known>,
}

fn file(folder: &Path) -> PathBuf {
    folder.join("processes.json")
}

/// Folder of the logs of a cluster.
pub(super) fn logs(folder: &Path) -> PathBuf {
    folder.join("logs")
}

/// Field 22 of `/proc/<id>/stat`. `None` when the process has exited.
fn started(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    match fields.next()? {
        "Z" => None,
        _ => fields.nth(18).map(str::to_owned),
    }
}

impl Processes {
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let all = match std::fs::read(file(folder)) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(_) => Vec::new(),
        };
        Ok(Self { folder: folder.to_owned(), all })
    }

    pub(super) fn add(folder: &Path, name: &str, id: u32) -> Result<()> {
        let mut processes = Self::load(folder)?;
        processes.all.push(Known { name: name.to_owned(), id, started: started(id).unwrap_or_default() });
        processes.save()
    }

    pub(super) fn all_alive(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(Known::alive)
    }

    pub(super) fn any_alive(&self) -> bool {
        self.all.iter().any(Known::alive)
    }

    /// Name of a process that has exited unexpectedly.
    pub(super) fn ended(&self) -> Option<String> {
        self.all.iter().find(|known| !known.alive()).map(|known| known.name.clone())
    }

    /// Asks a process to exit, kills it after a while, and waits until all of its processes have exited.
    pub(super) fn end(&mut self, name: &str) -> Result<()> {
        self.remove(name, Known::end)
    }

    /// Kills a process and waits until all of its processes have exited.
    pub(super) fn kill(&mut self, name: &str) -> Result<()> {
        self.remove(name, Known::kill)
    }

    fn remove(&mut self, name: &str, end: impl Fn(&Known, &Path) -> Result<()>) -> Result<()> {
        let (ended, kept) = self.all.drain(..).partition(|known| known.name == name);
        self.all = kept;
        let ended: Vec<Known> = ended;
        ended.iter().try_for_each(|known| end(known, &logs(&self.folder)))
    }

    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.all.iter().find(|known| known.name == name && known.alive()).map(|known| known.id)
    }

    pub(super) fn save(&self) -> Result<()> {
        Ok(std::fs::write(file(&self.folder), serde_json::to_vec(&self.all)?)?)
    }

    /// Ends all processes in the reverse order of their start: clients exit before their servers.
    pub(super) fn end_all(&mut self) -> Result<()> {
        let logs = logs(&self.folder);
        self.all.drain(..).rev().try_for_each(|known| known.end(&logs))
    }
}

impl Known {
    fn alive(&self) -> bool {
        started(self.id).as_ref() == Some(&self.started)
    }

    fn signal(&self, signal: &str) {
        let _ = Command::new("kill").arg(signal).arg(self.id.to_string()).output();
    }

    fn end(&self, logs: &Path) -> Result<()> {
        if self.alive() {
            self.signal("-TERM");
            let _ = blocking(&self.name, GRACE, || if self.alive() { Err("running") } else { Ok(()) });
        }
        self.kill(logs)
    }

    fn kill(&self, logs: &Path) -> Result<()> {
        let group = self.alive().then_some(self.id);
        if group.is_some() {
            self.signal("-KILL");
        }
        Lifeline::new(logs, &self.name).end(group)
    }
}
