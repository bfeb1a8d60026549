//! Key management servers that seals are tried on, on the host beside the nodes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use steamer_openbao::{Client, Identity, Session, Settings};

use crate::certificates::Authority;
use crate::nodes::NODE;
use crate::openbao::initialise;
use crate::process::{Process, Program};
use crate::wait::eventually;
use crate::{ports, tools};

/// A second OpenBao with a transit engine and a key `seal`. What it holds outlives a stop.
pub struct TransitServer {
    /// Its URL.
    pub address: String,
    /// A periodic token that may use the key and renew itself.
    pub token: String,
    root: String,
    config: PathBuf,
    logs: PathBuf,
    process: Option<Process>,
}

const POLICY: &str = r#"path "transit/encrypt/seal" { capabilities = ["update"] }
path "transit/decrypt/seal" { capabilities = ["update"] }
"#;
const RENEWAL: &str = r#"path "auth/token/renew-self" { capabilities = ["update"] }
"#;

impl TransitServer {
    /// Starts one and makes the key. Call it where it is to live: it ends with the calling thread.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(folder: &Path, logs: &Path) -> Result<Self> {
        let data = folder.join("raft");
        std::fs::create_dir_all(&data)?;
        let (port, cluster_port) = (ports::free()?, ports::free()?);
        let address = format!("http://{NODE}:{port}");
        let config = json!({
            "api_addr": address, "cluster_addr": format!("http://127.0.0.1:{cluster_port}"), "ui": false,
            "listener": [{"tcp": {"address": format!("{NODE}:{port}"), "cluster_address": format!("127.0.0.1:{cluster_port}"), "tls_disable": true}}],
            "storage": {"raft": {"path": data.display().to_string(), "node_id": "seal"}},
            "seal": {"static": {"current_key_id": "k", "current_key": "ab".repeat(32)}},
        });
        let file = folder.join("transit.json");
        std::fs::write(&file, config.to_string())?;
        let (token, root) = (String::new(), String::new());
        let mut server = Self { address, token, root, config: file, logs: logs.to_owned(), process: None };
        server.run_process()?;
        server.root = initialise(&server.settings(), 0).await?.expose_secret().to_owned();
        server.serves().await?;
        let session = server.session(&server.root)?;
        let post = |path: &'static str, body: Value| session.request_any(Method::POST, path, Some(body));
        post("sys/mounts/transit", json!({"type": "transit"})).await?;
        post("transit/keys/seal", json!({})).await?;
        post("sys/policies/acl/seal", json!({"policy": format!("{POLICY}{RENEWAL}")})).await?;
        post("sys/policies/acl/mortal", json!({"policy": POLICY})).await?;
        server.token = server.new_token("seal").await?;
        Ok(server)
    }

    /// A token that may use the key and not renew itself.
    ///
    /// # Errors
    /// What OpenBao says.
    pub async fn mortal_token(&self) -> Result<String> {
        self.new_token("mortal").await
    }

    async fn new_token(&self, policy: &str) -> Result<String> {
        let body =
            json!({"policies": [policy], "no_parent": true, "no_default_policy": true, "period": "24h"});
        let path = "auth/token/create";
        let answer = self.session(&self.root)?.request_any(Method::POST, path, Some(body)).await?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        token.map(str::to_owned).context("no token")
    }

    fn session(&self, token: &str) -> Result<Session> {
        let token: SecretString = token.to_owned().into();
        Ok(Client::new(&self.settings())?.session(Identity::Token(token)))
    }

    fn settings(&self) -> Settings {
        Settings {
            addresses: vec![self.address.clone()],
            timeout: Some(Duration::from_secs(10)),
            ..Settings::default()
        }
    }

    async fn serves(&self) -> Result<()> {
        let session = self.session("")?;
        eventually("the seal's OpenBao serves", || async {
            match session.health().await {
                Ok(health) if !health.sealed && !health.standby => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    fn run_process(&mut self) -> Result<()> {
        let program = Program::new("transit", &tools::bao(tools::OPENBAO)?)
            .args(["server", &format!("-config={}", self.config.display())]);
        self.process = Some(program.start(&self.logs)?);
        Ok(())
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn run(&mut self) -> Result<()> {
        self.run_process()?;
        self.serves().await
    }
}

/// A KMIP server with an AES key.
pub struct KmipServer {
    /// Host and port.
    pub endpoint: String,
    /// Id of the key.
    pub key_id: String,
    ca: String,
    certificate: String,
    key: String,
    _process: Process,
}

const MAKE_KEY: &str = "
import sys
from kmip.pie.client import ProxyKmipClient
from kmip.core import enums
host, port, cert, key, ca = sys.argv[1:6]
client = ProxyKmipClient(hostname=host, port=int(port), cert=cert, key=key, ca=ca, ssl_version='PROTOCOL_TLSv1_2',
                         kmip_version=enums.KMIPVersion.KMIP_1_4)
with client:
    uid = client.create(enums.CryptographicAlgorithm.AES, 256, name='seal',
                        cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT])
    client.activate(uid)
    print(uid)
";

impl KmipServer {
    /// Starts one and makes the key. Call it where it is to live: it ends with the calling thread.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(folder: &Path, logs: &Path) -> Result<Self> {
        let bin = tools::pykmip()?;
        std::fs::create_dir_all(folder.join("policies"))?;
        let authority = Authority::new("KMIP test CA")?;
        authority.leaf("kmip", None, &[NODE, "localhost"])?.write(folder, "server")?;
        let client = authority.leaf("openbao", None, &["openbao"])?;
        client.write(folder, "client")?;
        std::fs::write(folder.join("ca.crt"), &authority.pem)?;
        let port = ports::free()?;
        let file = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "[server]\nhostname={NODE}\nport={port}\ncertificate_path={}\nkey_path={}\nca_path={}\nauth_suite=TLS1.2\n\
             policy_path={}\nenable_tls_client_auth=True\nlogging_level=INFO\ndatabase_path={}\n",
            file("server.crt"),
            file("server.key"),
            file("ca.crt"),
            file("policies"),
            file("kmip.db"),
        );
        std::fs::write(folder.join("server.conf"), config)?;
        let process = Program::new("kmip", &bin.join("pykmip-server"))
            .args(["-f", &file("server.conf"), "-l", &file("server.log")])
            .start(logs)?;
        let made = eventually("the KMIP server makes a key", || async {
            tools::output(
                Command::new(bin.join("python3")).args(["-c", MAKE_KEY, NODE, &port.to_string()]).args([
                    file("client.crt"),
                    file("client.key"),
                    file("ca.crt"),
                ]),
            )
            .map_err(|error| error.to_string())
        })
        .await?;
        Ok(Self {
            endpoint: format!("{NODE}:{port}"),
            key_id: made.trim().to_owned(),
            ca: authority.pem,
            certificate: client.pem,
            key: client.key_pem,
            _process: process,
        })
    }

    /// The Secrets `kmip-client` and `kmip-ca`.
    #[must_use]
    pub fn secrets(&self, namespace: &str) -> Vec<Value> {
        let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data});
        vec![
            secret("kmip-client", json!({"tls.crt": self.certificate, "tls.key": self.key})),
            secret("kmip-ca", json!({"ca.crt": self.ca})),
        ]
    }
}
