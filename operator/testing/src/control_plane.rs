//! Kubernetes without nodes: etcd, API server and controller manager.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use steamer_runtime::kubernetes;

use crate::certificates::{Authority, Leaf};
use crate::plain_http;
use crate::ports;
use crate::process::{Process, Program, Server, Slot, while_running};
use crate::tools;

/// Issuer of ServiceAccount tokens, which is also the audience that the API server accepts.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Running servers.
pub struct ControlPlane {
    /// Kubeconfig of the administrator.
    pub kubeconfig: PathBuf,
    /// URL of the API server.
    pub url: String,
    /// CA of the API server, in PEM.
    pub ca: String,
    /// Audit log of the API server: one JSON line for each completed request.
    pub audit: PathBuf,
    /// URL of etcd.
    pub etcd: String,
    folder: PathBuf,
    logs: PathBuf,
    apiserver: Slot,
    others: Vec<Process>,
}

impl ControlPlane {
    /// Starts the servers, with their data in `folder` and their logs in `logs`.
    ///
    /// # Errors
    /// When a server does not start.
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
        let etcd = etcd(folder, logs, etcd_port)?;
        let etcd_server = etcd.server();
        let mut plane = Self {
            kubeconfig,
            url,
            ca: authority.pem.clone(),
            audit: folder.join("audit.log"),
            etcd: format!("http://127.0.0.1:{etcd_port}"),
            folder: folder.to_owned(),
            logs: logs.to_owned(),
            apiserver: Slot::default(),
            others: vec![etcd],
        };
        etcd_answers(&etcd_server, &plane.etcd).await?;
        plane.start_apiserver().await?;
        let manager = controller_manager(&plane)?;
        plane.has_default_account(&manager.server()).await?;
        plane.others.push(manager);
        Ok(plane)
    }

    /// Kills the API server and waits until it has exited.
    pub fn stop_apiserver(&self) {
        self.apiserver.stop();
    }

    /// Starts the API server, after the previous one has exited. It exits with the calling thread.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_apiserver(&self) -> Result<()> {
        let server = self.apiserver.start(apiserver(self)?, &self.logs)?;
        self.ready(&server).await
    }

    /// Sends a request to the JSON gateway of etcd.
    ///
    /// # Errors
    /// When etcd does not answer, or returns an error.
    pub async fn ask_etcd(&self, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
        ask_etcd(&self.etcd, path, body).await
    }

    /// Client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }

    /// Writes a kubeconfig with a token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.kubeconfig_file(name, &kubeconfig_text(&self.url, &self.ca, &Access::Token(token)))
    }

    /// Writes a kubeconfig with a token for a proxy of the API server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_through(&self, url: &str, name: &str, token: &str) -> Result<PathBuf> {
        self.kubeconfig_file(name, &kubeconfig_text(url, "", &Access::Token(token)))
    }

    /// Path of the kubeconfig with a name, whether it exists or not.
    #[must_use]
    pub fn kubeconfig_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.kubeconfig"))
    }

    fn kubeconfig_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.kubeconfig_path(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    async fn ready(&self, server: &Server) -> Result<()> {
        let client = self.client().await?;
        while_running(server, "the API server is ready", || async {
            let request =
                http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
            client.request_text(request).await.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    async fn has_default_account(&self, server: &Server) -> Result<()> {
        use k8s_openapi::api::core::v1::ServiceAccount;
        let accounts = kube::Api::<ServiceAccount>::namespaced(self.client().await?, "default");
        while_running(server, "the controller manager creates ServiceAccounts", || async {
            accounts.get("default").await.map_err(|error| error.to_string())
        })
        .await
        .map(drop)
    }
}

async fn ask_etcd(url: &str, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
    let http = plain_http::client()?;
    let answer = http.post(format!("{url}/v3/{path}")).json(body).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

/// Waits until etcd answers: the API server exits when etcd starts too late.
pub(crate) async fn etcd_answers(server: &Server, url: &str) -> Result<()> {
    while_running(server, "etcd answers", || async {
        let answer = ask_etcd(url, "maintenance/status", &json!({})).await;
        answer.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// Client for a kubeconfig.
///
/// # Errors
/// When the kubeconfig cannot be read.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(kubernetes::client(config, std::time::Duration::from_secs(300), || {})?)
}

/// Credential in a kubeconfig.
pub enum Access<'a> {
    /// Client certificate.
    Certificate(&'a Leaf),
    /// Bearer token.
    Token(&'a str),
}

/// Text of a kubeconfig.
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

fn apiserver(plane: &ControlPlane) -> Result<Program> {
    let file = |name: &str| plane.folder.join(name).display().to_string();
    let port = plane.url.rsplit(':').next().unwrap_or_default();
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [
            // Tests look for audiences in the requests.
            {"level": "Request", "resources": [{"group": "", "resources": ["serviceaccounts/token"]}]},
            {"level": "Metadata"},
        ],
    });
    std::fs::write(plane.folder.join("audit.json"), policy.to_string())?;
    let program = Program::new("kube-apiserver", &tools::kubernetes("kube-apiserver")?);
    Ok(program.args([
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
        // Large enough for one file without rotation: tests count its lines.
        "--audit-log-maxsize=4000".to_owned(),
    ]))
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
            // No controllers for nodes and pods.
            "--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller,clusterrole-aggregation-controller,root-ca-certificate-publisher-controller".to_owned(),
        ])
        .start(&plane.logs)
}
