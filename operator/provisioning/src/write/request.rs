//! Requests that need a right, for messages about a policy that lacks it.

use reqwest::Method;
use steamer_openbao::NamespacePath;

/// A request: its method, or `LIST`, and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Method, or `LIST`.
    pub(crate) method: String,
    /// Path.
    pub(crate) path: String,
}

impl Request {
    pub(crate) fn new(method: &Method, path: impl Into<String>) -> Self {
        Self { method: method.to_string(), path: path.into() }
    }

    /// The request of a list.
    pub(crate) fn list(path: impl Into<String>) -> Self {
        Self { method: "LIST".to_owned(), path: path.into() }
    }

    /// The request with a path that starts at the parent of a namespace.
    pub(crate) fn inside(self, namespace: &NamespacePath) -> Self {
        Self { path: namespace.path(&self.path), ..self }
    }
}
