//! Test binaries that start servers: how they are built, listed and run.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use steamer_testing::{cache, tools, turns};

use super::failures::{Failures, RESULT, Report, is_one_passed};

/// Threads of libtest: more than a binary has tests, so that all of them wait for a turn from the start.
const THREADS: &str = "--test-threads=256";
/// Tests of the control-plane tier that run at the same time.
const E2E_AT_ONCE: u64 = 3;
/// Tests of the nodes tier that run at the same time. Each one has three pods of OpenBao.
const NODES_AT_ONCE: u64 = 4;

/// Stack of each thread of a test in bytes: the futures of a whole cluster are large in a debug build.
const STACK: &str = "8388608";

/// A test binary that starts servers.
pub(super) struct Binary {
    pub(super) name: String,
    path: PathBuf,
}

/// A running test binary. Each line of its output is printed after the name of the binary.
pub(super) struct Run {
    pub(super) name: String,
    pub(super) child: Child,
    /// Returns the result in the output.
    pub(super) printer: JoinHandle<std::io::Result<Report>>,
}

/// A command of cargo. All of them select the whole workspace: with another selection, dependencies have other features, and
/// are compiled once more.
pub(super) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    // The variable of the outer `cargo run` causes a full rebuild.
    cargo.args(arguments).env_remove("CARGO_MANIFEST_DIR").current_dir(cache::checkout());
    cargo
}

/// Builds the end-to-end tests. Returns their binaries.
pub(super) fn build() -> Result<Vec<Binary>> {
    let format = "--message-format=json-render-diagnostics";
    let mut cargo = cargo(&["test", "--quiet", "--workspace", "--test", "*", "--no-run", format]);
    let output = cargo.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the end-to-end tests do not build");
    let text = String::from_utf8(output.stdout)?;
    let mut binaries = Vec::new();
    for message in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let is_test =
            message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
        if let (true, Some(path)) = (is_test, message["executable"].as_str()) {
            let name = message["target"]["name"].as_str().context("a target has no name")?;
            binaries.push(Binary { name: name.to_owned(), path: path.into() });
        }
    }
    if binaries.is_empty() {
        bail!("cargo reports no binary of the end-to-end tests");
    }
    Ok(binaries)
}

/// Tests of a binary that match a name.
pub(super) enum Matching {
    None,
    Tests,
    /// Only tests that a normal run ignores.
    Ignored,
}

impl Binary {
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).current_dir(cache::checkout().join("tests/e2e")).env("RUST_MIN_STACK", STACK);
        command
    }

    /// Same as [`Self::command`]. The end-to-end tests and their servers give way to the nodes, where a leader that gets no
    /// processor for some seconds is replaced.
    fn waiting(&self, arguments: &[&str]) -> Command {
        let command = self.command(arguments);
        if self.name == "nodes" {
            return command;
        }
        let mut waiting = Command::new("nice");
        waiting.arg("--adjustment=15").arg(command.get_program()).args(command.get_args());
        waiting.current_dir(cache::checkout().join("tests/e2e")).env("RUST_MIN_STACK", STACK);
        waiting
    }

    /// Runs a test alone and prints its output. Returns true if this test ran and passed.
    pub(super) fn passes(&self, test: &str) -> Result<bool> {
        let mut child = self.command(&[test, "--exact", "--nocapture"]).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut passed = false;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            passed |= is_one_passed(&line);
        }
        Ok(child.wait()?.success() && passed)
    }

    pub(super) fn matching(&self, name: &str) -> Result<Matching> {
        let listed = |more: &[&str]| -> Result<Vec<String>> {
            let text = tools::output(self.command(&["--list", "--format=terse"]).args(more))?;
            let tests = text.lines().filter_map(|line| line.strip_suffix(": test"));
            Ok(tests.filter(|test| test.contains(name)).map(str::to_owned).collect())
        };
        let (all, ignored) = (listed(&[])?, listed(&["--ignored"])?);
        Ok(match (all.len(), ignored.len()) {
            (0, _) => Matching::None,
            (all, ignored) if all == ignored => Matching::Ignored,
            _ => Matching::Tests,
        })
    }

    pub(super) fn start(&self, variables: &[(&str, String)], folder: Option<&Path>) -> Result<Run> {
        let at_once =
            match (variables.first().and_then(|(_, seed)| seed.parse::<u64>().ok()), self.name.as_str()) {
                (Some(seed), _) => 2 + seed % 5,
                (None, "nodes") => NODES_AT_ONCE,
                (None, _) => E2E_AT_ONCE,
            };
        let mut command = self.waiting(&[THREADS]);
        command
            .env(turns::AT_ONCE, at_once.to_string())
            .envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let copy =
            folder.map(|folder| File::create(folder.join(format!("{}.txt", self.name)))).transpose()?;
        let name = self.name.clone();
        let printer = std::thread::spawn(move || print(&name, output, copy));
        Ok(Run { name: self.name.clone(), child, printer })
    }
}

/// Prints the output of a binary, and copies it to a file. Returns the result.
fn print(name: &str, output: ChildStdout, mut copy: Option<File>) -> std::io::Result<Report> {
    let mut failures = Failures::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        // Tests that wait for their turn would fill the screen.
        if line.starts_with(RESULT) {
            println!("{name}:\n{line}");
        } else if !line.ends_with("has been running for over 60 seconds") {
            println!("{name}: {line}");
        }
        if let Some(copy) = &mut copy {
            writeln!(copy, "{line}")?;
        }
        failures.read(&line);
    }
    Ok(failures.report())
}
