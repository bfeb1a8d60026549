//! Errors of a push.

use std::time::Duration;

use steamer_core::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry};

use super::entry::Entry;
use super::permissions;
use super::place::Place;

/// Reason why an entry could not be written.
#[derive(Debug, thiserror::Error)]
enum Problem {
    /// A write with check-and-set found another version.
    #[error("another client wrote {0} at the same time: its version is kept, and the entry is read again")]
    Overtaken(String),
    /// The identity lacks a permission.
    #[error("{0}: add to a policy of the role: {1}")]
    Denied(String, String),
    /// An entry with generated values was deleted.
    #[error(
        "{0} was deleted in OpenBao, and its generated values with it: restore it, or delete and create this object to generate \
         new ones"
    )]
    Lost(String),
}

impl Failure for Problem {
    fn reason(&self) -> Reason {
        match self {
            Self::Overtaken(_) => Reason::Conflict,
            Self::Denied(..) => Reason::PermissionDenied,
            Self::Lost(_) => Reason::SourceMissing,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Overtaken(_) => Retry::After(Duration::from_secs(2)),
            Self::Denied(..) | Self::Lost(_) => Retry::After(Duration::from_secs(20)),
        }
    }

    fn stalled(&self) -> bool {
        !matches!(self, Self::Overtaken(_))
    }
}

/// The error for an entry that lost its generated values.
pub(super) fn lost(place: &Place) -> Error {
    Error::other(Problem::Lost(place.published()))
}

/// Adds to an error of OpenBao what to change.
pub(super) fn explained(error: Error, entry: &Entry, deletion: permissions::Deletion) -> Error {
    match error {
        Error::OpenBao(error @ OpenBao::Denied { .. }) => {
            Error::other(Problem::Denied(error.to_string(), permissions::rules(entry, deletion)))
        }
        Error::OpenBao(OpenBao::CheckAndSet { .. }) => {
            Error::other(Problem::Overtaken(entry.place.published()))
        }
        error => error,
    }
}
