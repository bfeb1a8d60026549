//! A list that OpenBao denies: the error states the missing rule of the policy.

use std::fmt;
use std::time::Duration;

use steamer_core::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry};

/// Pause before the next attempt. OpenBao has no watch for policies.
const PAUSE: Duration = Duration::from_secs(20);

/// A denied list.
#[derive(Debug)]
struct Denied {
    path: String,
    /// Path of the rule that permits the list, relative to the OpenBao namespace.
    rule: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, rule } = self;
        write!(
            f,
            "OpenBao denies LIST {path}: add to a policy of the login: path \"{rule}\" {{ capabilities = [\"list\"] }}"
        )
    }
}

impl std::error::Error for Denied {}

impl Failure for Denied {
    fn reason(&self) -> Reason {
        Reason::PermissionDenied
    }

    fn retry(&self) -> Retry {
        Retry::After(PAUSE)
    }

    fn stalled(&self) -> bool {
        true
    }
}

/// The error of a list that the rule permits.
pub(super) fn denied(error: OpenBao, rule: String) -> Error {
    match error {
        OpenBao::Denied { path, .. } => Error::other(Denied { path, rule }),
        error => error.into(),
    }
}
