//! Settings of the components of a cluster, and their removal from the system.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::NODE;
use super::node::Node;
use crate::control_plane::ISSUER;

/// URL of etcd, at a port outside the range of [`crate::ports`].
pub(super) const ETCD: &str = "http://127.0.0.1:11790";
pub(super) const SERVICES: &str = "10.96.0.0/16";
const PODS: &str = "10.244.0.0/16";

pub(super) fn etcd(folder: &Path) -> Vec<String> {
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        "--listen-peer-urls=http://127.0.0.1:11791".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

pub(super) fn apiserver(folder: &Path, port: u16) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--etcd-servers={ETCD}"),
        format!("--secure-port={port}"),
        format!("--bind-address={NODE}"),
        format!("--advertise-address={NODE}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--service-node-port-range=30000-32767".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--service-account-issuer={ISSUER}"),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        format!("--service-account-key-file={}", file("accounts.crt")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--kubelet-client-certificate={}", file("admin-client.crt")),
        format!("--kubelet-client-key={}", file("admin-client.key")),
        format!("--kubelet-certificate-authority={}", file("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--cert-dir={}", file("certificates")),
    ]
}

pub(super) fn controller_manager(folder: &Path) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--kubeconfig={}", file("admin.kubeconfig")),
        format!("--service-account-private-key-file={}", file("accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // Detects a lost node within seconds.
        "--node-monitor-grace-period=12s".to_owned(),
        "--node-monitor-period=2s".to_owned(),
    ]
}

pub(super) fn scheduler(folder: &Path) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", folder.join("admin.kubeconfig").display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ]
}

pub(super) fn kubelet(folder: &Path, node: &Node) -> Vec<String> {
    vec![
        format!("--config={}", node.folder.join("kubelet.json").display()),
        format!("--kubeconfig={}", folder.join(format!("{}.kubeconfig", node.name)).display()),
        format!("--root-dir={}", node.folder.join("kubelet").display()),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", node.address),
    ]
}

/// Writes the configuration of a node's containerd and kubelet.
pub(super) fn write_node(folder: &Path, node: &Node) -> Result<()> {
    let shared = |name: &str| folder.join(name).display().to_string();
    let file = |name: &str| node.folder.join(name).display().to_string();
    let cni = node.folder.join("cni");
    std::fs::create_dir_all(&cni)?;
    std::fs::create_dir_all(&node.run)?;
    std::fs::write(node.folder.join("containerd.toml"), containerd(node, &cni))?;
    std::fs::write(cni.join("10-bridge.conflist"), network(node).to_string())?;
    std::fs::write(node.folder.join("resolv.conf"), format!("nameserver {NODE}\n"))?;
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": node.address, "healthzBindAddress": node.address,
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": shared("ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": file("kubelet.crt"), "tlsPrivateKeyFile": file("kubelet.key"),
        "containerRuntimeEndpoint": format!("unix://{}/containerd.sock", node.run.display()),
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{}", node.cgroup),
        "failCgroupV1": false, "failSwapOn": false, "oomScoreAdj": 0,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "resolvConf": file("resolv.conf"), "clusterDNS": [NODE], "clusterDomain": "cluster.local",
        "volumePluginDir": file("volume-plugins"), "podLogsDir": file("pod-logs"),
        "maxPods": 60, "serializeImagePulls": false,
        // Tests change Secrets and lose nodes. The defaults take minutes.
        "syncFrequency": "10s", "nodeStatusUpdateFrequency": "4s",
    });
    std::fs::write(node.folder.join("kubelet.json"), kubelet.to_string())?;
    Ok(())
}

/// Writes the configuration of CoreDNS and kube-proxy, which serve all nodes.
pub(super) fn write_services(folder: &Path) -> Result<()> {
    let file = |name: &str| folder.join(name).display().to_string();
    // Only names of the cluster: tests must not query the resolver of the machine.
    let corefile = format!(
        ".:53 {{\n  bind {NODE}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n    pods insecure\n  }}\n}}\n",
        file("admin.kubeconfig")
    );
    std::fs::write(folder.join("Corefile"), corefile)?;
    let proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": file("admin.kubeconfig")},
        "mode": "iptables", "hostnameOverride": "node-1", "clusterCIDR": PODS, "oomScoreAdj": 0,
        "bindAddress": NODE, "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"masqueradeAll": true},
    });
    std::fs::write(folder.join("kube-proxy.json"), proxy.to_string())?;
    Ok(())
}

/// Configuration of containerd. Without `restrict_oom_score_adj`, every sandbox fails on a machine that cannot lower
/// oom_score_adj.
fn containerd(node: &Node, cni: &Path) -> String {
    format!(
        r#"version = 2
root = "{root}/containerd"
state = "{run}/containerd"
oom_score = 0
[grpc]
  address = "{run}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "steamer.test/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"#,
        root = node.folder.display(),
        run = node.run.display(),
        cni = cni.display()
    )
}

fn network(node: &Node) -> serde_json::Value {
    json!({
        "cniVersion": "0.4.0", "name": node.bridge,
        "plugins": [
            {
                "type": "bridge", "bridge": node.bridge, "isGateway": true, "ipMasq": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "dataDir": node.folder.join("addresses").display().to_string(),
                    "ranges": [[{"subnet": node.pods}]], "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// Removes processes, mounts, links, addresses, chains, namespaces and cgroups from the system.
pub(super) fn remove_from_system(folders: &[&Path], nodes: &[Node]) -> Result<()> {
    for node in nodes {
        node.end_processes()?;
    }
    crate::tools::unmount_below(folders);
    let quiet = |program: &str, arguments: &[&str]| drop(Command::new(program).args(arguments).output());
    quiet("ip", &["route", "delete", SERVICES, "dev", "lo"]);
    for node in nodes {
        quiet("ip", &["link", "delete", &node.bridge]);
        quiet("ip", &["addr", "del", &format!("{}/32", node.address), "dev", "lo"]);
    }
    for namespace in std::fs::read_dir("/var/run/netns").into_iter().flatten().flatten() {
        let name = namespace.file_name().to_string_lossy().into_owned();
        if name.starts_with("cni-") {
            quiet("ip", &["netns", "delete", &name]);
        }
    }
    remove_chains();
    for node in nodes {
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_cgroups(&hierarchy.path().join(&node.cgroup));
        }
        remove_cgroups(&Path::new("/sys/fs/cgroup").join(&node.cgroup));
    }
    Ok(())
}

/// Removes the chains that `kube-proxy --cleanup` leaves, and those of the port mappings.
fn remove_chains() {
    for table in ["nat", "filter", "mangle"] {
        let Ok(rules) = crate::tools::output(Command::new("iptables-save").args(["-t", table])) else {
            continue;
        };
        let ours = |name: &str| ["KUBE-", "CNI-"].iter().any(|prefix| name.starts_with(prefix));
        let kept: Vec<&str> = rules
            .lines()
            .filter(|line| !line.split_whitespace().any(|word| ours(word.trim_start_matches(':'))))
            .collect();
        if kept.len() < rules.lines().count() {
            restore(&kept.join("\n"));
        }
    }
}

fn restore(rules: &str) {
    use std::io::Write;
    let child = Command::new("iptables-restore").stdin(std::process::Stdio::piped()).spawn();
    if let Ok(mut child) = child {
        if let Some(mut input) = child.stdin.take() {
            let _ = writeln!(input, "{rules}");
        }
        let _ = child.wait();
    }
}

fn remove_cgroups(folder: &Path) {
    for child in
        std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|child| child.path().is_dir())
    {
        remove_cgroups(&child.path());
    }
    let _ = std::fs::remove_dir(folder);
}
