//! Chores of the project: what is generated, what is built, what is run. `make help` lists them.

mod chart;
mod docs;
mod manifests;
mod verify;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs and builds what tests need, where it is missing.
    Prepare,
    /// Writes what is generated from the code.
    Manifests,
    /// Writes the reference of every kind.
    Docs,
    /// Lints and renders the charts.
    Chart,
    /// Fails where something generated, or a dependency between crates, is not as it should be.
    Verify,
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Prepare => prepare(),
        Command::Manifests => manifests::write(),
        Command::Docs => docs::write(),
        Command::Chart => chart::check(),
        Command::Verify => verify::verify(),
    }
}

fn prepare() -> Result<()> {
    use steamer_testing::tools;
    tools::postgres()?;
    tools::bao(tools::OPENBAO)?;
    tools::etcd()?;
    tools::kubernetes("kube-apiserver").map(drop)
}
