//! A request that OpenBao denies: the error states the missing rule of the policy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use steamer_core::Error;
use steamer_core::error::Shared;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry};

/// Pause before the next attempt. OpenBao has no watch for policies.
const PAUSE: Duration = Duration::from_secs(20);

/// A rule of a policy that permits a request.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Path, relative to the OpenBao namespace.
    pub(crate) path: String,
    /// Capability, such as `read`.
    pub(crate) capability: &'static str,
}

/// A denied request.
#[derive(Debug)]
struct Denied {
    method: String,
    path: String,
    rule: Rule,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, rule: Rule { path: rule, capability } } = self;
        write!(
            f,
            "OpenBao denies {method} {path}: add to a policy of the login: path \"{rule}\" {{ capabilities = [\"{capability}\"] }}"
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

/// The error of a request that the rule permits.
pub(crate) fn denied(error: OpenBao, rule: Rule) -> Error {
    match error {
        OpenBao::Denied { method, path } => Error::other(Denied { method, path, rule }),
        error => error.into(),
    }
}

/// Same as [`denied`], for a request that several objects share.
pub(crate) fn denied_to_all(error: Arc<OpenBao>, rule: Rule) -> Error {
    if let OpenBao::Denied { method, path } = &*error {
        return Error::other(Denied { method: method.clone(), path: path.clone(), rule });
    }
    Error::Shared(Shared(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_request_states_the_line_of_the_policy() {
        let refused = OpenBao::Denied { method: "GET".to_owned(), path: "org/database/creds/app".to_owned() };
        let rule = Rule { path: "database/creds/app".to_owned(), capability: "read" };
        let error = denied(refused, rule.clone());
        assert_eq!(
            error.to_string(),
            "OpenBao denies GET org/database/creds/app: add to a policy of the login: path \"database/creds/app\" { \
             capabilities = [\"read\"] }"
        );
        assert!(error.stalled());
        let refused = OpenBao::Denied { method: "GET".to_owned(), path: "org/database/creds/app".to_owned() };
        assert_eq!(denied_to_all(Arc::new(refused), rule.clone()).to_string(), error.to_string());
        assert!(matches!(denied_to_all(Arc::new(OpenBao::Sealed), rule.clone()), Error::Shared(_)));
        assert!(denied(OpenBao::Sealed, rule).is_out_of_reach());
    }
}
