//! Tasks of the project: generate, build, run, check. `make help` lists them.

mod alerts;
mod bench;
mod chart;
mod dashboards;
mod deny;
mod docs;
mod index;
mod manifests;
mod suite;
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
    /// Creates a cluster with OpenBao, installs Steamer, applies the samples and demonstrates the result.
    Run,
    /// Stops all processes that `run` started.
    Stop,
    /// Builds the operator's image into `target/image`.
    Image {
        /// Cargo profile of the build.
        #[arg(long, default_value = "dev")]
        profile: String,
    },
    /// Measures requests, writes, time and memory of Steamer.
    Bench(bench::Options),
    /// Installs and builds missing dependencies of the tests.
    Prepare,
    /// Runs the tests on real servers.
    Test(suite::Options),
    /// Runs the end-to-end tests in random order for hours.
    Soak(suite::SoakOptions),
    /// Generates CustomResourceDefinitions, chart files and lists of kinds.
    Manifests,
    /// Generates the reference of every kind.
    Docs,
    /// Lints and renders the charts, and tests the alerts.
    Chart,
    /// Writes the customizations of all kinds in the layout of Argo CD's repository.
    Argocd {
        /// Folder `resource_customizations`.
        folder: std::path::PathBuf,
    },
    /// Checks licenses, duplicates, sources and advisories of the dependencies.
    Deny,
    /// Checks generated files, dependencies between crates and modules, and wording.
    Verify,
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Run => asynchronous(demo::run()),
        Command::Stop => demo::stop(),
        Command::Image { profile } => image(&profile),
        Command::Bench(options) => asynchronous(bench::bench(options)),
        Command::Prepare => prepare(),
        Command::Test(options) => suite::run(&options),
        Command::Soak(options) => suite::soak(&options),
        Command::Manifests => manifests::write(),
        Command::Docs => docs::write(),
        Command::Chart => chart::check().and_then(|()| alerts::check()),
        Command::Argocd { folder } => manifests::argocd(&folder),
        Command::Deny => deny::check(),
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
        "the tests run PostgreSQL as a separate user, which requires root: run this command as root"
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
    tools::lua()?;
    tools::prometheus()?;
    tools::packages(&[("/usr/bin/gpg", "gnupg")])?;
    tools::route_definitions()?;
    tools::kubernetes("kube-apiserver").map(drop)
}
