//! Faults of nodes and processes in tests.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Cluster;
use super::node::Node;
use super::processes::Processes;
use crate::tools::{output, succeed};

impl Cluster {
    fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).with_context(|| format!("no node {name}"))
    }

    /// Process id of a pod's server, found by the variables that name its pod.
    ///
    /// # Errors
    /// When the pod has no such process.
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

    /// Sends a signal, such as `KILL` or `STOP`, to a pod's server. Returns its process id.
    ///
    /// # Errors
    /// When the pod has no such process.
    pub fn signal(&self, namespace: &str, pod: &str, signal: &str) -> Result<u32> {
        let id = self.process_of(namespace, pod)?;
        signal_process(id, signal)?;
        Ok(id)
    }

    /// Kills a node like a power failure: its kubelet, its containerd and every process in its pods. Returns when all
    /// of them have exited.
    ///
    /// # Errors
    /// When a process does not exit.
    pub fn lose_node(&self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        let mut processes = Processes::load(&self.folder)?;
        processes.kill(&node.process("kubelet"))?;
        node.end_containers();
        processes.kill(&node.process("containerd"))?;
        node.end_processes()?;
        self.forget(&node.process("kubelet"));
        self.forget(&node.process("containerd"));
        processes.save()
    }

    /// Sends a signal to a node's kubelet. A stopped kubelet does not act on changes of the API server.
    ///
    /// # Errors
    /// When the kubelet does not run.
    pub fn signal_kubelet(&self, name: &str, signal: &str) -> Result<()> {
        let id = Processes::load(&self.folder)?.id(&self.node(name)?.process("kubelet"));
        signal_process(id.with_context(|| format!("no kubelet on {name}"))?, signal)
    }

    /// Kills the API server and waits until it has exited.
    ///
    /// # Errors
    /// When the record of the processes cannot be read, or the API server does not exit.
    pub fn stop_apiserver(&self) -> Result<()> {
        let mut processes = Processes::load(&self.folder)?;
        processes.kill("kube-apiserver")?;
        self.forget("kube-apiserver");
        processes.save()
    }

    /// Starts a lost node again, like a reboot.
    ///
    /// # Errors
    /// When the node does not become ready.
    pub async fn return_node(&self, name: &str) -> Result<()> {
        let node = self.node(name)?.clone();
        self.start_node(&node, &Arc::default()).await?;
        self.ready().await
    }

    /// Drops all packets from a pod to a port of this host, or accepts them again.
    ///
    /// # Errors
    /// When the rule cannot be changed.
    pub fn black_hole(&self, pod_address: &str, port: u16, hole: Hole) -> Result<()> {
        let verb = match hole {
            Hole::Open => "-I",
            Hole::Closed => "-D",
        };
        let port = port.to_string();
        let rule = ["INPUT", "-s", pod_address, "-p", "tcp", "--dport", &port, "-j", "DROP"];
        succeed(Command::new("iptables").arg(verb).args(rule))
    }

    /// Logs of a deleted pod, from the files of its node.
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
/// When the process does not exist.
pub fn signal_process(id: u32, signal: &str) -> Result<()> {
    succeed(Command::new("kill").args([format!("-{signal}"), id.to_string()]))
}

/// State of a black hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// Packets are dropped.
    Open,
    /// Packets are accepted.
    Closed,
}
