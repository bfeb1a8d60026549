//! Errors of a reconcile, one variant for each outcome: the variant determines condition reason and retry.

mod contested;
mod wrapped;

use std::time::Duration;

use steamer_openbao::Error as OpenBao;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Failure, ObjectName, Reason, Retry, StatusError, describe};

use crate::api_server;

pub use wrapped::{Other, Shared};

/// Longest time until the next reconcile after [`Error::Repeated`]: its pause limits the contested write only.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Reason why a reconcile did not complete.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A referenced object does not exist.
    #[error("{kind} {name} does not exist")]
    NotFound {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: ObjectName,
    },
    /// A referenced object does not allow references from the namespace.
    #[error(
        "{kind} {name} does not allow references from namespace {from}: add the namespace to its allowedNamespaces"
    )]
    Denied {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: ObjectName,
        /// Namespace of the reference.
        from: String,
    },
    /// Another rule does not allow it. The text names the rule.
    #[error("{0}")]
    NotAllowed(String),
    /// The spec is invalid. The text states the necessary change.
    #[error("{0}")]
    Invalid(String),
    /// A resource of another owner exists. The text names it.
    #[error("{0}")]
    Conflict(String),
    /// Another client undoes each write. The text names the resource. The write is paused for the duration, which has no end for a
    /// stopped one.
    #[error("{0}")]
    Repeated(String, Duration),
    /// Another client changes the same object at the same time. Retried with backoff.
    #[error("{0}")]
    Contended(String),
    /// Waits for a change of an object that is watched. The text names the object.
    #[error("{0}")]
    Waiting(String),
    /// The object is being deleted and waits. The text names the cause.
    #[error("{0}")]
    Deleting(String),
    /// The deletion needs OpenBao, which is unreachable.
    #[error("deletion waits for OpenBao")]
    DeletionWaits(#[source] Box<Self>, Duration),
    /// No value exists at the path in OpenBao. Tried again after the duration.
    #[error("{0}")]
    SourceMissing(String, Duration),
    /// Any error of OpenBao.
    #[error(transparent)]
    OpenBao(#[from] OpenBao),
    /// An error of a request to OpenBao that several objects shared.
    #[error(transparent)]
    Shared(Shared),
    /// An error of one family of controllers.
    #[error(transparent)]
    Other(Other),
    /// An internal error, for example no random numbers. Retried with backoff.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The API server did not return a watched object.
    #[error("cannot read {kind} {name}: {text}")]
    Unobserved {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: ObjectName,
        /// What the API server answered.
        text: String,
        /// Reason for it.
        reason: Reason,
    },
    /// The API server refused a request or is unreachable. The text of `kube` is not part of the chain of causes: it
    /// repeats the message, and contains names of Rust types.
    #[error("{}", api_server::sentence(.0))]
    Kubernetes(kube::Error),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(error)
    }
}

impl From<StatusError> for Error {
    fn from(error: StatusError) -> Self {
        let text = error.to_string();
        match error {
            StatusError::Contested(pause) => Self::Repeated(text, pause),
            StatusError::Kubernetes(error) => Self::Kubernetes(error),
        }
    }
}

impl Error {
    /// Returns true if a request failed because OpenBao is unreachable or refuses the operator, so that a deletion may
    /// have to complete without it.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            Self::OpenBao(
                OpenBao::Unreachable { .. }
                    | OpenBao::Unanswered { .. }
                    | OpenBao::Redirect { .. }
                    | OpenBao::Foreign { .. }
                    | OpenBao::Answer { .. }
                    | OpenBao::Throttled { .. }
                    | OpenBao::Sealed
                    | OpenBao::NamespaceSealed { .. }
                    | OpenBao::NoLeader
                    | OpenBao::Uninitialized
                    | OpenBao::Server { .. }
                    | OpenBao::Login { .. }
                    | OpenBao::Denied { .. }
                    | OpenBao::Credential(_)
            )
        )
    }
}

impl Failure for Error {
    fn reason(&self) -> Reason {
        match self {
            Self::NotFound { .. } => Reason::ReferenceNotFound,
            Self::Denied { .. } | Self::NotAllowed(_) => Reason::ReferenceDenied,
            Self::Invalid(_) => Reason::Invalid,
            Self::Conflict(_) | Self::Repeated(..) => Reason::Conflict,
            Self::Waiting(_) | Self::Contended(_) => Reason::Waiting,
            Self::Deleting(_) => Reason::Deleting,
            Self::DeletionWaits(error, _) => error.reason(),
            Self::SourceMissing(..) => Reason::SourceMissing,
            Self::OpenBao(error) => openbao_reason(error),
            Self::Shared(error) => openbao_reason(&error.0),
            Self::Other(error) => error.0.reason(),
            Self::Internal(_) => Reason::Failed,
            Self::Unobserved { reason, .. } => *reason,
            Self::Kubernetes(error) => api_server::reason(error),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotFound { .. } | Self::Denied { .. } | Self::NotAllowed(_) | Self::Waiting(_) => {
                Retry::OnChange
            }
            Self::SourceMissing(_, pause) | Self::DeletionWaits(_, pause) => Retry::After(*pause),
            Self::Repeated(_, pause) => Retry::After((*pause).min(LONGEST_PAUSE)),
            Self::OpenBao(error) => openbao_retry(error),
            Self::Shared(error) => openbao_retry(&error.0),
            // OpenBao deletes a namespace in the background and has no watch for it.
            Self::Deleting(_) => Retry::After(Duration::from_secs(1)),
            Self::Other(error) => error.0.retry(),
            Self::Invalid(_)
            | Self::Conflict(_)
            | Self::Contended(_)
            | Self::Internal(_)
            | Self::Unobserved { .. }
            | Self::Kubernetes(_) => Retry::Backoff,
        }
    }

    fn stalled(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::NotAllowed(_)
            | Self::Invalid(_)
            | Self::Conflict(_)
            | Self::Repeated(..) => true,
            Self::OpenBao(error) => openbao_stalled(error),
            Self::Shared(error) => openbao_stalled(&error.0),
            Self::Other(error) => error.0.stalled(),
            Self::Kubernetes(_) | Self::Unobserved { .. } => {
                matches!(self.reason(), Reason::PermissionDenied | Reason::Invalid | Reason::QuotaExceeded)
            }
            _ => false,
        }
    }
}

impl Error {
    /// Wraps an error of a family of controllers.
    pub fn other(error: impl Failure) -> Self {
        Self::Other(Other(Box::new(error)))
    }

    /// Wraps an internal error.
    pub fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Box::new(error))
    }
}

/// The API server gives no token for a login to OpenBao.
#[derive(Debug, thiserror::Error)]
#[error("cannot request a token of ServiceAccount {account}")]
pub struct NoToken {
    /// The ServiceAccount.
    pub account: ObjectName,
    /// Cause.
    pub source: Error,
}

impl NoToken {
    /// Only a missing ServiceAccount is a missing reference. An API server that is unreachable or refuses is its own cause.
    fn reason(&self) -> Reason {
        match &self.source {
            Error::Kubernetes(kube::Error::Api(status)) if status.is_not_found() => Reason::ReferenceNotFound,
            error => error.reason(),
        }
    }
}

/// A cloud provider gives no credential for a login to OpenBao.
#[derive(Debug, thiserror::Error)]
#[error("{url} gives no credential for the login: {text}")]
pub struct NoCloudCredential {
    /// URL of the provider.
    pub url: String,
    /// Cause. It contains no text of the provider, except for the code of an error.
    pub text: String,
    /// Reason for it.
    pub reason: Reason,
}

/// The cause of a missing credential, if it is of this type.
fn cause<T: std::error::Error + 'static>(error: &OpenBao) -> Option<&T> {
    match error {
        OpenBao::Credential(error) => error.downcast_ref(),
        _ => None,
    }
}

/// Interval between attempts after a rejected login. Objects with the same login share its result.
const LOGIN_INTERVAL: Duration = Duration::from_secs(10);
/// Interval between attempts after a denied request.
const DENIED_INTERVAL: Duration = Duration::from_secs(20);

/// Returns the verdict on an object that needs an OpenBao with this error.
#[must_use]
pub fn openbao_verdict(error: &OpenBao) -> Verdict {
    let (reason, message) = (openbao_reason(error), describe(error));
    if openbao_stalled(error) {
        Verdict::Stalled(reason, message)
    } else {
        Verdict::Retrying(reason, message)
    }
}

fn openbao_retry(error: &OpenBao) -> Retry {
    match error {
        OpenBao::Throttled { retry_after } => Retry::After(*retry_after),
        // An administrator corrects roles and policies in OpenBao, which has no watch for them.
        OpenBao::Login { .. } => Retry::After(LOGIN_INTERVAL),
        OpenBao::Denied { .. } => Retry::After(DENIED_INTERVAL),
        _ => Retry::Backoff,
    }
}

fn openbao_stalled(error: &OpenBao) -> bool {
    match error {
        OpenBao::Credential(_) => {
            cause::<NoToken>(error).is_some_and(|error| error.source.stalled())
                || cause::<NoCloudCredential>(error).is_some_and(|it| it.reason == Reason::PermissionDenied)
        }
        error => !error.is_transient(),
    }
}

fn openbao_reason(error: &OpenBao) -> Reason {
    match error {
        OpenBao::Unreachable { .. } | OpenBao::Unanswered { .. } => Reason::Unreachable,
        OpenBao::Sealed | OpenBao::NamespaceSealed { .. } => Reason::Sealed,
        OpenBao::NoLeader => Reason::NoLeader,
        OpenBao::Throttled { .. } => Reason::Throttled,
        OpenBao::Denied { .. } | OpenBao::Login { .. } => Reason::PermissionDenied,
        OpenBao::Credential(_) => cause::<NoToken>(error)
            .map(NoToken::reason)
            .or_else(|| cause::<NoCloudCredential>(error).map(|error| error.reason))
            .unwrap_or(Reason::ReferenceNotFound),
        OpenBao::InUse { .. } => Reason::Conflict,
        OpenBao::Invalid { .. } | OpenBao::Settings(_) | OpenBao::Redirect { .. } => Reason::Invalid,
        OpenBao::Foreign { .. } => Reason::NotOpenBao,
        OpenBao::Mount { .. } => Reason::MountChanged,
        OpenBao::Uninitialized
        | OpenBao::NotFound { .. }
        | OpenBao::CheckAndSet { .. }
        | OpenBao::Server { .. }
        | OpenBao::Answer { .. } => Reason::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::Status;
    use rstest::rstest;
    use steamer_runtime::describe;

    use super::*;

    fn answered(code: u16, reason: &str) -> Error {
        kube::Error::Api(Status::failure("no", reason).with_code(code).boxed()).into()
    }

    fn unreachable() -> Error {
        kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))).into()
    }

    #[rstest]
    #[case::deleted(answered(404, "NotFound"), Reason::ReferenceNotFound, false)]
    #[case::forbidden(answered(403, "Forbidden"), Reason::PermissionDenied, true)]
    #[case::overloaded(answered(503, "ServiceUnavailable"), Reason::Failed, false)]
    #[case::throttled(answered(429, "TooManyRequests"), Reason::Failed, false)]
    #[case::down(unreachable(), Reason::Unreachable, false)]
    #[case::unsafe_audience(Error::Invalid("audience".to_owned()), Reason::Invalid, true)]
    fn a_token_that_the_api_server_does_not_issue_states_its_cause(
        #[case] source: Error,
        #[case] reason: Reason,
        #[case] stalled: bool,
    ) {
        let account = ObjectName::new("web", "app");
        let error = OpenBao::Credential(Box::new(NoToken { account, source }));
        let shared = Error::Shared(Shared(Arc::new(error)));
        assert_eq!((shared.reason(), shared.stalled()), (reason, stalled));
        assert_eq!(shared.retry(), Retry::Backoff);
        assert!(describe(&shared).contains("cannot request a token of ServiceAccount web/app: "));
    }

    #[rstest]
    #[case::refused(Reason::PermissionDenied, true)]
    #[case::down(Reason::Unreachable, false)]
    fn a_cloud_provider_that_gives_no_credential_states_its_cause(
        #[case] reason: Reason,
        #[case] stalled: bool,
    ) {
        let (url, text) = ("https://sts.amazonaws.com".to_owned(), "status 403, AccessDenied".to_owned());
        let error = Error::OpenBao(OpenBao::Credential(Box::new(NoCloudCredential { url, text, reason })));
        assert_eq!((error.reason(), error.stalled()), (reason, stalled));
        assert!(describe(&error).contains("https://sts.amazonaws.com gives no credential"), "{error}");
    }

    #[test]
    fn an_error_of_the_api_server_is_described_once_and_without_debug_text() {
        let status = Status::failure("secrets \"a\" not found", "NotFound").with_code(404).boxed();
        let error = Error::DeletionWaits(Box::new(kube::Error::Api(status).into()), Duration::ZERO);
        assert_eq!(
            describe(&error),
            "deletion waits for OpenBao: the Kubernetes API server refuses the request: secrets \"a\" not found"
        );
    }
}
