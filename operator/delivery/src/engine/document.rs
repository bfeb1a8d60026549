//! A value as OpenBao returned it.

use serde_json::Value;
use steamer_openbao::Values;

/// Typed values of one source. It has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Document {
    /// JSON values by key.
    pub(crate) values: Values,
    /// Metadata of the version. Null if the engine has no versions.
    pub(crate) metadata: Value,
}
