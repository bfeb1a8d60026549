//! Command `steamer`: runs the operator, or prints the policy that it requires.

mod args;
mod operator;
mod start;

use args::{Args, Command};
use clap::Parser;
use steamer_cluster::operator_policy;

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Run(settings) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(operator::run(*settings))
        }
        Command::OpenbaoPolicy { managed } => {
            print!("{}", if managed { operator_policy::managed_text() } else { operator_policy::text() });
            Ok(())
        }
    }
}
