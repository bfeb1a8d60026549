//! kubectl and helm with a kubeconfig.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tools;

/// kubectl with a kubeconfig.
#[derive(Clone)]
pub struct Kubectl {
    program: PathBuf,
    /// Path of the kubeconfig.
    pub kubeconfig: PathBuf,
}

impl Kubectl {
    /// kubectl for the cluster of a kubeconfig.
    ///
    /// # Errors
    /// When kubectl cannot be built.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        Ok(Self { program: tools::kubernetes("kubectl")?, kubeconfig: kubeconfig.to_owned() })
    }

    /// Command that runs kubectl.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments);
        command
    }

    /// Runs kubectl and returns its output.
    ///
    /// # Errors
    /// The last lines of the output when kubectl fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        tools::output(&mut self.command(arguments))
    }

    /// Applies YAML or JSON server-side, with field manager `demo`.
    ///
    /// # Errors
    /// The output of kubectl.
    pub fn apply(&self, text: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .env("KUBECONFIG", &self.kubeconfig)
            .args([
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=demo",
                "--validate=strict",
                "-f",
                "-",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no input")?.write_all(text.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies objects.
    ///
    /// # Errors
    /// The output of kubectl.
    pub fn apply_all(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.apply(&list.to_string()).map(drop)
    }
}

/// Installs or upgrades a chart.
///
/// # Errors
/// The output of helm.
pub fn helm(kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
    tools::output(Command::new(tools::helm()?).env("KUBECONFIG", kubeconfig).args(arguments))
}
