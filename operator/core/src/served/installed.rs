//! The kinds of VSO that the API server serves.

use std::collections::BTreeSet;

use kube::Client;

use super::names::{Counterpart, GROUP, VERSION};
use crate::error::Error;

/// The kinds of VSO that the API server serves, by their names in URLs.
#[derive(Clone, Debug, Default)]
pub struct Installed(BTreeSet<String>);

impl Installed {
    /// Asks the API server.
    ///
    /// # Errors
    /// Any error of the API server, except that it does not serve the group.
    pub async fn of(client: &Client) -> Result<Self, Error> {
        let version = format!("{GROUP}/{VERSION}");
        match client.list_api_group_resources(&version).await {
            Ok(list) => Ok(Self(list.resources.into_iter().map(|resource| resource.name).collect())),
            // The answer for a group that is not served is plain text without a reason.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns true if the API server serves no kind of VSO.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the API server serves the counterpart of a kind.
    #[must_use]
    pub fn has<K: Counterpart>(&self) -> bool {
        self.0.contains(K::PLURAL)
    }
}
