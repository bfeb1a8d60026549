//! Errors of a Terraform state.

use thiserror::Error;

/// A Terraform state that cannot be read. It contains no text of the state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TerraformError {
    /// The file is not a Terraform state.
    #[error(
        "the file is not a Terraform state in JSON (line {line}, column {column}): write it with `terraform state pull`"
    )]
    Syntax {
        /// Line of the error.
        line: usize,
        /// Column of the error.
        column: usize,
    },
    /// The state has another version.
    #[error(
        "the Terraform state has version {0}, and only version 4 can be read: write it with a current Terraform or OpenTofu"
    )]
    Version(u64),
}
