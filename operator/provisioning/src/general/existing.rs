//! A resource as OpenBao returns it.

use serde_json::{Map, Value};
use steamer_core::ownership::Mark;

use super::readback::Returned;

/// A resource that exists: its parameters, and its owner if it carries a mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Existing {
    /// Parameters, under the names under which they are written.
    pub(super) parameters: Map<String, Value>,
    /// Secret parameters that differ from the desired ones. They are compared when the resource is observed.
    pub(super) secrets: Returned,
    /// Owner of a resource of a tenant, project or other installation.
    pub(super) mark: Option<Mark>,
}
