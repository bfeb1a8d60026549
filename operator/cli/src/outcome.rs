//! Results of commands, and their exit codes.

use std::process::ExitCode;

use anyhow::Result;

/// Exit code for wrong input, a missing permission, or a server that does not answer.
pub(crate) const WRONG: u8 = 1;
/// Exit code for objects that are not Ready.
const NOT_READY: u8 = 3;

/// Result of a command that worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every object is Ready, or the answer is yes.
    Good,
    /// The answer is no: a login would be refused.
    Refused,
    /// An object is not Ready, or a check failed.
    NotReady,
    /// The exit code of another program.
    Code(u8),
}

pub(crate) fn exit_code(result: Result<Outcome>) -> ExitCode {
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(WRONG),
        Ok(Outcome::NotReady) => ExitCode::from(NOT_READY),
        Ok(Outcome::Code(code)) => ExitCode::from(code),
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::from(WRONG)
        }
    }
}
