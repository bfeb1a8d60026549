//! Command `steamer`: runs the operator or a helper beside an OpenBao node, prints the policy that the operator requires,
//! converts objects of other operators, or imports the resources of an OpenBao.

mod args;
mod operator;
mod policy;
mod process;
mod relay;
mod start;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use steamer_cli::{convert, import};

fn main() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::Run(settings) => {
            let runtime = process::runtime()?;
            runtime.block_on(operator::run(*settings)).map(|()| ExitCode::SUCCESS)
        }
        Command::Relay(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(relay::run(settings)).map(|()| ExitCode::SUCCESS)
        }
        Command::RotateAudit(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(relay::rotate(settings)).map(|()| ExitCode::SUCCESS)
        }
        Command::RestoreDrill(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(relay::restore_drill(settings))
        }
        Command::OpenbaoPolicy(arguments) => {
            print!("{}", policy::text(&arguments)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Convert(arguments) => Ok(convert::run(*arguments)),
        Command::Import(arguments) => Ok(import::run(*arguments)),
    }
}
