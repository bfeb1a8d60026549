//! Runs the tests: all of them, one of them, or in random order for hours.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use serde_json::Value;
use steamer_testing::{cache, durations, tools, turns};

/// Threads of libtest: more than a binary has tests, so that all of them wait for a turn from the start.
const THREADS: &str = "--test-threads=256";
/// Tests of the control-plane tier that run at the same time.
const E2E_AT_ONCE: u64 = 6;
/// Tests of the nodes tier that run at the same time. Each one has three pods of OpenBao.
const NODES_AT_ONCE: u64 = 4;
/// Number of tests in the list of the slowest ones.
const SLOWEST: usize = 20;

#[derive(Args)]
pub(super) struct Options {
    /// Runs the tests with this text in their names, and shows their output.
    #[arg(long)]
    only: Option<String>,
    /// Runs only the end-to-end tests.
    #[arg(long)]
    end_to_end: bool,
}

#[derive(Args)]
pub(super) struct SoakOptions {
    /// Hours after which no further round starts.
    #[arg(long, default_value_t = 8.0)]
    hours: f64,
    /// Maximum number of rounds.
    #[arg(long, default_value_t = usize::MAX)]
    rounds: usize,
    /// Number of killed leaders in the failover test; other faults are repeated in proportion.
    #[arg(long, default_value_t = 5)]
    times: u32,
    /// Seed of the first round. Default: random.
    #[arg(long)]
    seed: Option<u64>,
}

/// A test binary that starts servers.
struct Binary {
    name: String,
    path: PathBuf,
}

/// A running test binary. Each line of its output is printed after the name of the binary.
struct Run {
    name: String,
    child: Child,
    printer: JoinHandle<std::io::Result<()>>,
}

pub(super) fn run(options: &Options) -> Result<()> {
    super::prepare()?;
    build()?;
    durations::clear()?;
    let outcome = match &options.only {
        Some(name) => one(name),
        None => all(options),
    };
    print!("\n{}", durations::slowest(SLOWEST)?);
    outcome
}

fn all(options: &Options) -> Result<()> {
    let unit = if options.end_to_end { Ok(()) } else { unit_tests(&[]) };
    // Both tiers wait more than they compute, so they run at the same time.
    let servers = together(&binaries()?, &[], None).and_then(|failed| none(&failed));
    unit.and(servers)
}

fn one(name: &str) -> Result<()> {
    let mut found = false;
    for binary in binaries()? {
        let arguments: &[&str] = match binary.matching(name)? {
            Matching::None => continue,
            Matching::Tests => &[name, "--nocapture"],
            Matching::Ignored => &[name, "--nocapture", "--ignored"],
        };
        found = true;
        let status = binary.command(arguments).status()?;
        ensure!(status.success(), "{name} failed: {status}");
    }
    if found { Ok(()) } else { unit_tests(&["--nocapture", name]) }
}

/// Runs rounds of all end-to-end tests until the time is over. The seed of a round determines the order of the tests,
/// how many run at the same time, and the delays before faults.
pub(super) fn soak(options: &SoakOptions) -> Result<()> {
    super::prepare()?;
    build()?;
    let (binaries, started) = (binaries()?, Instant::now());
    let mut failed = Vec::new();
    for round in 0..options.rounds {
        if started.elapsed() > Duration::from_secs_f64(options.hours * 3600.0) {
            break;
        }
        let seed = options.seed.filter(|_| round == 0).unwrap_or_else(random);
        println!("==> round {round}, seed {seed}, after {:.1} h", started.elapsed().as_secs_f64() / 3600.0);
        let folder = cache::checkout().join(format!("target/soak/round-{round}-seed-{seed}"));
        std::fs::create_dir_all(&folder)?;
        let times = options.times.to_string();
        let variables = [(turns::SEED, seed.to_string()), ("STEAMER_FAILOVERS", times)];
        let broken = together(&binaries, &variables, Some(&folder))?;
        if broken.is_empty() {
            std::fs::remove_dir_all(&folder)?;
        } else {
            let names = broken.join(" and ");
            failed.push(format!("round {round}: {names}, SEED={seed}, {}", folder.display()));
        }
    }
    none(&failed)
}

/// Runs binaries at the same time. Returns the names of those that failed. Their output and logs are kept in `folder`.
fn together(binaries: &[Binary], variables: &[(&str, String)], folder: Option<&Path>) -> Result<Vec<String>> {
    let runs = binaries.iter().map(|binary| binary.start(variables, folder)).collect::<Result<Vec<Run>>>()?;
    let mut failed = Vec::new();
    for mut run in runs {
        let status = run.child.wait()?;
        run.printer.join().map_err(|_| anyhow!("cannot print the output of {}", run.name))??;
        if !status.success() {
            if let Some(folder) = folder {
                // The next round deletes the logs of finished processes.
                let logs = cache::logs()?.join(format!("ground-{}", run.child.id()));
                let _ = std::fs::rename(logs, folder.join(format!("{}-logs", run.name)));
            }
            failed.push(run.name);
        }
    }
    Ok(failed)
}

fn none(failed: &[String]) -> Result<()> {
    ensure!(failed.is_empty(), "tests failed in:\n{}", failed.join("\n"));
    Ok(())
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    // The variable of the outer `cargo run` causes a full rebuild.
    cargo.args(arguments).env_remove("CARGO_MANIFEST_DIR").current_dir(cache::checkout());
    cargo
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Builds the operator, which the tests start.
fn build() -> Result<()> {
    succeed(&mut cargo(&["build", "--quiet", "--package", "steamer"]))
}

fn unit_tests(arguments: &[&str]) -> Result<()> {
    let tests = ["test", "--quiet", "--workspace", "--lib", "--bins", "--no-fail-fast", "--"];
    succeed(cargo(&tests).args(arguments))
}

/// Builds the end-to-end tests. Returns their binaries.
fn binaries() -> Result<Vec<Binary>> {
    let format = "--message-format=json-render-diagnostics";
    let mut build = cargo(&["test", "--quiet", "--package", "steamer-e2e", "--no-run", format]);
    let output = build.stderr(Stdio::inherit()).output()?;
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
enum Matching {
    None,
    Tests,
    /// Only tests that a normal run ignores.
    Ignored,
}

impl Binary {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).current_dir(cache::checkout().join("tests/e2e"));
        command
    }

    fn matching(&self, name: &str) -> Result<Matching> {
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

    fn start(&self, variables: &[(&str, String)], folder: Option<&Path>) -> Result<Run> {
        let at_once =
            match (variables.first().and_then(|(_, seed)| seed.parse::<u64>().ok()), self.name.as_str()) {
                (Some(seed), _) => 2 + seed % 5,
                (None, "nodes") => NODES_AT_ONCE,
                (None, _) => E2E_AT_ONCE,
            };
        let mut command = self.command(&[THREADS]);
        command
            .env(turns::AT_ONCE, at_once.to_string())
            .envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut copy =
            folder.map(|folder| File::create(folder.join(format!("{}.txt", self.name)))).transpose()?;
        let name = self.name.clone();
        let printer = std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line?;
                // Tests that wait for their turn would fill the screen.
                if line.starts_with("test result:") {
                    println!("{name}:\n{line}");
                } else if !line.ends_with("has been running for over 60 seconds") {
                    println!("{name}: {line}");
                }
                if let Some(copy) = &mut copy {
                    writeln!(copy, "{line}")?;
                }
            }
            Ok(())
        });
        Ok(Run { name: self.name.clone(), child, printer })
    }
}
