//! Subject of an object: the external entity that only one object may provision.

use steamer_api::Kind;
use steamer_runtime::{Key, ObjectName};

/// An external entity, such as a project. Of several objects of one cluster with the same subject, one that has
/// provisioned it wins, otherwise the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Name of the entity, as messages show it.
    pub(crate) name: String,
    /// True if the object has provisioned the entity.
    pub(crate) established: bool,
}

impl Subject {
    /// The key under which the claimants wait for each other. It does not contain the cluster, because only the parents of
    /// an object determine it.
    pub(super) fn key<K: Kind>(&self) -> Key {
        Key::new(format!("subject of kind {}", K::KIND), ObjectName::new("", &self.name))
    }
}
