//! Desired state of an object of a general kind.

use jiff::Timestamp;
use steamer_api::{DeletionPolicy, OwnedResource, OwnedResources};
use steamer_openbao::NamespacePath;

use super::home::Home;
use super::resource::{FollowUp, Resource};
use super::seal::Seal;
use crate::write::Deletion;

/// Desired state of an object.
pub(crate) struct Desired {
    pub(super) home: Home,
    pub(super) resources: Vec<DesiredResource>,
    /// What the object owns, as recorded.
    pub(super) owned: Option<OwnedResources>,
    pub(super) deletion_policy: DeletionPolicy,
    /// Root of the cluster.
    pub(super) root: NamespacePath,
    /// Seals the record of the object.
    pub(super) seal: Seal,
    /// Deletes a resource of the kind.
    pub(super) deletion: Deletion,
}

/// A resource, and the digest of the request that leads to it.
pub(super) struct DesiredResource {
    pub(super) resource: Resource,
    pub(super) digest: String,
}

impl Desired {
    /// The record of an owned resource.
    pub(super) fn recorded(&self, path: &str) -> Option<&OwnedResource> {
        self.owned.as_ref()?.entry(path)
    }

    /// The requests that follow the writes.
    pub(super) fn follow_ups(&self) -> impl Iterator<Item = &FollowUp> {
        self.resources.iter().filter_map(|it| it.resource.follow_up.as_ref())
    }

    /// The first request that the next pass sends.
    pub(super) fn next(&self) -> Option<&FollowUp> {
        self.follow_ups().find(|it| !it.is_due)
    }

    /// A time in the past if the next pass has to follow at once.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.next().map(|_| Timestamp::UNIX_EPOCH)
    }
}
