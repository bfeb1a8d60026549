//! `make run`: a cluster with PostgreSQL, Steamer from its chart, the samples including an OpenBaoCluster, and a
//! demonstration.

mod cluster;
mod servers;
mod show;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Session};

use crate::cache;
use crate::issuer::JwtIssuer;
use crate::kubectl::{Kubectl, helm};
use crate::objects::yaml;
use crate::tools;
use crate::wait::eventually;

pub use cluster::stop;

/// Namespace of the servers.
pub const SERVERS: &str = "openbao";
/// Namespace of the application.
pub const APPLICATION: &str = "web";
/// Namespace of the operator.
pub const OPERATOR: &str = "steamer-system";
/// URL of the issuer of the demonstration, in the cluster.
pub const ISSUER_URL: &str = "http://gitlab.openbao.svc:8080";

/// Runs the demonstration. Prints each step and its duration.
///
/// # Errors
/// When a dependency is missing, or a step fails.
pub async fn run() -> Result<()> {
    let started = Instant::now();
    let cluster = cluster::running_or_new().await?;
    let kubectl = Kubectl::new(cluster.kubeconfig())?;
    let digest = cluster.images().await?;
    let secrets = servers::Secrets::load(cluster.folder())?;
    telling("starting PostgreSQL and a JWT issuer in pods", async {
        kubectl.apply_all(&servers::objects(&secrets)?)?;
        rolled_out(&kubectl, SERVERS, &["deployment/postgres", "deployment/gitlab"]).await
    })
    .await?;
    telling("installing the Steamer charts", async {
        let chart = |name: &str| cache::checkout().join("charts").join(name).display().to_string();
        helm(
            cluster.kubeconfig(),
            &[
                "upgrade",
                "--install",
                "steamer-crds",
                &chart("steamer-crds"),
                "--namespace",
                OPERATOR,
                "--create-namespace",
            ],
        )?;
        let values = format!("image.pullPolicy=Never,logFormat=human,podAnnotations.image={digest}");
        helm(
            cluster.kubeconfig(),
            &[
                "upgrade",
                "--install",
                "steamer",
                &chart("steamer"),
                "--namespace",
                OPERATOR,
                "--set",
                &values,
            ],
        )?;
        rolled_out(&kubectl, OPERATOR, &["deployment/steamer"]).await
    })
    .await?;
    telling("applying config/samples: Steamer creates an OpenBao cluster with three nodes", async {
        apply_samples(&kubectl)?;
        let waited = [
            "--namespace",
            SERVERS,
            "wait",
            "openbaocluster/main",
            "--for=condition=Ready",
            "--timeout=180s",
        ];
        kubectl.run(&waited).map(drop)
    })
    .await?;
    let bao = servers::login(&kubectl, &secrets, &cluster.bao_address()).await?;
    telling("waiting until all objects are Ready", async {
        show::database(&bao, &secrets).await?;
        show::values(&kubectl, &bao).await?;
        all_ready(&kubectl).await
    })
    .await?;
    let issuer = JwtIssuer::with_key(ISSUER_URL.to_owned(), "key-1", &secrets.issuer_key)?;
    show::show(&kubectl, &bao, &issuer).await?;
    let env = write_env(cluster.kubeconfig(), &bao, &secrets)?;
    println!(
        "\nFinished after {:.0}s. The cluster keeps running; `make stop` removes it. Next steps:\n",
        started.elapsed().as_secs_f64()
    );
    println!("  source {}", env.display());
    println!("  kubectl get openbao --all-namespaces");
    println!("  kubectl --namespace {APPLICATION} describe secretsproject web");
    println!(
        "  bao kv put -namespace=org_1/group_7/project_42 -mount=secrets/kv explicit/API_KEY value=changed"
    );
    println!(
        "  kubectl --namespace {APPLICATION} get secret api -o jsonpath='{{.data.value}}' | base64 -d\n"
    );
    println!("The first command adds kubectl and bao to PATH.");
    Ok(())
}

/// Runs a step, and prints its name and duration.
async fn telling<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let result = work.await;
    let word = if result.is_ok() { "done" } else { "failed" };
    eprintln!("    {word} after {:.1}s", started.elapsed().as_secs_f64());
    result
}

async fn rolled_out(kubectl: &Kubectl, namespace: &str, workloads: &[&str]) -> Result<()> {
    for workload in workloads {
        let waited =
            kubectl.run(&["--namespace", namespace, "rollout", "status", workload, "--timeout=120s"]);
        if let Err(error) = waited {
            let pods =
                kubectl.run(&["--namespace", namespace, "get", "pods", "-o", "wide"]).unwrap_or_default();
            let logs =
                kubectl.run(&["--namespace", namespace, "logs", workload, "--tail=10"]).unwrap_or_default();
            return Err(error.context(format!("{workload} does not become ready:\n{pods}\n{logs}")));
        }
    }
    Ok(())
}

/// Files of the samples, with the namespaces before the objects in them.
///
/// # Errors
/// When a file cannot be read.
pub fn samples() -> Result<Vec<(PathBuf, String)>> {
    let folder = cache::checkout().join("config/samples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "yaml") && !path.ends_with("kustomization.yaml")
        })
        .collect();
    files.sort_by_key(|path| (!path.ends_with("namespaces.yaml"), path.clone()));
    let read = |path: PathBuf| Ok((path.clone(), std::fs::read_to_string(path)?));
    files.into_iter().map(read).collect()
}

/// Files of the samples of the homelab, in the order of their kustomization.
///
/// # Errors
/// When a file cannot be read.
pub fn homelab() -> Result<Vec<(PathBuf, String)>> {
    let folder = cache::checkout().join("config/samples/homelab");
    let kustomization = yaml(&std::fs::read_to_string(folder.join("kustomization.yaml"))?)?;
    let resources = kustomization.iter().filter_map(|object| object["resources"].as_array()).flatten();
    let files = resources.filter_map(Value::as_str).map(|file| folder.join(file));
    files.map(|path| Ok((path.clone(), std::fs::read_to_string(path)?))).collect()
}

/// Creates the policy `push` of the samples: write values of project 42.
///
/// # Errors
/// The error of OpenBao.
pub async fn push_policy(admin: &Session) -> Result<()> {
    let project = "org_1/group_7/project_42";
    let path = |part: &str| format!("{project}/secrets/kv/{part}/explicit/*");
    let rules = json!({"capabilities": ["create", "read", "update", "delete"]});
    let mount = format!("{project}/sys/internal/ui/mounts/*");
    let policy =
        json!({"path": {path("data"): rules, path("metadata"): rules, mount: {"capabilities": ["read"]}}});
    let policy = json!({"policy": policy.to_string()});
    admin.request_any(Method::POST, "sys/policies/acl/push", Some(policy)).await?;
    Ok(())
}

/// Creates the PKI engine `pki` of the samples in the namespace of the session, with a root CA and the role `web`, and the
/// policy `certificates`, which may use them.
///
/// # Errors
/// The error of OpenBao.
pub async fn pki(admin: &Session) -> Result<()> {
    let post = async |path: &str, body: Value| admin.request_any(Method::POST, path, Some(body)).await;
    match post("sys/mounts/pki", json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}})).await {
        // The engine of an earlier run.
        Err(Error::InUse { .. }) => return Ok(()),
        result => result.map(drop)?,
    }
    post("pki/root/generate/internal", json!({"common_name": "Example CA", "ttl": "87600h"})).await?;
    let role = json!({
        "allowed_domains": "example.com", "allow_subdomains": true, "allow_bare_domains": true, "max_ttl": "720h",
        "allowed_uri_sans": "spiffe://example.com/*", "allowed_other_sans": "*", "allowed_user_ids": "*",
    });
    post("pki/roles/web", role).await?;
    let update = json!({"capabilities": ["update"]});
    let paths = ["pki/issue/web", "pki/issuer/default/issue/web", "pki/revoke"];
    let paths: serde_json::Map<_, _> =
        paths.map(|path| (path.to_owned(), update.clone())).into_iter().collect();
    let policy = json!({"policy": json!({"path": paths}).to_string()});
    post("sys/policies/acl/certificates", policy).await.map(drop)?;
    Ok(())
}

fn apply_samples(kubectl: &Kubectl) -> Result<()> {
    for (path, text) in samples()? {
        let objects: Vec<_> = yaml(&text)?.into_iter().map(servers::demonstrated).collect();
        kubectl.apply_all(&objects).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Waits until every Steamer object is Ready. The error lists the others with their reasons.
async fn all_ready(kubectl: &Kubectl) -> Result<()> {
    eventually("all objects are Ready", || async {
        let text = kubectl
            .run(&["get", "steamer", "--all-namespaces", "-o", "json"])
            .map_err(|error| error.to_string())?;
        let list: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let waiting: Vec<String> = items.iter().filter(|item| !ready(item)).map(name_of).collect();
        if items.is_empty() || !waiting.is_empty() { Err(waiting.join("; ")) } else { Ok(()) }
    })
    .await
}

fn ready(object: &serde_json::Value) -> bool {
    let current = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
    current && condition(object).is_some_and(|ready| ready["status"] == "True")
}

fn condition(object: &serde_json::Value) -> Option<&serde_json::Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == "Ready")
}

fn name_of(object: &serde_json::Value) -> String {
    let why = condition(object).map(|ready| format!("{}: {}", ready["reason"], ready["message"]));
    format!("{} {} ({})", object["kind"], object["metadata"]["name"], why.unwrap_or_default())
}

/// Writes variables for a shell, with absolute paths and quoted values. `PATH` starts with the folders of kubectl and bao.
fn write_env(kubeconfig: &Path, bao: &servers::Bao, secrets: &servers::Secrets) -> Result<PathBuf> {
    use secrecy::ExposeSecret;
    let path = cache::logs()?.join("env");
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let values = [
        ("KUBECONFIG", kubeconfig.display().to_string()),
        ("BAO_ADDR", bao.address.clone()),
        ("BAO_CACERT", secrets.ca_file.display().to_string()),
        ("BAO_TOKEN", bao.token.expose_secret().to_owned()),
    ];
    let text: String =
        values.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    let programs = [tools::kubernetes("kubectl")?, tools::bao(tools::OPENBAO)?];
    let folders = programs.iter().filter_map(|program| program.parent());
    let folders: Vec<String> = folders.map(|folder| quoted(&folder.display().to_string())).collect();
    std::fs::write(&path, format!("{text}export PATH={}:\"$PATH\"\n", folders.join(":")))?;
    tools::succeed(std::process::Command::new("chmod").arg("600").arg(&path))?;
    Ok(path)
}

/// Labels of the objects of the demonstration.
#[must_use]
pub fn labels() -> serde_json::Value {
    json!({"app.kubernetes.io/part-of": "steamer-demo"})
}
