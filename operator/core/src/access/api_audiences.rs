//! The audiences that the API server accepts, read again while the operator runs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::Client;
use steamer_runtime::{Locked, ObjectName};
use tokio::sync::Mutex;

use super::audiences::SafeAudiences;
use super::token_requests::api_server_audiences;
use crate::error::Error;

/// Age at which the audiences of the API server are read again before a token is requested.
const OUTDATED: Duration = Duration::from_secs(600);

/// The audiences that the API server accepts. An administrator can change them while the operator runs.
pub struct ApiAudiences {
    client: Client,
    account: ObjectName,
    known: Locked<BTreeSet<String>>,
    read: Mutex<Instant>,
}

impl ApiAudiences {
    /// Reads the audiences with a token of a ServiceAccount, which is discarded.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn read(client: Client, account: ObjectName) -> Result<Self, kube::Error> {
        let known = Locked::new(api_server_audiences(&client, &account).await?);
        Ok(Self { client, account, known, read: Mutex::new(Instant::now()) })
    }

    /// Checks audiences against the last known ones.
    ///
    /// # Errors
    /// As [`SafeAudiences::new`].
    pub fn safe(&self, audiences: Vec<String>) -> Result<SafeAudiences, Error> {
        SafeAudiences::new(audiences, &self.known.lock())
    }

    /// Checks audiences again, right before a token is requested for them.
    ///
    /// # Errors
    /// As [`SafeAudiences::new`], and any error of the API server.
    pub async fn still_safe(&self, audiences: &SafeAudiences) -> Result<(), Error> {
        let mut read = self.read.lock().await;
        if read.elapsed() >= OUTDATED {
            let current = api_server_audiences(&self.client, &self.account).await?;
            *self.known.lock() = current;
            *read = Instant::now();
        }
        drop(read);
        self.safe(audiences.as_slice().to_vec()).map(drop)
    }
}
