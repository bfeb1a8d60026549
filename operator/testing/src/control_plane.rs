//! A Kubernetes without nodes: etcd, API server, controller manager.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use steamer_runtime::kubernetes;

use crate::certificates::{Authority, Leaf};
use crate::ports;
use crate::process::{Process, Program, tail};
use crate::tools;
use crate::wait::eventually;

/// The issuer of ServiceAccount tokens, and so the audience that the API server accepts.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Running servers.
pub struct ControlPlane {
    /// Kubeconfig of an administrator.
    pub kubeconfig: PathBuf,
    /// URL of the API server.
    pub url: String,
    /// Its CA, in PEM.
    pub ca: String,
    /// One JSON line for each request the API server has answered.
    pub audit: PathBuf,
    /// URL of etcd.
    pub etcd: String,
    folder: PathBuf,
    logs: PathBuf,
    apiserver: Mutex<Option<Process>>,
    others: Vec<Process>,
}

impl ControlPlane {
    /// Starts one; its data lies in `folder`, its output in `logs`.
    ///
    /// # Errors
    /// When a server does not come up.
    pub async fn start(folder: &Path, logs: &Path) -> Result<Self> {
        let authority = Authority::new("Kubernetes test CA")?;
        let names = [
            "127.0.0.1",
            "10.96.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        authority.leaf("kube-apiserver", None, &names)?.write(folder, "apiserver")?;
        authority.leaf("service-accounts", None, &[])?.write(folder, "accounts")?;
        std::fs::write(folder.join("ca.crt"), &authority.pem)?;
        let (etcd_port, port) = (ports::free()?, ports::free()?);
        let url = format!("https://127.0.0.1:{port}");
        let admin = authority.leaf("admin", Some("system:masters"), &[])?;
        let kubeconfig = folder.join("admin.kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_text(&url, &authority.pem, &Access::Certificate(&admin)))?;
        let mut plane = Self {
            kubeconfig,
            url,
            ca: authority.pem.clone(),
            audit: folder.join("audit.log"),
            etcd: format!("http://127.0.0.1:{etcd_port}"),
            folder: folder.to_owned(),
            logs: logs.to_owned(),
            apiserver: Mutex::default(),
            others: vec![etcd(folder, logs, etcd_port)?],
        };
        plane.has_etcd().await?;
        plane.start_apiserver().await?;
        plane.others.push(controller_manager(&plane)?);
        plane.has_default_account().await?;
        Ok(plane)
    }

    /// Kills the API server.
    pub fn stop_apiserver(&self) {
        *self.running() = None;
    }

    /// Starts the API server. Call it where it is to live: it ends with the calling thread.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_apiserver(&self) -> Result<()> {
        *self.running() = Some(apiserver(self)?);
        self.ready().await
    }

    /// Asks etcd, by its JSON gateway.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask_etcd(&self, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.post(format!("{}/v3/{path}", self.etcd)).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    fn running(&self) -> MutexGuard<'_, Option<Process>> {
        self.apiserver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }

    /// Writes a kubeconfig for the holder of a token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.kubeconfig_file(name, &kubeconfig_text(&self.url, &self.ca, &Access::Token(token)))
    }

    /// The same through a proxy of the API server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_through(&self, url: &str, name: &str, token: &str) -> Result<PathBuf> {
        self.kubeconfig_file(name, &kubeconfig_text(url, "", &Access::Token(token)))
    }

    /// Where the kubeconfig of that name is, or will be.
    #[must_use]
    pub fn kubeconfig_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.kubeconfig"))
    }

    fn kubeconfig_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.kubeconfig_path(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    async fn ready(&self) -> Result<()> {
        let client = self.client().await?;
        eventually("the API server is ready", || async {
            if let Some(Err(ended)) = self.running().as_mut().map(Process::alive) {
                return Ok(Err(ended));
            }
            let request =
                http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
            client.request_text(request).await.map(|_| Ok(())).map_err(|error| error.to_string())
        })
        .await?
    }

    /// The API server gives up when etcd comes too late.
    async fn has_etcd(&self) -> Result<()> {
        let answers = || async {
            let answer = self.ask_etcd("maintenance/status", &json!({})).await;
            answer.map(drop).map_err(|error| error.to_string())
        };
        eventually("etcd answers", answers)
            .await
            .with_context(|| format!("etcd.log ends with:\n{}", tail(&self.logs.join("etcd.log"))))
    }

    async fn has_default_account(&self) -> Result<()> {
        use k8s_openapi::api::core::v1::ServiceAccount;
        let accounts = kube::Api::<ServiceAccount>::namespaced(self.client().await?, "default");
        eventually("the controller manager works", || async {
            accounts.get("default").await.map_err(|error| error.to_string())
        })
        .await
        .map(drop)
    }
}

/// A client by kubeconfig.
///
/// # Errors
/// When it cannot be read.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(kubernetes::client(config, std::time::Duration::from_secs(300), || {})?)
}

/// What a kubeconfig holds to log in with.
pub enum Access<'a> {
    /// A client certificate.
    Certificate(&'a Leaf),
    /// A bearer token.
    Token(&'a str),
}

/// The text of a kubeconfig.
#[must_use]
pub fn kubeconfig_text(url: &str, ca: &str, access: &Access<'_>) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let user = match access {
        Access::Certificate(leaf) => {
            json!({"client-certificate-data": encode(&leaf.pem), "client-key-data": encode(&leaf.key_pem)})
        }
        Access::Token(token) => json!({"token": token}),
    };
    let mut cluster = json!({"server": url});
    if !ca.is_empty() {
        cluster["certificate-authority-data"] = json!(encode(ca));
    }
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "ground",
        "clusters": [{"name": "ground", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "ground", "context": {"cluster": "ground", "user": "user"}}],
    })
    .to_string()
}

fn etcd(folder: &Path, logs: &Path, port: u16) -> Result<Process> {
    let peer = ports::free()?;
    Program::new("etcd", &tools::etcd()?)
        .args([
            format!("--data-dir={}", folder.join("etcd").display()),
            format!("--listen-client-urls=http://127.0.0.1:{port}"),
            format!("--advertise-client-urls=http://127.0.0.1:{port}"),
            format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ])
        .start(logs)
}

fn apiserver(plane: &ControlPlane) -> Result<Process> {
    let file = |name: &str| plane.folder.join(name).display().to_string();
    let port = plane.url.rsplit(':').next().unwrap_or_default();
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    });
    std::fs::write(plane.folder.join("audit.json"), policy.to_string())?;
    Program::new("kube-apiserver", &tools::kubernetes("kube-apiserver")?)
        .args([
            format!("--etcd-servers={}", plane.etcd),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            format!("--service-account-issuer={ISSUER}"),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            format!("--service-account-key-file={}", file("accounts.crt")),
            format!("--client-ca-file={}", file("ca.crt")),
            format!("--tls-cert-file={}", file("apiserver.crt")),
            format!("--tls-private-key-file={}", file("apiserver.key")),
            format!("--cert-dir={}", file("certificates")),
            format!("--audit-policy-file={}", file("audit.json")),
            format!("--audit-log-path={}", file("audit.log")),
            // One file, however much is asked: tests count in it.
            "--audit-log-maxsize=4000".to_owned(),
        ])
        .start(&plane.logs)
}

fn controller_manager(plane: &ControlPlane) -> Result<Process> {
    let file = |name: &str| plane.folder.join(name).display().to_string();
    Program::new("kube-controller-manager", &tools::kubernetes("kube-controller-manager")?)
        .args([
            format!("--kubeconfig={}", plane.kubeconfig.display()),
            format!("--service-account-private-key-file={}", file("accounts.key")),
            format!("--root-ca-file={}", file("ca.crt")),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // What collects garbage, ends namespaces and makes accounts; nothing of nodes and pods.
            "--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller,root-ca-certificate-publisher-controller".to_owned(),
        ])
        .start(&plane.logs)
}
