//! Location of resources in the spec of an object.

use steamer_api::{LocalReference, Placement, Reference};

/// Where the spec of an object says the resources are.
pub(crate) enum Site<'a> {
    /// The object has a placement of its own.
    Placed(&'a Placement),
    /// The resources are beside those of a DatabaseConnection.
    Connection(&'a Reference),
    /// The resources are in the root namespace of a cluster in the Kubernetes namespace of the object.
    Root(&'a LocalReference),
}
