//! A value as OpenBao returned it.

use steamer_openbao::Values;

/// Typed values of one source. It has no `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Document {
    /// JSON values by key.
    pub(crate) values: Values,
}
