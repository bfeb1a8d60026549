//! Requests that OpenBao denied.

use std::sync::{Arc, Mutex, PoisonError};

/// Denied requests, which the sessions of one [`Session::tolerant`](crate::Session::tolerant) record.
#[derive(Clone, Debug, Default)]
pub struct Denials(Arc<Mutex<Vec<(String, String)>>>);

impl Denials {
    pub(crate) fn add(&self, method: String, path: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((method, path));
    }

    /// Returns the method, or `LIST`, and the path from the root namespace of each denied request.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
