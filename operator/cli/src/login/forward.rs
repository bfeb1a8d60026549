//! `kubectl port-forward`.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::connection::Connection;

/// Time within which kubectl reports the port.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two reads of its report.
const INTERVAL: Duration = Duration::from_millis(50);

/// A forwarded port. It ends when it is dropped.
pub(super) struct Forward {
    kubectl: Option<Child>,
    /// Port on the loopback interface.
    pub(super) port: u16,
}

impl Forward {
    /// Forwards a port to the Service of a managed cluster. kubectl reports each connection, so its output is a file: it would
    /// end at the first connection after this process has ended.
    ///
    /// # Errors
    /// When kubectl does not run, or is refused.
    pub(super) fn start(
        connection: &Connection,
        (namespace, service): (&str, &str),
        folder: &Path,
    ) -> Result<Self> {
        let path = folder.join(format!("port-forward-{}.log", std::process::id()));
        let place = || format!("cannot write {}", path.display());
        let output = File::create(&path).with_context(place)?;
        let mut command = Command::new("kubectl");
        command.args(connection.as_arguments());
        command.args(["--namespace", namespace, "port-forward", &format!("service/{service}"), ":8200"]);
        command.stdin(Stdio::null()).stderr(output.try_clone().with_context(place)?).stdout(output);
        let kubectl = command.spawn().context("cannot run kubectl: add it to PATH, or use --address")?;
        let mut forward = Self { kubectl: Some(kubectl), port: 0 };
        let reported = forward.reported(&path);
        let _ = std::fs::remove_file(&path);
        forward.port = reported?;
        Ok(forward)
    }

    /// Waits until kubectl reports the port. No other task waits for this thread.
    #[allow(clippy::disallowed_methods)]
    fn reported(&mut self, path: &Path) -> Result<u16> {
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(path)?;
            if let Some(port) = port(&text) {
                return Ok(port);
            }
            let ended = self.kubectl.as_mut().is_none_or(|kubectl| !matches!(kubectl.try_wait(), Ok(None)));
            if ended || begun.elapsed() > PATIENCE {
                bail!("kubectl port-forward does not work: {}; use --address", crate::style::line(&text));
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Leaves kubectl running, and returns the ID of its process.
    pub(super) fn left_running(mut self) -> u32 {
        self.kubectl.take().map_or(0, |kubectl| kubectl.id())
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if let Some(mut kubectl) = self.kubectl.take() {
            let _ = kubectl.kill();
            let _ = kubectl.wait();
        }
    }
}

/// The port in `Forwarding from 127.0.0.1:40001 -> 8200`.
fn port(report: &str) -> Option<u16> {
    report.split("127.0.0.1:").nth(1)?.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_reports_the_port() {
        assert_eq!(port("Forwarding from 127.0.0.1:40001 -> 8200\n"), Some(40_001));
        assert_eq!(port("Forwarding from 127.0.0.1:400"), None, "the line is not complete");
        assert_eq!(port("error: unable to forward"), None);
    }
}
