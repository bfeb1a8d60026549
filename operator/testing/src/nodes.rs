//! Kubernetes with nodes that run containers, as plain processes that continue after the command that started them.

mod credentials;
mod faults;
mod images;
mod node;
mod processes;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use futures::future::{try_join, try_join_all};
use tokio::task::spawn_blocking;

use crate::cache;
use crate::control_plane::etcd_answers;
use crate::image::Image;
use crate::kubectl::Kubectl;
use crate::process::{Program, Server, while_all_run, while_running};
use crate::tools::{self, output, succeed};

pub use faults::{Hole, signal_process};
use images::Archive;
use node::Node;
use processes::{Processes, logs};

/// Address of the first node and of all servers on the host, on the loopback device. No request leaves the machine.
pub const NODE: &str = "10.255.0.1";
/// Number of nodes of a cluster.
const NODES: usize = 3;
/// Port of the API server.
const API_PORT: u16 = 6443;
/// Folder of sockets, which need short paths.
const RUN: &str = "/run/steamer-ground";

/// Name of the data folder of a cluster.
const CLUSTER: &str = "cluster";

/// A cluster on this machine.
#[derive(Clone)]
pub struct Cluster {
    /// Kubeconfig of the administrator.
    pub kubeconfig: PathBuf,
    folder: PathBuf,
    nodes: Vec<Node>,
    /// Servers that this process has started and that have to run.
    started: Arc<Mutex<Vec<Server>>>,
}

/// Data folder of the cluster of this checkout.
///
/// # Errors
/// When the folder cannot be created.
fn folder() -> Result<PathBuf> {
    Ok(cache::logs()?.join(CLUSTER))
}

impl Cluster {
    fn new(folder: PathBuf) -> Self {
        let (kubeconfig, nodes) = (folder.join("admin.kubeconfig"), Node::all(&folder, NODES));
        Self { kubeconfig, folder, nodes, started: Arc::default() }
    }

    /// The cluster of this checkout, if it runs.
    ///
    /// # Errors
    /// When the record of its processes cannot be read.
    pub fn running() -> Result<Option<Self>> {
        let cluster = Self::new(folder()?);
        let alive = Processes::load(&cluster.folder)?.all_alive();
        Ok((alive && cluster.kubeconfig.exists()).then_some(cluster))
    }

    /// Starts a cluster with some images on every node.
    ///
    /// # Errors
    /// When the machine does not meet the requirements, or another checkout has a cluster.
    pub async fn start(mut images: Vec<Image>) -> Result<Self> {
        if !tools::is_root() {
            bail!("a node needs root: run this as root, or start a container engine such as Docker");
        }
        owned_by_us()?;
        tools::node()?;
        let folder = folder()?;
        stop()?;
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(logs(&folder))?;
        std::fs::create_dir_all(RUN)?;
        std::fs::write(owner_file(), cache::checkout().display().to_string())?;
        let cluster = Self::new(folder);
        cluster.network()?;
        cluster.certificates()?;
        // Pods need it before any other image.
        images.insert(0, crate::image::pause()?);
        let folder = cluster.folder.clone();
        let archives = move || images.iter().map(|image| Archive::new(image, &folder)).collect();
        let archives = async { spawn_blocking(archives).await? };
        let (archives, ()): (Vec<Archive>, ()) = try_join(archives, cluster.control_plane()).await?;
        let archives = Arc::new(archives);
        try_join_all(cluster.nodes.iter().map(|node| cluster.start_node(node, &archives))).await?;
        archives.iter().try_for_each(Archive::imported)?;
        cluster.services()?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// URL and CA of the API server.
    ///
    /// # Errors
    /// When the CA does not exist yet.
    pub fn server(&self) -> Result<(String, String)> {
        Ok((format!("https://{NODE}:{API_PORT}"), std::fs::read_to_string(self.folder.join("ca.crt"))?))
    }

    fn network(&self) -> Result<()> {
        let addresses = output(Command::new("ip").args(["-o", "addr", "show", "dev", "lo"]))?;
        for node in &self.nodes {
            if !addresses.contains(&format!(" {}/", node.address)) {
                succeed(Command::new("ip").args([
                    "addr",
                    "add",
                    &format!("{}/32", node.address),
                    "dev",
                    "lo",
                ]))?;
            }
        }
        // Packets to a Service that kube-proxy does not know yet must not leave the machine.
        succeed(Command::new("ip").args(["route", "replace", settings::SERVICES, "dev", "lo", "src", NODE]))?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
            .context("cannot enable IP forwarding between pods")?;
        Ok(())
    }

    fn start_program(&self, program: Program) -> Result<Server> {
        let process = program.start(&logs(&self.folder))?;
        let server = process.server();
        Processes::add(&self.folder, server.name(), process.detach())?;
        self.started().push(server.clone());
        Ok(server)
    }

    fn started(&self) -> MutexGuard<'_, Vec<Server>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a server that a test has killed from those that have to run.
    fn forget(&self, name: &str) {
        self.started().retain(|server| server.name() != name);
    }

    /// Starts the API server and waits until it is ready.
    ///
    /// # Errors
    /// When the API server does not start.
    pub async fn start_apiserver(&self) -> Result<()> {
        let apiserver = Program::lasting("kube-apiserver", &tools::kubernetes("kube-apiserver")?)
            .args(settings::apiserver(&self.folder, API_PORT));
        let server = self.start_program(apiserver)?;
        let kubectl = Kubectl::new(&self.kubeconfig)?;
        while_running(&server, "the API server is ready", || async {
            kubectl.run(&["get", "--raw", "/readyz"]).map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    async fn control_plane(&self) -> Result<()> {
        let kubernetes =
            |name: &str| -> Result<Program> { Ok(Program::lasting(name, &tools::kubernetes(name)?)) };
        let etcd = Program::lasting("etcd", &tools::etcd()?).args(settings::etcd(&self.folder));
        let etcd = self.start_program(etcd)?;
        etcd_answers(&etcd, settings::ETCD).await?;
        self.start_apiserver().await?;
        let manager = kubernetes("kube-controller-manager")?.args(settings::controller_manager(&self.folder));
        self.start_program(manager)?;
        let scheduler = kubernetes("kube-scheduler")?.args(settings::scheduler(&self.folder));
        self.start_program(scheduler).map(drop)
    }

    /// Starts a node's containerd and kubelet, and imports images while the kubelet registers the node.
    async fn start_node(&self, node: &Node, images: &Arc<Vec<Archive>>) -> Result<()> {
        settings::write_node(&self.folder, node)?;
        node.cgroups()?;
        let containerd = Program::lasting(&node.process("containerd"), Path::new("/usr/bin/containerd"))
            .args(["--config", &node.folder.join("containerd.toml").display().to_string()]);
        let containerd = self.start_program(containerd)?;
        while_running(&containerd, "containerd answers", || async {
            succeed(node.ctr().arg("version")).map_err(|error| error.to_string())
        })
        .await?;
        let kubelet = Program::lasting(&node.process("kubelet"), &tools::kubernetes("kubelet")?)
            .args(settings::kubelet(&self.folder, node));
        self.start_program(kubelet)?;
        let (node, images) = (node.clone(), images.clone());
        spawn_blocking(move || images.iter().try_for_each(|image| image.import(&node))).await?
    }

    /// Starts CoreDNS and kube-proxy. One of each serves all nodes, because they are on one host.
    fn services(&self) -> Result<()> {
        settings::write_services(&self.folder)?;
        let dns = Program::lasting("coredns", &tools::coredns()?)
            .args(["-conf", &self.folder.join("Corefile").display().to_string()]);
        self.start_program(dns)?;
        let proxy = Program::lasting("kube-proxy", &tools::kubernetes("kube-proxy")?)
            .args([format!("--config={}", self.folder.join("kube-proxy.json").display())]);
        self.start_program(proxy).map(drop)
    }

    async fn ready(&self) -> Result<()> {
        let (kubectl, servers) = (Kubectl::new(&self.kubeconfig)?, self.started().clone());
        for node in &self.nodes {
            let ready = while_all_run(&servers, "the node is ready", || async {
                let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
                match kubectl.run(&["get", "node", &node.name, "-o", path]) {
                    Ok(status) if status == "True" => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            });
            ready.await.with_context(|| self.tail(&node.process("kubelet")))?;
        }
        match Processes::load(&self.folder)?.ended() {
            Some(name) => bail!("{name} exited: {}", self.tail(&name)),
            None => Ok(()),
        }
    }

    fn tail(&self, name: &str) -> String {
        let log = logs(&self.folder).join(format!("{name}.log"));
        format!("{} ends with:\n{}", log.display(), crate::process::tail(&log))
    }
}

fn owner_file() -> PathBuf {
    Path::new(RUN).join("owner")
}

/// Data folder of the cluster that was started last on this machine, by any checkout.
fn last_folder() -> Option<PathBuf> {
    let owner = std::fs::read_to_string(owner_file()).ok()?;
    Some(cache::logs_of(Path::new(&owner)).join(CLUSTER))
}

/// Fails while the cluster of another checkout runs: addresses, chains and folders of nodes are machine-wide.
///
/// A cluster whose processes were killed does not count: [`stop`] removes what is left of it.
pub(crate) fn owned_by_us() -> Result<()> {
    let ours = folder()?;
    match last_folder() {
        Some(last) if last != ours && Processes::load(&last)?.any_alive() => {
            let owner = std::fs::read_to_string(owner_file())?;
            bail!("the checkout at {owner} runs a cluster on this machine: run `make stop` there first")
        }
        _ => Ok(()),
    }
}

/// Stops the cluster of this checkout, if it exists, and removes everything that it created on the machine.
///
/// # Errors
/// When a process does not exit.
pub fn stop() -> Result<()> {
    let folder = folder()?;
    if !folder.exists() && !Path::new(RUN).exists() {
        return Ok(());
    }
    owned_by_us()?;
    let mut processes = Processes::load(&folder)?;
    let nodes = Node::all(&folder, NODES);
    for node in &nodes {
        // The kubelet first, because it would restart the containers.
        processes.end(&node.process("kubelet"))?;
        node.end_containers();
    }
    if let Ok(proxy) = tools::kubernetes("kube-proxy") {
        processes.end("kube-proxy")?;
        let _ = Command::new(proxy).arg("--cleanup").output();
    }
    processes.end_all()?;
    // Of a cluster that was killed together with the tests of another checkout.
    let last = last_folder().unwrap_or_else(|| folder.clone());
    settings::remove_from_system(&[&folder, &last, Path::new(RUN)], &nodes)?;
    let _ = std::fs::remove_dir_all(&folder);
    let _ = std::fs::remove_dir_all(RUN);
    Ok(())
}
