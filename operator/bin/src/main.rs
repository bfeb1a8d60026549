//! `steamer`: the operator, and what it can print of itself.

mod args;
mod operator;

use clap::Parser;
use steamer_controllers::operator_policy;

use args::{Args, Command};

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
