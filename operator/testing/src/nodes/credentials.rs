//! Certificates and kubeconfigs of a cluster.

use anyhow::Result;

use super::{API_PORT, Cluster, NODE};
use crate::certificates::Authority;
use crate::control_plane::{Access, kubeconfig_text};

impl Cluster {
    /// Writes the CA, the certificates of the servers and the kubeconfigs of the administrator and of the kubelets.
    pub(super) fn certificates(&self) -> Result<()> {
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
}
