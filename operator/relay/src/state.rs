//! State that the receiver and the readers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use steamer_openbao::{AuditEntry, KvWrites};
use steamer_runtime::Locked;
use tokio::sync::watch;

use crate::queue::Queue;

/// State that receiver and readers share.
pub(crate) struct Relay {
    queue: Locked<Queue>,
    /// Number of writes. A change wakes the readers.
    pub(crate) written: watch::Sender<u64>,
    pub(crate) token_file: PathBuf,
}

impl Relay {
    pub(crate) fn new(epoch: String, token_file: PathBuf) -> Arc<Self> {
        let (written, _) = watch::channel(0);
        Arc::new(Self { queue: Locked::new(Queue::new(epoch)), written, token_file })
    }

    /// Adds the content of an audit entry.
    pub(crate) fn add(&self, entry: AuditEntry) {
        let next = self.queue.lock().add(entry, Instant::now());
        self.written.send_if_modified(|last| std::mem::replace(last, next) != next);
    }

    pub(crate) fn after(&self, epoch: &str, position: u64) -> KvWrites {
        self.queue.lock().after(epoch, position, Instant::now())
    }
}
