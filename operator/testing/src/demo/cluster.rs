//! Cluster of the demonstration: kind if a container engine answers, otherwise plain processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::telling;
use crate::cache;
use crate::image::{self, Image};
use crate::nodes;
use crate::tools::{output, succeed};

/// Port of OpenBao on every node.
pub(super) const NODE_PORT: u16 = 30820;
const KIND: &str = "steamer";

/// A cluster with nodes.
pub(super) enum Cluster {
    /// kind in a container engine.
    Kind { kubeconfig: PathBuf, folder: PathBuf },
    /// Plain processes.
    Local { cluster: nodes::Cluster, folder: PathBuf },
}

/// Returns whether to use kind: as `CLUSTER=kind|local` says, by default if kind and a container engine are available.
fn wants_kind() -> Result<bool> {
    let engine = || Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success());
    match std::env::var("CLUSTER").as_deref() {
        Ok("kind") if !engine() => bail!(
            "CLUSTER=kind needs a container engine, and none answers `docker info`: start one, or unset CLUSTER and run this as root"
        ),
        Ok("kind") => Ok(true),
        Ok("local") => Ok(false),
        Ok(other) if !other.is_empty() => bail!("CLUSTER={other} is invalid: set it to kind or local"),
        _ => Ok(engine() && output(Command::new("kind").arg("version")).is_ok()),
    }
}

pub(super) async fn running_or_new() -> Result<Cluster> {
    let folder = cache::logs()?.join("demo");
    std::fs::create_dir_all(&folder)?;
    if wants_kind()? {
        return kind(folder);
    }
    if let Some(cluster) = nodes::Cluster::running()? {
        eprintln!("==> using the cluster of the previous run");
        return Ok(Cluster::Local { cluster, folder });
    }
    // The files belong to a previous cluster with other certificates and another OpenBao.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let cluster = telling(
        "starting Kubernetes with three nodes, as plain processes",
        nodes::Cluster::start(Vec::new()),
    )
    .await?;
    Ok(Cluster::Local { cluster, folder })
}

fn kind(folder: PathBuf) -> Result<Cluster> {
    let kubeconfig = folder.join("kind.kubeconfig");
    let existing = output(Command::new("kind").args(["get", "clusters"])).unwrap_or_default();
    if !existing.lines().any(|name| name == KIND) {
        eprintln!("==> creating a kind cluster");
        let config = folder.join("kind.json");
        let mapping = serde_json::json!({"containerPort": NODE_PORT, "hostPort": NODE_PORT, "listenAddress": "127.0.0.1"});
        let text = serde_json::json!({
            "kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane", "extraPortMappings": [mapping]}],
        });
        std::fs::write(&config, text.to_string())?;
        succeed(
            Command::new("kind")
                .args(["create", "cluster", "--name", KIND, "--config"])
                .arg(config)
                .arg("--kubeconfig")
                .arg(&kubeconfig),
        )?;
    }
    Ok(Cluster::Kind { kubeconfig, folder })
}

impl Cluster {
    pub(super) fn kubeconfig(&self) -> &Path {
        match self {
            Self::Kind { kubeconfig, .. } => kubeconfig,
            Self::Local { cluster, .. } => &cluster.kubeconfig,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Kind { folder, .. } | Self::Local { folder, .. } => folder,
        }
    }

    /// URL of OpenBao on the host. It stays valid after this command has exited.
    pub(super) fn bao_address(&self) -> String {
        match self {
            Self::Kind { .. } => format!("https://127.0.0.1:{NODE_PORT}"),
            Self::Local { .. } => format!("https://{}:{NODE_PORT}", nodes::NODE),
        }
    }

    /// Builds and imports all images. Returns the digest of the operator's binary.
    pub(super) async fn images(&self) -> Result<String> {
        let made = self.folder().join("made");
        telling("building Steamer and its images", async {
            let steamer = image::steamer(&image::built("steamer", "steamer", "dev")?, &made)?;
            let issuer = image::issuer(&image::built("steamer-testing", "test-issuer", "dev")?, &made)?;
            let digest = cache::digest(&steamer.files[0].0)?;
            for image in [steamer, issuer, image::openbao(crate::tools::OPENBAO)?, image::postgres()?] {
                self.import(&image)?;
            }
            Ok(digest)
        })
        .await
    }

    fn import(&self, image: &Image) -> Result<()> {
        match self {
            Self::Local { cluster, .. } => cluster.import(image).map(drop),
            Self::Kind { folder, .. } => {
                let (archive, _) = image.archive(&folder.join("images"))?;
                succeed(Command::new("kind").args(["load", "image-archive", "--name", KIND]).arg(archive))
            }
        }
    }
}

/// Removes the cluster, of kind or of plain processes.
///
/// # Errors
/// When something cannot be removed.
pub fn stop() -> Result<()> {
    let folder = cache::logs()?.join("demo");
    if folder.join("kind.kubeconfig").exists() {
        succeed(Command::new("kind").args(["delete", "cluster", "--name", KIND]))?;
    }
    nodes::stop()?;
    let _ = std::fs::remove_dir_all(folder);
    let _ = std::fs::remove_file(cache::logs()?.join("env"));
    Ok(())
}
