//! Facts about an object of VSO that its status depends on.

use serde::Serialize;
use serde_json::Value;

/// Facts about an object of VSO that its status depends on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Facts {
    /// The status that the API server has.
    pub(super) status: Value,
    /// Fields without a counterpart, and what to do about them.
    pub(super) findings: Vec<String>,
}
