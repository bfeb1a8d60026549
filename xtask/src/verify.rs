//! Checks of the checkout: generated files, dependencies between crates and modules, wording.

mod crates;
mod generated;
mod modules;
mod requirements;
mod sources;
mod wording;

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use steamer_testing::cache::checkout;
use steamer_testing::tools;

use crate::alerts;

/// Runs every check and prints every problem.
///
/// # Errors
/// When any check finds a problem or cannot run.
pub(crate) fn verify() -> Result<()> {
    let mut problems = generated::problems();
    match metadata() {
        Ok(metadata) => {
            problems.extend(crates::problems(&metadata));
            problems.extend(found(modules::problems(&metadata)));
        }
        Err(error) => problems.push(format!("cannot read the workspace: {error:#}")),
    }
    problems.extend(found(alerts::problems()));
    problems.extend(found(wording::problems()));
    problems.extend(found(requirements::problems()));
    for problem in &problems {
        eprintln!("{problem}");
    }
    ensure!(problems.is_empty(), "verify found {} problems", problems.len());
    Ok(())
}

/// Problems of one check. A check that cannot run is a problem too and does not hide the results of the others.
fn found(outcome: Result<Vec<String>>) -> Vec<String> {
    outcome.unwrap_or_else(|error| vec![format!("{error:#}")])
}

/// Workspace members and their direct dependencies.
fn metadata() -> Result<Value> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version=1", "--no-deps"]).current_dir(checkout());
    Ok(serde_json::from_str(&tools::output(&mut cargo)?)?)
}
