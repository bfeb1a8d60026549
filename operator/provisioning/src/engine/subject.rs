//! Subject of an object: the external entity that only one object may provision.

use steamer_api::Kind;
use steamer_runtime::{Key, ObjectName};

/// An external entity, such as a project of a tenant. Of several objects with the same subject, one that has
/// provisioned it wins, otherwise the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Object that contains the entity.
    pub(crate) parent: ObjectName,
    /// Name of the entity, as messages show it.
    pub(crate) name: String,
    /// True if the object has provisioned the entity.
    pub(crate) established: bool,
}

impl Subject {
    /// The key under which the claimants wait for each other.
    pub(super) fn key<K: Kind>(&self) -> Key {
        let name = ObjectName::new(self.parent.to_string(), &self.name);
        Key::new(format!("subject of kind {}", K::KIND), name)
    }
}
