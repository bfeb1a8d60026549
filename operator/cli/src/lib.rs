//! The kubectl plugin `kubectl steamer`. It has no permissions of its own: each request is made with the kubeconfig of the
//! caller. A command reads objects, a pure function computes a view of them, and another one renders it.

mod age;
mod annotations;
mod args;
mod break_glass;
mod brief;
mod check;
mod ci;
mod completion;
mod connection;
pub mod convert;
mod explain;
pub mod import;
mod lists;
mod login;
mod manifests;
mod outcome;
mod output;
mod progress;
mod report;
mod restore_drill;
mod seal_rotation;
mod status;
mod style;
mod suspension;
mod sync;
mod table;
mod tail;
mod target;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use outcome::{Outcome, WRONG, exit_code};

/// The command line, for the reference.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the plugin.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Args::try_parse_from(arguments) {
        Ok(arguments) => dispatch(arguments.command),
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(WRONG) } else { ExitCode::SUCCESS }
        }
    }
}

fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Convert(arguments) => convert::run(*arguments),
        Command::Import(arguments) => import::run(*arguments),
        other => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            exit_code(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(perform(other))))
        }
    }
}

async fn perform(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Status(arguments) => status::run(arguments).await,
        Command::Explain(arguments) => explain::run(*arguments).await,
        Command::Check(arguments) => check::run(arguments).await,
        Command::Ci(arguments) => ci::run(arguments).await,
        Command::Sync(arguments) => sync::run(arguments).await,
        Command::Suspend(arguments) => suspension::run(arguments, true).await,
        Command::Resume(arguments) => suspension::run(arguments, false).await,
        Command::Restart(arguments) => annotations::restart(arguments).await,
        Command::StepDown(arguments) => annotations::step_down(arguments).await,
        Command::Fence(arguments) => annotations::fence(arguments).await,
        Command::Unfence(arguments) => annotations::unfence(arguments).await,
        Command::BreakGlass(arguments) => break_glass::run(arguments).await,
        Command::Login(arguments) => login::login(arguments).await,
        Command::Bao(arguments) => login::bao(arguments).await,
        Command::Tail(arguments) => tail::run(arguments).await,
        Command::RotateSeal(arguments) => seal_rotation::run(arguments).await,
        Command::RestoreDrill(arguments) => restore_drill::run(arguments).await,
        Command::Report(arguments) => report::run(arguments).await,
        Command::Version(arguments) => version::run(arguments).await,
        Command::Completion(arguments) => completion::run::<Args>(arguments),
        Command::CompleteWords(words) => completion::complete::<Args>(words),
        // They have other exit codes.
        Command::Convert(_) | Command::Import(_) => Ok(Outcome::Good),
    }
}
