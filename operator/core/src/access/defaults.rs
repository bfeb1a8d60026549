//! Objects named `default`, which other objects use without a reference.

use std::sync::Arc;

use steamer_api::Referable;
use steamer_runtime::{Dependencies, ObjectName};

use crate::context::Context;
use crate::error::Error;
use crate::stores::Stores;

/// Name of the object that is used without a reference.
const DEFAULT: &str = "default";

/// Lookup of defaults.
pub(super) struct Defaults<'a> {
    pub(super) stores: &'a Stores,
    /// Namespace of the operator.
    pub(super) operator: &'a str,
    pub(super) dependencies: &'a Dependencies,
}

impl<'a> Defaults<'a> {
    pub(super) fn new(context: &'a Context, dependencies: &'a Dependencies) -> Self {
        Self { stores: &context.stores, operator: &context.operator.namespace, dependencies }
    }

    /// The object `default` of namespace `own`, or else that of the operator's namespace, for an object of namespace
    /// `from`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Denied`].
    pub(super) fn of<K: Referable>(&self, own: &str, from: &str) -> Result<Arc<K>, Error> {
        let named = |namespace: &str| {
            self.stores.named(self.dependencies, &ObjectName::new(namespace, DEFAULT), from)
        };
        match named(own) {
            Err(Error::NotFound { .. }) => named(self.operator),
            found => found,
        }
    }
}
