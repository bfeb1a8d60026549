//! Names, addresses and folders of one node.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::RUN;
use crate::process::{end_all, in_cgroup};
use crate::tools::{output, succeed};

/// A node. To Kubernetes it is a machine.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) pods: String,
    pub(super) bridge: String,
    /// Folder of its cgroups, below the root of each hierarchy.
    pub(super) cgroup: String,
    pub(super) folder: PathBuf,
    pub(super) run: PathBuf,
}

impl Node {
    pub(super) fn all(folder: &Path, count: usize) -> Vec<Self> {
        (1..=count).map(|number| Self::new(folder, number)).collect()
    }

    fn new(folder: &Path, number: usize) -> Self {
        let name = format!("node-{number}");
        Self {
            address: format!("10.255.0.{number}"),
            pods: format!("10.244.{}.0/24", number - 1),
            bridge: format!("steamer{}", number - 1),
            cgroup: format!("steamer-{name}"),
            folder: folder.join(&name),
            run: Path::new(RUN).join(&name),
            name,
        }
    }

    /// Name of one of its processes.
    pub(super) fn process(&self, program: &str) -> String {
        format!("{program}-{}", self.name)
    }

    pub(super) fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        let socket = self.run.join("containerd.sock");
        command.args(["--address", &socket.display().to_string(), "--namespace", "k8s.io"]);
        command
    }

    pub(super) fn end_containers(&self) {
        let tasks = output(self.ctr().args(["tasks", "list", "--quiet"])).unwrap_or_default();
        for task in tasks.split_whitespace() {
            let _ = succeed(self.ctr().args(["tasks", "kill", "--signal", "KILL", task]));
            let _ = succeed(self.ctr().args(["tasks", "delete", "--force", task]));
        }
    }

    /// Kills every container process and shim of the node, and waits until all of them have exited.
    pub(super) fn end_processes(&self) -> Result<()> {
        let part = format!("/{}/", self.cgroup);
        end_all(&self.name, || [in_cgroup(&part), self.shims()].concat())
    }

    /// A shim continues after its containerd has exited. Its arguments name the socket of that containerd.
    fn shims(&self) -> Vec<u32> {
        let socket = self.run.join("containerd.sock").display().to_string();
        let ours = |process: &std::fs::DirEntry| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains("containerd-shim") && line.contains(&socket)
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(ours);
        processes.filter_map(|process| process.file_name().to_string_lossy().parse().ok()).collect()
    }

    /// Creates the cgroup of the node, which the kubelet expects to exist.
    pub(super) fn cgroups(&self) -> Result<()> {
        let root = Path::new("/sys/fs/cgroup");
        if root.join("cgroup.controllers").exists() {
            let controllers = std::fs::read_to_string(root.join("cgroup.controllers"))?;
            let folder = root.join(&self.cgroup);
            std::fs::create_dir_all(&folder)?;
            for controller in controllers.split_whitespace() {
                for parent in [root, &folder] {
                    let _ = std::fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
                }
            }
            return Ok(());
        }
        for hierarchy in std::fs::read_dir(root)?.flatten().filter(|entry| entry.path().is_dir()) {
            let folder = hierarchy.path().join(&self.cgroup);
            if std::fs::create_dir_all(&folder).is_err() {
                continue;
            }
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(text) = std::fs::read_to_string(hierarchy.path().join(file)) {
                    let _ = std::fs::write(folder.join(file), text.trim());
                }
            }
        }
        Ok(())
    }
}
