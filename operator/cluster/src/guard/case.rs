//! Input and subject of the decisions of a guard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;

use crate::database::lock::Lock;
use crate::nodes::members::Answer;

/// Login that holds the lock, as the database recorded it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The role of one node.
    Node { role: String, ordinal: u32 },
    /// A login that is not that of one node.
    Shared,
    /// Not recorded.
    #[default]
    Unknown,
}

/// A lost leader, and the reason.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suspect {
    /// The lock as it was judged.
    pub(crate) lock: Lock,
    pub(crate) holder: Holder,
    pub(crate) pod: String,
    /// UID of the pod whose process took the lock.
    pub(crate) uid: Option<String>,
    pub(crate) why: String,
    /// Its process is proven to have ended.
    pub(crate) has_ended: bool,
}

/// One observation.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) lock: Option<&'a Lock>,
    pub(crate) answers: &'a [(Arc<Pod>, Answer)],
    pub(crate) pods: &'a [Arc<Pod>],
    /// The pods are watched. Otherwise the address of a pod may be that of another one now.
    pub(crate) pods_are_live: bool,
    pub(crate) now: Instant,
    pub(crate) detection: Duration,
    /// Time after which a takeover has failed.
    pub(crate) patience: Duration,
}
