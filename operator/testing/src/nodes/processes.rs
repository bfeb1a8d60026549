//! The processes of a cluster, remembered in a file: they outlive the command that started them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Known {
    name: String,
    id: u32,
    /// When the process started, by the kernel: an id may be another process's by now.
    started: String,
}

/// All of them.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Processes(Vec<Known>);

fn file(folder: &Path) -> PathBuf {
    folder.join("processes.json")
}

/// Field 22 of `/proc/<id>/stat`; none for one that has ended.
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
        match std::fs::read(file(folder)) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(_) => Ok(Self::default()),
        }
    }

    pub(super) fn add(folder: &Path, name: &str, id: u32) -> Result<()> {
        let mut all = Self::load(folder)?;
        all.0.push(Known { name: name.to_owned(), id, started: started(id).unwrap_or_default() });
        Ok(std::fs::write(file(folder), serde_json::to_vec(&all)?)?)
    }

    pub(super) fn all_alive(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Known::alive)
    }

    /// The name of one that has ended by itself.
    pub(super) fn ended(&self) -> Option<String> {
        self.0.iter().find(|known| !known.alive()).map(|known| known.name.clone())
    }

    /// Ends one, and waits for its end.
    pub(super) fn end(&mut self, name: &str) {
        for known in self.0.iter().filter(|known| known.name == name) {
            known.end();
        }
        self.0.retain(|known| known.name != name);
    }

    /// Ends one at once.
    pub(super) fn kill(&mut self, name: &str) {
        for known in self.0.iter().filter(|known| known.name == name && known.alive()) {
            let _ = Command::new("kill").arg("-KILL").arg(known.id.to_string()).output();
        }
        self.0.retain(|known| known.name != name);
    }

    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|known| known.name == name && known.alive()).map(|known| known.id)
    }

    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        Ok(std::fs::write(file(folder), serde_json::to_vec(self)?)?)
    }

    pub(super) fn end_all(&mut self) {
        // In the reverse order of their start: who uses a server goes before it.
        for known in self.0.drain(..).rev() {
            known.end();
        }
    }
}

impl Known {
    fn alive(&self) -> bool {
        started(self.id).as_ref() == Some(&self.started)
    }

    fn end(&self) {
        for signal in ["-TERM", "-KILL"] {
            if !self.alive() {
                return;
            }
            let _ = Command::new("kill").arg(signal).arg(self.id.to_string()).output();
            for _ in 0..100 {
                if !self.alive() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}
