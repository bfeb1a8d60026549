//! What befalls nodes and processes in tests.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Cluster;
use super::node::Node;
use super::processes::Processes;
use crate::tools::{output, succeed};

impl Cluster {
    fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).with_context(|| format!("no node {name}"))
    }

    /// The process of a pod's server, by what it is told its name is.
    ///
    /// # Errors
    /// When there is none.
    pub fn process_of(&self, namespace: &str, pod: &str) -> Result<u32> {
        let wanted = [format!("POD_NAME={pod}"), format!("POD_NAMESPACE={namespace}")];
        for process in std::fs::read_dir("/proc")?.flatten() {
            let Ok(id) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
            if wanted.iter().all(|wanted| variables.contains(&wanted.as_bytes())) {
                return Ok(id);
            }
        }
        anyhow::bail!("no process of pod {namespace}/{pod}")
    }

    /// Sends a signal, such as `KILL` or `STOP`, to a pod's server.
    ///
    /// # Errors
    /// When there is none.
    pub fn signal(&self, namespace: &str, pod: &str, signal: &str) -> Result<u32> {
        let id = self.process_of(namespace, pod)?;
        signal_process(id, signal)?;
        Ok(id)
    }

    /// Ends a node as a power failure does: its kubelet, its containerd and every process in it.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn lose_node(&self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        let mut processes = Processes::load(&self.folder)?;
        processes.kill(&node.process("kubelet"));
        node.end_containers();
        processes.kill(&node.process("containerd"));
        processes.save(&self.folder)
    }

    /// Sends a signal to a node's kubelet: a stopped one does nothing that the API server asks for.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal_kubelet(&self, name: &str, signal: &str) -> Result<()> {
        let id = Processes::load(&self.folder)?.id(&self.node(name)?.process("kubelet"));
        signal_process(id.with_context(|| format!("no kubelet on {name}"))?, signal)
    }

    /// Kills the API server.
    ///
    /// # Errors
    /// When what runs is not known.
    pub fn stop_apiserver(&self) -> Result<()> {
        let mut processes = Processes::load(&self.folder)?;
        processes.kill("kube-apiserver");
        processes.save(&self.folder)
    }

    /// Brings a lost node back, as after a reboot.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn return_node(&self, name: &str) -> Result<()> {
        let node = self.node(name)?.clone();
        self.start_node(&node).await?;
        self.ready().await
    }

    /// Drops everything a pod sends to a port of this host, or lets it through again.
    ///
    /// # Errors
    /// When the rule cannot be set.
    pub fn black_hole(&self, pod_address: &str, port: u16, hole: Hole) -> Result<()> {
        let verb = match hole {
            Hole::Open => "-I",
            Hole::Closed => "-D",
        };
        let port = port.to_string();
        let rule = ["INPUT", "-s", pod_address, "-p", "tcp", "--dport", &port, "-j", "DROP"];
        succeed(Command::new("iptables").arg(verb).args(rule))
    }

    /// Logs of a pod that is there no more, as its machine has them.
    #[must_use]
    pub fn logs(&self, namespace: &str, pod: &str) -> String {
        let mut all = String::new();
        for node in &self.nodes {
            let folder = node.folder.join("pod-logs");
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(&format!("{namespace}_{pod}_")) {
                    all.push_str(&below(&entry.path()));
                }
            }
        }
        all
    }
}

fn below(folder: &Path) -> String {
    output(Command::new("find").arg(folder).args(["-type", "f", "-exec", "tail", "-n", "200", "{}", "+"]))
        .unwrap_or_default()
}

/// Sends a signal to a process.
///
/// # Errors
/// When there is none.
pub fn signal_process(id: u32, signal: &str) -> Result<()> {
    succeed(Command::new("kill").args([format!("-{signal}"), id.to_string()]))
}

/// Whether packets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// They are.
    Open,
    /// They are let through.
    Closed,
}
