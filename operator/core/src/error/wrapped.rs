//! Errors of other crates that a reconcile passes on.

use std::sync::Arc;

use steamer_openbao::Error as OpenBao;
use steamer_runtime::Failure;

/// An error that a family of controllers defines.
#[derive(Debug)]
pub struct Other(pub(super) Box<dyn Failure>);

impl std::fmt::Display for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Other {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// An error that several objects share.
#[derive(Debug)]
pub struct Shared(pub Arc<OpenBao>);

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}
