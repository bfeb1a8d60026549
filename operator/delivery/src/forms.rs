//! Controllers of kinds that are only checked, for objects of Steamer and for served objects.

use std::marker::PhantomData;
use std::sync::Arc;

use steamer_core::context::Context;

/// Checks the objects of kind `K`, each of which is a form of `T`.
pub(crate) struct FormController<T, K = T> {
    pub(crate) context: Arc<Context>,
    kind: PhantomData<fn() -> (T, K)>,
}

impl<T, K> FormController<T, K> {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context, kind: PhantomData }
    }
}
