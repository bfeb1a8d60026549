//! KMIP server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Server;
use crate::certificates::Authority;
use crate::fleet::Fleet;
use crate::tools;

/// A KMIP server with an AES key.
pub struct KmipServer {
    /// Host and port.
    pub endpoint: String,
    /// Id of the AES key.
    pub key_id: String,
    ca: String,
    certificate: String,
    key: String,
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
    /// Starts the server and creates the key.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start(fleet: &Fleet, name: &str) -> Result<Self> {
        let bin = tools::pykmip()?;
        let server = Server::new(fleet, name, 5696).await?;
        let folder: &Path = &server.folder;
        std::fs::create_dir_all(folder.join("policies"))?;
        let authority = Authority::new("KMIP test CA")?;
        authority.leaf("kmip", None, &[&server.address, "localhost"])?.write(folder, "server")?;
        let client = authority.leaf("openbao", None, &["openbao"])?;
        client.write(folder, "client")?;
        std::fs::write(folder.join("ca.crt"), &authority.pem)?;
        let file = |name: &str| server.file(name);
        let config = format!(
            "[server]\nhostname=0.0.0.0\nport=5696\ncertificate_path={}\nkey_path={}\nca_path={}\nauth_suite=TLS1.2\n\
             policy_path={}\nenable_tls_client_auth=True\nlogging_level=INFO\ndatabase_path={}\n",
            file("server.crt"),
            file("server.key"),
            file("ca.crt"),
            file("policies"),
            file("kmip.db"),
        );
        std::fs::write(folder.join("server.conf"), config)?;
        let container = json!({
            "name": "kmip", "image": crate::image::pause()?.name, "securityContext": {"runAsUser": 0},
            "command": [bin.join("pykmip-server"), "-f", file("server.conf"), "-l", file("server.log")],
        });
        server.make(&container, &python(&bin)?).await?;
        let made =
            server
                .while_running("the KMIP server creates a key", || async {
                    tools::output(
                        Command::new(bin.join("python3"))
                            .args(["-c", MAKE_KEY, &server.address, "5696"])
                            .args([file("client.crt"), file("client.key"), file("ca.crt")]),
                    )
                    .map_err(|error| error.to_string())
                })
                .await?;
        Ok(Self {
            endpoint: format!("{}:5696", server.address),
            key_id: made.trim().to_owned(),
            ca: authority.pem,
            certificate: client.pem,
            key: client.key_pem,
        })
    }

    /// Secrets `kmip-client` and `kmip-ca`.
    #[must_use]
    pub fn secrets(&self, namespace: &str) -> Vec<Value> {
        let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data});
        vec![
            secret("kmip-client", json!({"tls.crt": self.certificate, "tls.key": self.key})),
            secret("kmip-ca", json!({"ca.crt": self.ca})),
        ]
    }
}

/// Folders that a Python of the host needs in a pod: the interpreter, its packages and the libraries of the system.
fn python(bin: &Path) -> Result<Vec<PathBuf>> {
    let base =
        tools::output(Command::new(bin.join("python3")).args(["-c", "import sys; print(sys.base_prefix)"]))?;
    let packages = bin.parent().context("a folder")?.to_owned();
    let mut all: Vec<PathBuf> =
        ["/usr", "/lib", "/lib64"].map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
    let base = PathBuf::from(base.trim());
    if !base.starts_with("/usr") {
        all.push(base);
    }
    all.push(packages);
    Ok(all)
}
