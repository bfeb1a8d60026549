//! Errors of a secret.

use std::time::Duration;

use steamer_core::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry};

/// Reason why a secret could not be written.
#[derive(Debug, thiserror::Error)]
enum Problem {
    /// A generated value was deleted.
    #[error(
        "the generated value of the secret was deleted in OpenBao: restore a version, or set the annotation steamer.dev/rotate to \
         generate another value"
    )]
    Lost,
    /// The operator may not read a value.
    #[error(
        "{cause}: rollbackTo must read the value; an administrator must add to the policy of the operator: path \"{path}\" {{ \
         capabilities = [\"create\", \"read\", \"update\"] }}"
    )]
    Unreadable { path: String, cause: OpenBao },
}

impl Failure for Problem {
    fn reason(&self) -> Reason {
        match self {
            Self::Lost => Reason::SourceMissing,
            Self::Unreadable { .. } => Reason::PermissionDenied,
        }
    }

    fn retry(&self) -> Retry {
        Retry::After(Duration::from_secs(20))
    }

    fn stalled(&self) -> bool {
        true
    }
}

/// The error of a generated value that was deleted.
pub(super) fn lost() -> Error {
    Error::other(Problem::Lost)
}

/// The error of a value that cannot be read for a rollback.
pub(super) fn unreadable(error: OpenBao) -> Error {
    match &error {
        OpenBao::Denied { path, .. } => {
            Error::other(Problem::Unreadable { path: path.clone(), cause: error })
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_without_the_right_to_read_names_the_line_with_all_rights() {
        let path = "org_1/group_7/project_42/secrets/kv/data/explicit/DB".to_owned();
        let error = unreadable(OpenBao::Denied { method: "GET".to_owned(), path: path.clone() });
        let line = format!("path \"{path}\" {{ capabilities = [\"create\", \"read\", \"update\"] }}");
        assert!(error.to_string().ends_with(&line), "{error}");
        assert_eq!((error.reason(), error.stalled()), (Reason::PermissionDenied, true));
        assert!(matches!(unreadable(OpenBao::Sealed), Error::OpenBao(OpenBao::Sealed)));
    }
}
