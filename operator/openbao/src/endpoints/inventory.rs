//! Lists and configuration at any path.

use serde_json::{Map, Value};

use crate::session::{Call, absent};
use crate::{Error, Session};

impl Session {
    /// Returns the names below a path (`LIST <path>`), or an empty list if the path does not exist. The names of folders
    /// end with a slash.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn listing(&self, path: &str) -> Result<Vec<String>, Error> {
        self.names(path).await
    }

    /// Returns the configuration at a path (`GET <path>`), or `None` if the path does not exist. The caller must not request
    /// paths of secret values: the result has `Debug`.
    ///
    /// # Errors
    /// Any [`Error`] of a request.
    pub async fn configuration(&self, path: &str) -> Result<Option<Map<String, Value>>, Error> {
        absent(self.data(Call::get(path)).await).map(Option::flatten)
    }
}
