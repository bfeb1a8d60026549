//! What a pass can come to, for every kind: one place that decides reason and retry.

use std::sync::Arc;
use std::time::Duration;

use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Name, Reason, Retry};

use crate::openbao_cluster::database::DatabaseError;

/// Why a pass did not get through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Refers to what is not there.
    #[error("{kind} {name} does not exist")]
    NotFound { kind: &'static str, name: Name },
    /// Refers to what does not allow it.
    #[error("{kind} {name} does not allow references from namespace {from}: its allowedNamespaces decides")]
    Denied { kind: &'static str, name: Name, from: String },
    /// Not allowed in another way; the text says by what.
    #[error("{0}")]
    NotAllowed(String),
    /// The spec cannot be carried out; the text says what to change.
    #[error("{0}")]
    Invalid(String),
    /// Something foreign is in the way; the text names it.
    #[error("{0}")]
    Conflict(String),
    /// Waits for what the text names.
    #[error("{0}")]
    Waiting(String),
    /// On its way out, waits for what the text names.
    #[error("{0}")]
    Deleting(String),
    /// A deletion that OpenBao is needed for and cannot be reached for.
    #[error("deletion waits for OpenBao")]
    DeletionWaits(#[source] Box<Self>, Duration),
    /// There is no value at the path.
    #[error("{0}")]
    SourceMissing(String, Duration),
    /// OpenBao.
    #[error(transparent)]
    OpenBao(#[from] OpenBao),
    /// OpenBao, to several who asked for the same.
    #[error(transparent)]
    Shared(Shared),
    /// The database of a cluster.
    #[error(transparent)]
    Database(DatabaseError),
    /// The API server.
    #[error("the Kubernetes API server refuses or cannot be reached")]
    Kubernetes(#[from] kube::Error),
}

impl Error {
    /// Whether OpenBao is not there to be asked, so that a deletion may have to go on without it.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            Self::OpenBao(
                OpenBao::Unreachable { .. }
                    | OpenBao::Sealed
                    | OpenBao::NoLeader
                    | OpenBao::Uninitialized
                    | OpenBao::Server { .. }
                    | OpenBao::Login { .. }
                    | OpenBao::Denied { .. }
                    | OpenBao::Credential(_)
            ) | Self::NotFound { .. }
        )
    }
}

impl Failure for Error {
    fn reason(&self) -> Reason {
        match self {
            Self::NotFound { .. } => Reason::ReferenceNotFound,
            Self::Denied { .. } | Self::NotAllowed(_) => Reason::ReferenceDenied,
            Self::Invalid(_) => Reason::Invalid,
            Self::Conflict(_) => Reason::Conflict,
            Self::Waiting(_) => Reason::Waiting,
            Self::Deleting(_) => Reason::Deleting,
            Self::DeletionWaits(error, _) => error.reason(),
            Self::SourceMissing(..) => Reason::SourceMissing,
            Self::OpenBao(error) => openbao_reason(error),
            Self::Shared(error) => openbao_reason(&error.0),
            Self::Database(error) => database_reason(error),
            Self::Kubernetes(kube::Error::Api(status)) if status.code == 403 => Reason::PermissionDenied,
            Self::Kubernetes(kube::Error::Api(status)) if status.code == 422 => Reason::Invalid,
            Self::Kubernetes(_) => Reason::Failed,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotFound { .. } | Self::Denied { .. } | Self::NotAllowed(_) | Self::Waiting(_) => {
                Retry::OnChange
            }
            Self::SourceMissing(_, pause) | Self::DeletionWaits(_, pause) => Retry::After(*pause),
            Self::OpenBao(error) => openbao_retry(error),
            Self::Shared(error) => openbao_retry(&error.0),
            // A namespace goes in the background; nothing tells when.
            Self::Deleting(_) => Retry::After(Duration::from_secs(1)),
            Self::Invalid(_) | Self::Conflict(_) | Self::Database(_) | Self::Kubernetes(_) => Retry::Backoff,
        }
    }

    fn stalled(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::NotAllowed(_) | Self::Invalid(_) | Self::Conflict(_) => true,
            Self::OpenBao(error) => openbao_stalled(error),
            Self::Shared(error) => openbao_stalled(&error.0),
            Self::Database(error) => error.stalled(),
            Self::Kubernetes(_) => matches!(self.reason(), Reason::PermissionDenied | Reason::Invalid),
            _ => false,
        }
    }
}

/// An error that several hold, read as one's own.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) Arc<OpenBao>);

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

fn openbao_retry(error: &OpenBao) -> Retry {
    match error {
        OpenBao::Throttled { retry_after } => Retry::After(*retry_after),
        _ => Retry::Backoff,
    }
}

fn openbao_stalled(error: &OpenBao) -> bool {
    !error.is_transient() && !matches!(error, OpenBao::Credential(_))
}

fn database_reason(error: &DatabaseError) -> Reason {
    match error {
        DatabaseError::Unreachable { .. } | DatabaseError::Busy { .. } => Reason::Unreachable,
        DatabaseError::Login { .. } => Reason::PermissionDenied,
        DatabaseError::NoDatabase { .. } | DatabaseError::Certificate { .. } => Reason::Invalid,
        DatabaseError::Statement { .. } => Reason::Failed,
    }
}

fn openbao_reason(error: &OpenBao) -> Reason {
    match error {
        OpenBao::Unreachable { .. } => Reason::Unreachable,
        OpenBao::Sealed => Reason::Sealed,
        OpenBao::NoLeader => Reason::NoLeader,
        OpenBao::Throttled { .. } => Reason::Throttled,
        OpenBao::Denied { .. } | OpenBao::Login { .. } => Reason::PermissionDenied,
        OpenBao::Credential(_) => Reason::ReferenceNotFound,
        OpenBao::InUse { .. } => Reason::Conflict,
        OpenBao::Invalid { .. } | OpenBao::Settings(_) => Reason::Invalid,
        OpenBao::Uninitialized
        | OpenBao::NotFound { .. }
        | OpenBao::CheckAndSet { .. }
        | OpenBao::Server { .. }
        | OpenBao::Answer { .. } => Reason::Failed,
    }
}
