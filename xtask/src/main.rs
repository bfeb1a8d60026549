//! Chores of the project: what is generated, what is built, what is run. `make help` lists them.

mod bench;
mod chart;
mod docs;
mod manifests;
mod verify;

use anyhow::Result;
use clap::{Parser, Subcommand};
use steamer_testing::demo;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a cluster with OpenBao, installs Steamer, applies the samples and shows what it does.
    Run,
    /// Ends what `run` has started.
    Stop,
    /// Builds the operator's image into `target/image`.
    Image {
        /// The cargo profile.
        #[arg(long, default_value = "dev")]
        profile: String,
    },
    /// Prints what Steamer costs.
    Bench(bench::Options),
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
        Command::Run => asynchronous(demo::run()),
        Command::Stop => demo::stop(),
        Command::Image { profile } => image(&profile),
        Command::Bench(options) => asynchronous(bench::bench(options)),
        Command::Prepare => prepare(),
        Command::Manifests => manifests::write(),
        Command::Docs => docs::write(),
        Command::Chart => chart::check(),
        Command::Verify => verify::verify(),
    }
}

fn asynchronous(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn image(profile: &str) -> Result<()> {
    use steamer_testing::{cache, image};
    let folder = cache::checkout().join("target/image");
    let image = image::steamer(&image::built("steamer", "steamer", profile)?, &folder)?;
    let (archive, digest) = image.archive(&folder)?;
    println!("{} {digest}\n{}", image.name, archive.display());
    Ok(())
}

fn prepare() -> Result<()> {
    use steamer_testing::tools;
    anyhow::ensure!(
        tools::is_root(),
        "the tests run PostgreSQL as a user of its own, which takes root: run this as root"
    );
    tools::postgres()?;
    tools::node()?;
    tools::bao(tools::OPENBAO)?;
    tools::bao(tools::OLDER_OPENBAO)?;
    tools::pykmip()?;
    tools::current_postgres()?;
    tools::pause()?;
    tools::coredns()?;
    tools::etcd()?;
    tools::kstatus()?;
    tools::packages(&[("/usr/bin/gpg", "gnupg")])?;
    tools::route_definitions()?;
    tools::kubernetes("kube-apiserver").map(drop)
}
