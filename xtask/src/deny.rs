//! Checks of the dependencies with cargo-deny: licenses, duplicates, sources, advisories.

use std::process::Command;

use anyhow::{Context, Result};
use steamer_testing::cache::checkout;
use steamer_testing::tools;

/// Checks the dependencies. Advisories are checked only if their database can be fetched, because it is a Git repository
/// that not every machine can reach; the output says so.
///
/// # Errors
/// When a check fails, or cargo-deny cannot be built.
pub(crate) fn check() -> Result<()> {
    deny(&["--locked", "check", "licenses", "bans", "sources"])?;
    println!("dependencies: licenses, duplicates and sources are as deny.toml requires");
    if let Err(error) = deny(&["fetch", "db"]) {
        let cause = format!("{error:#}");
        let cause = cause.lines().last().unwrap_or_default();
        println!("dependencies: ADVISORIES WERE NOT CHECKED, because their database is unreachable: {cause}");
        return Ok(());
    }
    deny(&["--locked", "check", "--disable-fetch", "advisories"])
        .context("a dependency has a known vulnerability")?;
    println!("dependencies: no known vulnerability");
    Ok(())
}

fn deny(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(tools::cargo_deny()?);
    // Without a terminal, Git must fail instead of asking for credentials.
    command.args(arguments).current_dir(checkout()).env("GIT_TERMINAL_PROMPT", "0");
    tools::succeed(&mut command)
}
