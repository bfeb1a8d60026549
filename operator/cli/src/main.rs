//! `kubectl-steamer`, which kubectl runs for `kubectl steamer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    steamer_cli::run(std::env::args_os())
}
