//! OpenBao of the control-plane tier: on PostgreSQL, with TLS and a static seal, like the pods of `make run`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use steamer_openbao::{Client, Error, Identity, Outgoing, Session, Settings};

use crate::certificates::Authority;
use crate::ports;
use crate::process::{Program, Slot, while_running};
use crate::tools;
use crate::wait::{DEADLINE, eventually};

/// A server that can be stopped and started again.
pub struct OpenBao {
    /// URL of the server.
    pub url: String,
    /// CA of its certificate, in PEM.
    pub ca: String,
    /// Root token.
    pub root: SecretString,
    /// Audience of the operator's login, which identifies the server.
    pub audience: String,
    /// Audit log: one JSON line for each request and each response.
    pub audit: PathBuf,
    config: PathBuf,
    logs: PathBuf,
    name: String,
    server: Slot,
}

/// Server configuration as JSON. OpenBao's HCL decoder misreads a labeled block with a single key, so each labeled
/// block has at least two.
#[must_use]
pub fn configuration(url: &str, listener: &Value, connection_url: &str) -> Value {
    let key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    json!({
        "api_addr": url, "cluster_addr": url, "ui": false, "log_format": "json",
        "listener": [{"tcp": listener}],
        "storage": {"postgresql": {
            "connection_url": connection_url, "ha_enabled": "true", "max_parallel": "16",
            "max_idle_connections": "16", "transaction_max_parallel": "14", "max_connect_retries": "0", "skip_create_table": "true",
        }},
        "seal": {"static": {"current_key_id": "k1", "current_key": key}},
    })
}

impl OpenBao {
    /// Starts and initializes a server on its own database.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(name: &str, folder: &Path, logs: &Path, connection_url: &str) -> Result<Self> {
        let audit = folder.join(format!("{name}.audit"));
        let mut server = Self::new(name, folder, (logs, &audit), connection_url)?;
        server.run()?;
        server.answers().await?;
        server.root = initialize(&server.settings(), 0).await?;
        server.serves().await?;
        Ok(server)
    }

    /// Starts another node on the same database, as a standby.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn join(&self, name: &str, folder: &Path, connection_url: &str) -> Result<Self> {
        // One audit log for all nodes: a node cannot become the leader if its audit device differs from the stored one.
        let mut server = Self::new(name, folder, (&self.logs, &self.audit), connection_url)?;
        server.root = self.root.clone();
        server.audience = self.audience.clone();
        server.run()?;
        let session = server.client()?.session(Identity::Anonymous);
        while_running(&server.server.server()?, "the node is a standby", || async {
            match session.health().await {
                Ok(health) if !health.sealed && health.standby => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        Ok(server)
    }

    fn new(name: &str, folder: &Path, (logs, audit): (&Path, &Path), connection_url: &str) -> Result<Self> {
        let authority = Authority::new("OpenBao test CA")?;
        authority.leaf("openbao", None, &["127.0.0.1", "localhost"])?.write(folder, name)?;
        let (port, cluster) = (ports::free()?, ports::free()?);
        let url = format!("https://127.0.0.1:{port}");
        let file = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
        let listener = json!({
            "address": format!("127.0.0.1:{port}"), "cluster_address": format!("127.0.0.1:{cluster}"),
            "tls_cert_file": file("crt"), "tls_key_file": file("key"),
            // Tests write values with thousands of keys; the default limit is 1000 strings.
            "max_request_json_strings": 100_000, "max_request_json_memory": 64 << 20,
        });
        let config = folder.join(format!("{name}.json"));
        let mut text = configuration(&url, &listener, connection_url);
        text["cluster_addr"] = json!(format!("https://127.0.0.1:{cluster}"));
        let options = json!({"file_path": audit.display().to_string()});
        text["audit"] = json!([{"file": {"requests": {"description": "every request", "options": options}}}]);
        std::fs::write(&config, text.to_string())?;
        Ok(Self {
            url,
            ca: authority.pem.clone(),
            root: SecretString::default(),
            audience: "openbao".to_owned(),
            audit: audit.to_owned(),
            config,
            logs: logs.to_owned(),
            name: name.to_owned(),
            server: Slot::default(),
        })
    }

    /// Starts the server, after every process of the previous one has exited. It exits with the calling thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&mut self) -> Result<()> {
        self.run_with(&self.config.clone())
    }

    /// Starts the server with a different seal key: it runs and stays sealed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_sealed(&mut self) -> Result<()> {
        let text = std::fs::read_to_string(&self.config)?;
        let mut other: Value = serde_json::from_str(&text)?;
        other["seal"] = json!({"static": {"current_key_id": "k2", "current_key": "f".repeat(64)}});
        let config = self.config.with_extension("sealed.json");
        std::fs::write(&config, other.to_string())?;
        self.run_with(&config)
    }

    fn run_with(&mut self, config: &Path) -> Result<()> {
        let program = Program::new(&self.name, &tools::bao(tools::OPENBAO)?);
        let config = format!("-config={}", config.display());
        self.server.start(program.args(["server", &config]), &self.logs).map(drop)
    }

    /// Adds an audit device to the running server, and waits until it is in use.
    ///
    /// # Errors
    /// When the server does not accept the device before the deadline.
    pub async fn add_audit_device(&self, device: Value) -> Result<()> {
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&self.config)?)?;
        let devices = config["audit"].as_array_mut().context("the server has no audit devices")?;
        devices.push(device);
        let expected = devices.len();
        std::fs::write(&self.config, config.to_string())?;
        self.server.signal("HUP")?;
        let admin = self.admin()?;
        eventually("the audit device is in use", || async {
            let answer =
                admin.request_any(Method::GET, "sys/audit", None).await.map_err(|error| error.to_string())?;
            let devices = answer["data"].as_object().map_or(0, serde_json::Map::len);
            if devices == expected { Ok(()) } else { Err(format!("{devices} devices")) }
        })
        .await
    }

    /// Certificate and key of the server, without their endings `.crt` and `.key`.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.config.with_extension("")
    }

    /// Kills the server and waits until it has exited.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Client of the server.
    ///
    /// # Errors
    /// When the CA cannot be read.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(&self.settings())?)
    }

    fn settings(&self) -> Settings {
        Settings {
            addresses: vec![self.url.clone()],
            ca: self.ca.clone().into_bytes(),
            timeout: Some(Duration::from_secs(60)),
            outgoing: Outgoing::LOOPBACK,
            ..Settings::default()
        }
    }

    /// Session with the root token.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub fn admin(&self) -> Result<Session> {
        Ok(self.client()?.session(Identity::Token(self.root.clone())))
    }

    /// Waits until the server answers, initialized or not.
    async fn answers(&self) -> Result<()> {
        let session = self.client()?.session(Identity::Anonymous);
        while_running(&self.server.server()?, "OpenBao answers", || async { seal_status(&session).await })
            .await
    }

    /// Waits until the server is unsealed and the leader.
    ///
    /// # Errors
    /// When the server exits or the deadline passes.
    pub async fn serves(&self) -> Result<()> {
        let session = self.client()?.session(Identity::Anonymous);
        while_running(&self.server.server()?, "OpenBao serves", || async {
            match session.health().await {
                Ok(health) if !health.sealed && !health.standby => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}

/// Requests the seal status, which any server answers.
pub(crate) async fn seal_status(session: &Session) -> Result<(), String> {
    let status = session.request_any(Method::GET, "sys/seal-status", None).await;
    status.map(drop).map_err(|error| error.to_string())
}

/// Mounts a KV v2 engine and waits until it accepts writes: OpenBao prepares a new engine in the background.
///
/// # Errors
/// The error of OpenBao.
pub async fn mount_kv(admin: &Session, path: &str) -> Result<()> {
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    match admin.request_any(Method::POST, &format!("sys/mounts/{path}"), Some(mount)).await {
        // The response was lost and the client repeated the request.
        Ok(_) | Err(Error::InUse { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    eventually("the engine accepts writes", || async {
        admin.write_kv2(path, "first", &json!({})).await.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// Returns true if OpenBao refuses a request of a login. A missing value and an invalid request are no refusal.
///
/// # Errors
/// Any other error of OpenBao.
pub async fn denied(session: &Session, method: Method, path: &str, body: Option<Value>) -> Result<bool> {
    match session.request_any(method, path, body).await {
        Err(Error::Denied { .. }) => Ok(true),
        Ok(_) | Err(Error::NotFound { .. } | Error::Invalid { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Initializes a server with a number of recovery keys and returns the root token. Sends the request once, and only to
/// a server that answers: OpenBao does not repeat a lost response.
///
/// # Errors
/// The error of OpenBao.
pub async fn initialize(settings: &Settings, shares: u8) -> Result<SecretString> {
    let patient = Settings { timeout: Some(DEADLINE), patience: Some(Duration::ZERO), ..settings.clone() };
    let session = Client::new(&patient)?.session(Identity::Anonymous);
    eventually("OpenBao answers", || async { seal_status(&session).await }).await?;
    let body = json!({"recovery_shares": shares, "recovery_threshold": shares});
    let answer = session.request_any(Method::PUT, "sys/init", Some(body)).await?;
    let token = answer.get("root_token").and_then(Value::as_str).context("no root token")?;
    Ok(token.to_owned().into())
}
