//! Errors of a push.

use std::time::Duration;

use steamer_core::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Failure, Reason, Retry, describe};

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
    /// The selector matches no Secret.
    #[error("no Secret in namespace {0} has the labels of selector: the entries in OpenBao stay as they are")]
    Unmatched(String),
}

impl Failure for Problem {
    fn reason(&self) -> Reason {
        match self {
            Self::Overtaken(_) => Reason::Conflict,
            Self::Denied(..) => Reason::PermissionDenied,
            Self::Lost(_) => Reason::SourceMissing,
            Self::Unmatched(_) => Reason::ReferenceNotFound,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Overtaken(_) => Retry::After(Duration::from_secs(2)),
            Self::Denied(..) | Self::Lost(_) => Retry::After(Duration::from_secs(20)),
            Self::Unmatched(_) => Retry::OnChange,
        }
    }

    fn stalled(&self) -> bool {
        !matches!(self, Self::Overtaken(_) | Self::Unmatched(_))
    }
}

/// The error for an entry that lost its generated values.
pub(super) fn lost(place: &Place) -> Error {
    Error::other(Problem::Lost(place.published()))
}

/// The error for a selector that matches no Secret. It can be a mistake: nothing is released.
pub(super) fn unmatched(namespace: &str) -> Error {
    Error::other(Problem::Unmatched(namespace.to_owned()))
}

/// An entry that is no longer needed cannot be released, besides another error.
#[derive(Debug, thiserror::Error)]
#[error("{text}; an entry that is no longer needed is not released: {unreleased}")]
struct Both {
    text: String,
    unreleased: String,
    reason: Reason,
    retry: Retry,
    is_stalled: bool,
}

impl Failure for Both {
    fn reason(&self) -> Reason {
        self.reason
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn stalled(&self) -> bool {
        self.is_stalled
    }
}

/// The error of the entries and that of a release. The first determines the reason.
pub(super) fn joined(failed: Option<Error>, unreleased: Option<Error>) -> Option<Error> {
    let (failed, unreleased) = match (failed, unreleased) {
        (Some(failed), Some(unreleased)) => (failed, unreleased),
        (failed, unreleased) => return failed.or(unreleased),
    };
    Some(Error::other(Both {
        text: describe(&failed),
        unreleased: describe(&unreleased),
        reason: failed.reason(),
        retry: sooner(failed.retry(), unreleased.retry()),
        is_stalled: failed.stalled(),
    }))
}

fn sooner(one: Retry, other: Retry) -> Retry {
    match (one, other) {
        (Retry::Backoff, _) | (_, Retry::Backoff) => Retry::Backoff,
        (Retry::After(one), Retry::After(other)) => Retry::After(one.min(other)),
        (Retry::OnChange, retry) | (retry, Retry::OnChange) => retry,
    }
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
