//! Command `steamer`: runs the operator or a relay, prints the policy that the operator requires, converts objects of other
//! operators, or imports the resources of an OpenBao.

mod args;
mod convert;
mod import;
mod operator;
mod output;
mod policy;
mod process;
mod relay;
mod start;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::Run(settings) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(operator::run(*settings)).map(|()| ExitCode::SUCCESS)
        }
        Command::Relay(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(relay::run(settings)).map(|()| ExitCode::SUCCESS)
        }
        Command::OpenbaoPolicy(arguments) => {
            print!("{}", policy::text(&arguments)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Convert(arguments) => Ok(convert::run(*arguments)),
        Command::Import(arguments) => Ok(import::run(*arguments)),
    }
}
