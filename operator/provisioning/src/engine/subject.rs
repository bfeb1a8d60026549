//! Subject of an object: the external entity that only one object may provision.

use steamer_api::Kind;
use steamer_runtime::{Key, ObjectName};

/// An external entity, such as a project. Of several objects of one cluster with the same subject, one that has
/// provisioned it wins, otherwise the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Name of the entity in its location, as messages show it. The spec alone determines it.
    pub(crate) name: String,
    /// True if the object has provisioned the entity.
    pub(crate) established: bool,
}

/// Where the entity is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cluster: ObjectName,
    /// Location in the cluster. Empty if the name of the subject contains it.
    pub(super) location: String,
}

impl Place {
    /// An entity in this place, as messages name it.
    pub(super) fn with(&self, name: &str) -> String {
        let Self { cluster, location } = self;
        let location = if location.is_empty() { String::new() } else { format!(" of {location}") };
        format!("{name}{location} in OpenBaoCluster {cluster}")
    }
}

impl Subject {
    /// The key under which the claimants wait for each other. It does not contain the cluster, because only the parents of
    /// an object determine it.
    pub(super) fn key<K: Kind>(&self) -> Key {
        Key::new(format!("subject of kind {}", K::KIND), ObjectName::new("", &self.name))
    }
}
