//! A relay beside an OpenBao of the control-plane tier.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::operator::binary;
use crate::ports;
use crate::process::{Program, Slot};

/// A relay that can be stopped and started again.
pub struct Relay {
    /// URL for its readers.
    pub url: String,
    /// URL for audit entries.
    pub audit_url: String,
    /// Token of its readers.
    pub token: &'static str,
    name: String,
    arguments: Vec<String>,
    logs: PathBuf,
    binary: PathBuf,
    process: Slot,
}

/// Files of a relay: the certificate of its node, and a folder for its logs.
pub struct Place<'a> {
    /// Certificate and key, without their endings `.crt` and `.key`.
    pub certificate: &'a Path,
    /// Folder of the log.
    pub logs: &'a Path,
    /// The operator's binary. Default: the one next to the running test.
    pub binary: Option<&'a Path>,
}

impl Relay {
    /// Prepares a relay with the certificate of its node. Does not start it.
    ///
    /// # Errors
    /// When the certificate cannot be copied, or no port is free.
    pub fn new(name: &str, place: &Place<'_>) -> Result<Self> {
        let folder = place.certificate.with_extension("relay");
        std::fs::create_dir_all(&folder)?;
        for ending in ["crt", "key"] {
            let from = place.certificate.with_extension(ending);
            std::fs::copy(&from, folder.join(format!("tls.{ending}")))
                .with_context(|| from.display().to_string())?;
        }
        let (token, token_file) = ("the token of the relay", folder.join("token"));
        std::fs::write(&token_file, token)?;
        let [address, audit_address] =
            [ports::free()?, ports::free()?].map(|port| format!("127.0.0.1:{port}"));
        let arguments = [
            "relay".to_owned(),
            format!("--address={address}"),
            format!("--audit-address={audit_address}"),
            format!("--token-file={}", token_file.display()),
            format!("--tls-folder={}", folder.display()),
        ];
        Ok(Self {
            url: format!("https://{address}"),
            audit_url: format!("http://{audit_address}/audit"),
            token,
            name: name.to_owned(),
            arguments: arguments.to_vec(),
            logs: place.logs.to_owned(),
            binary: place.binary.map_or_else(binary, |binary| Ok(binary.to_owned()))?,
            process: Slot::default(),
        })
    }

    /// Starts the relay. It exits with the calling thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<()> {
        let program = Program::new(&self.name, &self.binary).args(&self.arguments);
        self.process.start(program, &self.logs).map(drop)
    }

    /// Kills the relay and waits until it has exited.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Name, type and settings of the audit device that sends entries to the relay.
    #[must_use]
    pub fn audit_device(&self) -> Value {
        let options = json!({"uri": self.audit_url, "elide_list_responses": "true"});
        json!({"http": {"relay": {"description": "relay", "options": options}}})
    }
}
