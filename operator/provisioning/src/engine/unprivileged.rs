//! The error of a request that OpenBao denies, with the line that permits it.

use steamer_core::error::Error;
use steamer_core::policy_lines::policy_lines;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry};

/// A denied request. Reason and retry are those of its cause.
#[derive(Debug, thiserror::Error)]
#[error("OpenBao denies {method} {path}: an administrator must add to the policy of the operator: {line}")]
struct Unprivileged {
    method: String,
    path: String,
    line: String,
    cause: Error,
}

impl Failure for Unprivileged {
    fn reason(&self) -> Reason {
        self.cause.reason()
    }

    fn retry(&self) -> Retry {
        self.cause.retry()
    }

    fn stalled(&self) -> bool {
        self.cause.stalled()
    }
}

/// Adds the line of the policy to the error of a denied request.
pub(super) fn explained(error: Error) -> Error {
    let Some((method, path)) = denied(&error) else { return error };
    let line = policy_lines("", &method, &path);
    Error::other(Unprivileged { method, path, line, cause: error })
}

/// Method and path of a denied request.
fn denied(error: &Error) -> Option<(String, String)> {
    let cause = match error {
        Error::OpenBao(cause) => cause,
        Error::Shared(shared) => &*shared.0,
        _ => return None,
    };
    match cause {
        OpenBao::Denied { method, path } => Some((method.clone(), path.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_denied_request_names_the_line_that_permits_it() {
        let denied = OpenBao::Denied { method: "POST".to_owned(), path: "team/kv/config".to_owned() };
        let error = explained(denied.into());
        assert_eq!(
            error.to_string(),
            "OpenBao denies POST team/kv/config: an administrator must add to the policy of the operator: \
             path \"team/kv/config\" { capabilities = [\"create\", \"update\"] }"
        );
        assert_eq!(error.reason(), Reason::PermissionDenied);
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(20)));
        assert!(error.stalled());
    }

    #[test]
    fn other_errors_are_not_changed() {
        assert!(matches!(explained(OpenBao::Sealed.into()), Error::OpenBao(OpenBao::Sealed)));
        assert!(matches!(explained(Error::Conflict(String::new())), Error::Conflict(_)));
    }
}
