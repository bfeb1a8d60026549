//! A resource as OpenBao returns it.

use serde_json::{Map, Value};
use steamer_core::ownership::Mark;

/// A resource that exists: its parameters, and its owner if it carries a mark.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Existing {
    /// Parameters, under the names under which they are written.
    pub(super) parameters: Map<String, Value>,
    /// Owner of a resource of a tenant, project or other installation.
    pub(super) mark: Option<Mark>,
}
