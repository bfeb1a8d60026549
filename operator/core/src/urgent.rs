//! Thread and clients for work that no object of a user may delay: the failover of managed clusters.

use std::io;

use kube::Client;
use steamer_runtime::{Events, OwnThread};

/// A thread, and a client of the Kubernetes API with connections of its own. All its tasks run on the thread: a busy worker
/// of the controllers does not delay it.
pub struct Urgent {
    /// The thread.
    pub thread: OwnThread,
    /// Client for requests from tasks of the thread.
    pub client: Client,
    /// Publisher of Events for tasks of the thread.
    pub events: Events,
}

impl Urgent {
    /// Starts the thread and creates its clients there. `instance` identifies this process in Events.
    ///
    /// # Errors
    /// If the thread or the client cannot be created.
    pub fn start(
        client: impl FnOnce() -> Result<Client, kube::Error>,
        instance: String,
    ) -> Result<Self, StartError> {
        let thread = OwnThread::start("failover")?;
        let client = thread.create(client)?;
        Ok(Self { events: Events::new(client.clone(), instance), client, thread })
    }
}

/// Error of a start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[from] io::Error),
    /// The configuration of the client is invalid.
    #[error("cannot create a client of the Kubernetes API")]
    Client(#[from] kube::Error),
}
