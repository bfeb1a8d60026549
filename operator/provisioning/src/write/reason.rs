//! Reasons of writes, as in Events and the plan of a status.

/// Reason of a write that creates a resource.
pub(crate) const MISSING: &str = "does not exist";
/// Reason of a write that adopts a resource.
pub(crate) const ADOPTED: &str = "is adopted";
/// Reason of a write that repairs a resource.
pub(crate) const DIFFERS: &str = "differs from the spec";
/// Reason of a write that deletes a resource.
pub(crate) const UNDESIRED: &str = "is not desired";
/// Reason of the deletion of what an interrupted creation has left.
pub(crate) const INTERRUPTED: &str = "its creation was interrupted";
/// Reason of a write that removes access which is no longer granted.
pub(crate) const WITHDRAWN: &str = "is no longer granted";
