//! Tools that are built from Go modules, once per machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{KUBERNETES, lock, output, step, succeed};
use crate::cache;

/// A Go module of `operator/testing/tools` and its programs.
struct GoTool {
    module: &'static str,
    packages: &'static [&'static str],
    programs: &'static [&'static str],
}

const KUBERNETES_TOOLS: GoTool = GoTool {
    module: "kubernetes",
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kubectl",
    ],
    programs: &[
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ],
};
const ETCD: GoTool = GoTool { module: "etcd", packages: &["go.etcd.io/etcd/server/v3"], programs: &["etcd"] };
const HELM: GoTool = GoTool { module: "helm", packages: &["helm.sh/helm/v3/cmd/helm"], programs: &["helm"] };
const COREDNS: GoTool =
    GoTool { module: "coredns", packages: &["github.com/coredns/coredns"], programs: &["coredns"] };

const PAUSE: GoTool = GoTool { module: "pause", packages: &["."], programs: &["pause"] };

const KSTATUS: GoTool = GoTool { module: "kstatus", packages: &["."], programs: &["kstatus"] };

const LUA: GoTool = GoTool { module: "lua", packages: &["."], programs: &["lua"] };

const ARGOCD: GoTool = GoTool { module: "argocd", packages: &["."], programs: &["argocd"] };

/// Path of the interpreter of Lua that Argo CD uses.
///
/// # Errors
/// As [`kubernetes`].
pub fn lua() -> Result<PathBuf> {
    go_tool(&LUA, "lua")
}

/// Path of the program that contains Argo CD's runner of scripts.
///
/// # Errors
/// As [`kubernetes`].
pub fn argocd() -> Result<PathBuf> {
    go_tool(&ARGOCD, "argocd")
}

/// Path of the tool that computes the status of objects as Flux does.
///
/// # Errors
/// As [`kubernetes`].
pub fn kstatus() -> Result<PathBuf> {
    go_tool(&KSTATUS, "kstatus")
}

/// Path of the program of the pod sandbox.
///
/// # Errors
/// As [`kubernetes`].
pub fn pause() -> Result<PathBuf> {
    go_tool(&PAUSE, "pause")
}

/// Path of a program of Kubernetes.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn kubernetes(program: &str) -> Result<PathBuf> {
    go_tool(&KUBERNETES_TOOLS, program)
}

/// Path of etcd.
///
/// # Errors
/// As [`kubernetes`].
pub fn etcd() -> Result<PathBuf> {
    go_tool(&ETCD, "etcd")
}

/// Path of Helm.
///
/// # Errors
/// As [`kubernetes`].
pub fn helm() -> Result<PathBuf> {
    go_tool(&HELM, "helm")
}

/// Path of `CoreDNS`.
///
/// # Errors
/// As [`kubernetes`].
pub fn coredns() -> Result<PathBuf> {
    go_tool(&COREDNS, "coredns")
}

fn go_tool(tool: &GoTool, program: &str) -> Result<PathBuf> {
    let source = cache::checkout().join("operator/testing/tools").join(tool.module);
    let main = source.join("main.go");
    let of = if main.exists() { cache::digest(&main)? } else { String::new() };
    let folder = format!("{}-{}{of}", tool.module, cache::digest(&source.join("go.mod"))?);
    let folder = cache::root().join("tools").join(folder);
    let path = folder.join(program);
    if path.exists() {
        return Ok(path);
    }
    let _lock = lock(tool.module)?;
    if !path.exists() {
        step(&format!("building {} with Go, once per machine", tool.programs.join(", ")), || {
            build(tool, &source, &folder)
        })?;
    }
    Ok(path)
}

fn build(tool: &GoTool, source: &Path, folder: &Path) -> Result<()> {
    let made = folder.with_extension("making");
    std::fs::create_dir_all(&made)?;
    let (major, minor) = ("1", KUBERNETES.split('.').nth(1).unwrap_or_default());
    let stamp = "-X k8s.io/component-base/version";
    let flags =
        format!("-s -w {stamp}.gitVersion={KUBERNETES} {stamp}.gitMajor={major} {stamp}.gitMinor={minor}");
    for (package, program) in tool.packages.iter().zip(tool.programs) {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(made.join(program)).arg(package);
        go.current_dir(source).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
        succeed(&mut go).with_context(|| format!("cannot build {program}"))?;
    }
    std::fs::rename(&made, folder).context("cannot move the tools into the cache")
}

/// Files with the CustomResourceDefinitions of HTTPRoute, BackendTLSPolicy, ServiceMonitor and PrometheusRule, as released by their
/// projects.
///
/// # Errors
/// When a module cannot be downloaded.
pub fn route_definitions() -> Result<Vec<PathBuf>> {
    let gateway =
        module("sigs.k8s.io/gateway-api@v1.4.0", "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=")?;
    let gateway = gateway.join("config/crd/standard");
    let prometheus = module(
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    )?;
    let prometheus = prometheus.join("example/prometheus-operator-crd");
    Ok(vec![
        gateway.join("gateway.networking.k8s.io_httproutes.yaml"),
        gateway.join("gateway.networking.k8s.io_backendtlspolicies.yaml"),
        prometheus.join("monitoring.coreos.com_servicemonitors.yaml"),
        prometheus.join("monitoring.coreos.com_prometheusrules.yaml"),
    ])
}

/// Downloads a Go module and checks its hash. Returns its folder.
fn module(module: &str, sum: &str) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", module]).current_dir(std::env::temp_dir());
    // This function checks the hash itself.
    let text = output(go.env("GOSUMDB", "off"))?;
    let told: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(told["Sum"] == sum, "{module} has an unexpected hash: {}", told["Sum"]);
    Ok(PathBuf::from(told["Dir"].as_str().context("go mod download reports no folder")?))
}
