//! Status of objects as kstatus computes it for Flux.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tools;

/// Returns `Current`, `InProgress`, `Failed`, `Terminating` or `NotFound` for each object, with the message.
///
/// # Errors
/// When the tool cannot be built, or a value is not a Kubernetes object.
pub fn kstatus(objects: &[Value]) -> Result<Vec<String>> {
    let mut child = Command::new(tools::kstatus()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    child.stdin.take().context("no input")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("kstatus: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
