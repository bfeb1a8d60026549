//! Runs the tests: all of them, one of them, or in random order for hours.

mod binary;
mod failures;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use steamer_testing::{cache, durations, turns};

use binary::{Binary, Matching, Run};
use failures::Report;

/// Number of tests in the list of the slowest ones.
const SLOWEST: usize = 20;
/// Failed tests of a run that are repeated. More failures have a common cause that a repetition does not remove.
const REPEATED: usize = 5;

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

/// Test binary that failed.
struct Failed<'a> {
    binary: &'a Binary,
    report: Report,
}

pub(super) fn run(options: &Options) -> Result<()> {
    super::prepare()?;
    build()?;
    durations::clear()?;
    match &options.only {
        Some(name) => one(name),
        None => all(options),
    }
}

fn all(options: &Options) -> Result<()> {
    let unit = if options.end_to_end { Ok(()) } else { unit_tests(&[]) };
    let binaries = binary::build()?;
    // Both tiers wait more than they compute, so they run at the same time.
    let failed = together(&binaries, &[], None)?;
    print!("\n{}", durations::slowest(SLOWEST)?);
    let mut remaining = repeat(&failed)?;
    remaining.extend(unit.err().map(|error| format!("unit tests: {error}")));
    none(&remaining)
}

/// Runs each failed test once more, without others beside it, and prints the ones that pass now: they depend on time
/// or on other tests. Returns the failures that remain.
fn repeat(failed: &[Failed<'_>]) -> Result<Vec<String>> {
    let few = failed.iter().map(|one| one.report.failed.len()).sum::<usize>() <= REPEATED;
    let mut remaining = Vec::new();
    for Failed { binary, report } in failed {
        if !report.complete || report.failed.is_empty() {
            remaining.push(format!("{}: the process ended early", binary.name));
        }
        for failure in &report.failed {
            let text = format!("{} {failure}", binary.name);
            println!("\n==> failed: {text}");
            if few && binary.passes(&failure.test)? {
                println!("==> passed alone, so this test is not reliable: {} {}", binary.name, failure.test);
            } else {
                remaining.push(text);
            }
        }
    }
    Ok(remaining)
}

fn one(name: &str) -> Result<()> {
    let mut found = false;
    for binary in binary::build()? {
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
    let (binaries, started) = (binary::build()?, Instant::now());
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
            let names: Vec<&str> = broken.iter().map(|one| one.binary.name.as_str()).collect();
            let names = names.join(" and ");
            failed.push(format!("round {round}: {names}, SEED={seed}, {}", folder.display()));
        }
    }
    none(&failed)
}

/// Runs binaries at the same time. Returns those that failed. Their output and logs are kept in `folder`.
fn together<'a>(
    binaries: &'a [Binary],
    variables: &[(&str, String)],
    folder: Option<&Path>,
) -> Result<Vec<Failed<'a>>> {
    let runs = binaries.iter().map(|binary| binary.start(variables, folder)).collect::<Result<Vec<Run>>>()?;
    let mut failed = Vec::new();
    for (mut run, binary) in runs.into_iter().zip(binaries) {
        let status = run.child.wait()?;
        let report = run.printer.join().map_err(|_| anyhow!("cannot print the output of {}", run.name))??;
        if !status.success() || !report.complete {
            if let Some(folder) = folder {
                // The next round deletes the logs of finished processes.
                let logs = cache::logs()?.join(format!("ground-{}", run.child.id()));
                let _ = std::fs::rename(logs, folder.join(format!("{}-logs", run.name)));
            }
            failed.push(Failed { binary, report });
        }
    }
    Ok(failed)
}

fn none(failed: &[String]) -> Result<()> {
    ensure!(failed.is_empty(), "these tests failed:\n{}", failed.join("\n"));
    Ok(())
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Builds the operator and the kubectl plugin, which the tests start.
fn build() -> Result<()> {
    let binaries = ["--bin", "steamer", "--bin", "kubectl-steamer"];
    succeed(binary::cargo(&["build", "--quiet", "--workspace"]).args(binaries))
}

fn unit_tests(arguments: &[&str]) -> Result<()> {
    let tests = ["test", "--quiet", "--workspace", "--lib", "--bins", "--no-fail-fast", "--"];
    succeed(binary::cargo(&tests).args(arguments))
}
