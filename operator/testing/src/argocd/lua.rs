//! Runs the Lua scripts of Argo CD.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::tools;

/// Use of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Health of an object.
    Health,
    /// Actions of an object.
    Discovery,
    /// One action.
    Action,
}

/// An interpreter of Lua.
pub struct Lua(PathBuf);

impl Lua {
    /// The interpreter of Argo CD with its libraries.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn interpreter() -> Result<Self> {
        tools::lua().map(Self)
    }

    /// The runner of Argo CD itself. Go builds it for minutes, once per machine.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn argo_cd() -> Result<Self> {
        tools::argocd().map(Self)
    }

    /// Runs a script with each object. Returns the results.
    ///
    /// # Errors
    /// When a script fails.
    pub fn run(&self, script: &str, used: Use, objects: &[Value]) -> Result<Vec<Value>> {
        let mut child = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let used = format!("{used:?}").to_lowercase();
        let line = |object| format!("{}\n", json!({"script": script, "use": used, "object": object}));
        let lines: String = objects.iter().map(line).collect();
        let mut input = child.stdin.take().context("no input")?;
        // The results would fill the pipe while this thread still writes.
        let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}: {}", self.0.display(), String::from_utf8_lossy(&output.stderr));
        }
        writer.join().map_err(|_| anyhow::anyhow!("the writer ended"))??;
        let results = String::from_utf8_lossy(&output.stdout);
        results.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}
