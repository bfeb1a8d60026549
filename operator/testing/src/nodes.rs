//! A Kubernetes with nodes that run containers, as plain processes that go on after the command that made it.

mod faults;
mod node;
mod processes;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::certificates::Authority;
use crate::control_plane::{Access, kubeconfig_text};
use crate::image::Image;
use crate::kubectl::Kubectl;
use crate::process::Program;
use crate::tools::{self, output, succeed};
use crate::wait::eventually;

pub use faults::{Hole, signal_process};
use node::Node;
use processes::Processes;

/// The first node's address, on the loopback device, and that of everything on the host: nothing outside this machine is
/// ever asked.
pub const NODE: &str = "10.255.0.1";
/// How many nodes a cluster has.
const NODES: usize = 3;
/// The port of the API server.
const API_PORT: u16 = 6443;
/// Sockets have short paths.
const RUN: &str = "/run/steamer-ground";

/// A cluster on this machine.
#[derive(Clone)]
pub struct Cluster {
    /// Kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    folder: PathBuf,
    nodes: Vec<Node>,
}

/// Where the cluster of this checkout keeps what it is made of.
///
/// # Errors
/// When it cannot be made.
fn folder() -> Result<PathBuf> {
    Ok(cache::logs()?.join("cluster"))
}

impl Cluster {
    /// The cluster of this checkout, if it runs.
    ///
    /// # Errors
    /// When what is known of it cannot be read.
    pub fn running() -> Result<Option<Self>> {
        let folder = folder()?;
        let processes = Processes::load(&folder)?;
        let kubeconfig = folder.join("admin.kubeconfig");
        let nodes = Node::all(&folder, NODES);
        Ok((processes.all_alive() && kubeconfig.exists()).then_some(Self { kubeconfig, folder, nodes }))
    }

    /// Starts one.
    ///
    /// # Errors
    /// A sentence when this machine cannot, or another checkout has one.
    pub async fn start() -> Result<Self> {
        if !tools::is_root() {
            bail!("a node needs root: run this as root, or have a container engine such as Docker running");
        }
        owned_by_us()?;
        tools::node()?;
        let folder = folder()?;
        stop()?;
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("logs"))?;
        std::fs::create_dir_all(RUN)?;
        std::fs::write(owner_file(), cache::checkout().display().to_string())?;
        let nodes = Node::all(&folder, NODES);
        let cluster = Self { kubeconfig: folder.join("admin.kubeconfig"), folder, nodes };
        cluster.network()?;
        cluster.certificates()?;
        cluster.control_plane().await?;
        for node in &cluster.nodes {
            cluster.start_node(node).await?;
        }
        cluster.services()?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// URL and CA of the API server.
    ///
    /// # Errors
    /// When the cluster has none yet.
    pub fn server(&self) -> Result<(String, String)> {
        Ok((format!("https://{NODE}:{API_PORT}"), std::fs::read_to_string(self.folder.join("ca.crt"))?))
    }

    /// Puts an image onto every node, unless it has it.
    ///
    /// # Errors
    /// When it cannot be made or imported.
    pub fn import(&self, image: &Image) -> Result<bool> {
        let known = self.folder.join(format!("{}.stamp", image.name.replace(['/', ':'], "-")));
        if std::fs::read_to_string(&known).is_ok_and(|known| known == image.stamp()) {
            return Ok(false);
        }
        let (archive, _) = image.archive(&self.folder.join("images"))?;
        for node in &self.nodes {
            succeed(node.ctr().args(["images", "import"]).arg(&archive))?;
        }
        std::fs::remove_file(&archive)?;
        std::fs::write(known, image.stamp())?;
        Ok(true)
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
        // A Service's address that kube-proxy does not know yet leads nowhere, and never out of this machine.
        succeed(Command::new("ip").args(["route", "replace", settings::SERVICES, "dev", "lo", "src", NODE]))?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
            .context("cannot let packets between pods through")?;
        Ok(())
    }

    fn certificates(&self) -> Result<()> {
        let (folder, authority) = (&self.folder, Authority::new("Kubernetes test CA")?);
        std::fs::write(folder.join("ca.crt"), &authority.pem)?;
        let names = [
            NODE,
            "127.0.0.1",
            "10.96.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        authority.leaf("kube-apiserver", None, &names)?.write(folder, "apiserver")?;
        authority.leaf("service-accounts", None, &[])?.write(folder, "accounts")?;
        let kubeconfig = |name: &str, user: &str, group: &str| -> Result<()> {
            let leaf = authority.leaf(user, Some(group), &[])?;
            leaf.write(folder, &format!("{name}-client"))?;
            let url = format!("https://{NODE}:{API_PORT}");
            let text = kubeconfig_text(&url, &authority.pem, &Access::Certificate(&leaf));
            Ok(std::fs::write(folder.join(format!("{name}.kubeconfig")), text)?)
        };
        kubeconfig("admin", "admin", "system:masters")?;
        for node in &self.nodes {
            std::fs::create_dir_all(&node.folder)?;
            authority.leaf("kubelet", None, &[&node.address, &node.name])?.write(&node.folder, "kubelet")?;
            kubeconfig(&node.name, &format!("system:node:{}", node.name), "system:nodes")?;
        }
        Ok(())
    }

    fn start_program(&self, program: Program, name: &str) -> Result<()> {
        let id = program.start(&self.folder.join("logs"))?.detach();
        Processes::add(&self.folder, name, id)
    }

    /// Starts the API server, and returns when it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_apiserver(&self) -> Result<()> {
        let apiserver = Program::lasting("kube-apiserver", &tools::kubernetes("kube-apiserver")?)
            .args(settings::apiserver(&self.folder, API_PORT));
        self.start_program(apiserver, "kube-apiserver")?;
        let kubectl = Kubectl::new(&self.kubeconfig)?;
        self.eventually("the API server is ready", "kube-apiserver", || {
            kubectl.run(&["get", "--raw", "/readyz"]).map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    async fn control_plane(&self) -> Result<()> {
        let kubernetes =
            |name: &str| -> Result<Program> { Ok(Program::lasting(name, &tools::kubernetes(name)?)) };
        self.start_program(
            Program::lasting("etcd", &tools::etcd()?).args(settings::etcd(&self.folder)),
            "etcd",
        )?;
        self.start_apiserver().await?;
        let manager = kubernetes("kube-controller-manager")?.args(settings::controller_manager(&self.folder));
        self.start_program(manager, "kube-controller-manager")?;
        let scheduler = kubernetes("kube-scheduler")?.args(settings::scheduler(&self.folder));
        self.start_program(scheduler, "kube-scheduler")
    }

    /// Starts a node's containerd and kubelet.
    async fn start_node(&self, node: &Node) -> Result<()> {
        settings::write_node(&self.folder, node)?;
        node.cgroups()?;
        let containerd = Program::lasting(&node.process("containerd"), Path::new("/usr/bin/containerd"))
            .args(["--config", &node.folder.join("containerd.toml").display().to_string()]);
        self.start_program(containerd, &node.process("containerd"))?;
        self.eventually("containerd answers", &node.process("containerd"), || {
            succeed(node.ctr().arg("version")).map_err(|error| error.to_string())
        })
        .await?;
        let pause = crate::image::pause()?;
        let (archive, _) = pause.archive(&self.folder.join("images"))?;
        succeed(node.ctr().args(["images", "import"]).arg(&archive))?;
        self.start_kubelet(node)
    }

    fn start_kubelet(&self, node: &Node) -> Result<()> {
        let kubelet = Program::lasting(&node.process("kubelet"), &tools::kubernetes("kubelet")?)
            .args(settings::kubelet(&self.folder, node));
        self.start_program(kubelet, &node.process("kubelet"))
    }

    /// Names and Services, for all nodes: they are on one host.
    fn services(&self) -> Result<()> {
        settings::write_services(&self.folder)?;
        let dns = Program::lasting("coredns", &tools::coredns()?)
            .args(["-conf", &self.folder.join("Corefile").display().to_string()]);
        self.start_program(dns, "coredns")?;
        let proxy = Program::lasting("kube-proxy", &tools::kubernetes("kube-proxy")?)
            .args([format!("--config={}", self.folder.join("kube-proxy.json").display())]);
        self.start_program(proxy, "kube-proxy")
    }

    async fn ready(&self) -> Result<()> {
        let kubectl = Kubectl::new(&self.kubeconfig)?;
        for node in &self.nodes {
            self.eventually("the node is ready", &node.process("kubelet"), || {
                let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
                match kubectl.run(&["get", "node", &node.name, "-o", path]) {
                    Ok(status) if status == "True" => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
        }
        let ended = Processes::load(&self.folder)?.ended();
        if let Some(name) = ended {
            bail!(
                "{name} ended:\n{}",
                crate::process::tail(&self.folder.join("logs").join(format!("{name}.log")))
            );
        }
        Ok(())
    }

    async fn eventually(&self, what: &str, log: &str, look: impl Fn() -> Result<(), String>) -> Result<()> {
        let result = eventually(what, || std::future::ready(look())).await;
        result.with_context(|| crate::process::tail(&self.folder.join("logs").join(format!("{log}.log"))))
    }
}

fn owner_file() -> PathBuf {
    Path::new(RUN).join("owner")
}

/// The node's address, chains and folders are the machine's: one checkout has them at a time.
fn owned_by_us() -> Result<()> {
    let us = cache::checkout().display().to_string();
    match std::fs::read_to_string(owner_file()) {
        Ok(owner) if owner != us && Path::new(&owner).join("Makefile").exists() => {
            bail!("the checkout at {owner} has a cluster on this machine: run `make stop` there first")
        }
        _ => Ok(()),
    }
}

/// Ends the cluster of this checkout and removes what it put into the system. Nothing happens where there is none.
///
/// # Errors
/// When something cannot be removed.
pub fn stop() -> Result<()> {
    let folder = folder()?;
    if !folder.exists() && !Path::new(RUN).exists() {
        return Ok(());
    }
    owned_by_us()?;
    let mut processes = Processes::load(&folder)?;
    let nodes = Node::all(&folder, NODES);
    for node in &nodes {
        // The kubelet first: it would start what is ended.
        processes.end(&node.process("kubelet"));
        node.end_containers();
    }
    if let Ok(proxy) = tools::kubernetes("kube-proxy") {
        processes.end("kube-proxy");
        let _ = Command::new(proxy).arg("--cleanup").output();
    }
    processes.end_all();
    settings::remove_from_system(&folder, Path::new(RUN), &nodes)?;
    let _ = std::fs::remove_dir_all(&folder);
    let _ = std::fs::remove_dir_all(RUN);
    Ok(())
}
