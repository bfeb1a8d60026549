//! Location of resources in the spec of an object.

use steamer_api::{Placement, Reference};

/// Where the spec of an object says the resources are.
pub(crate) enum Site<'a> {
    /// The object has a placement of its own.
    Placed(&'a Placement),
    /// The resources are beside those of a DatabaseConnection.
    Connection(&'a Reference),
}
