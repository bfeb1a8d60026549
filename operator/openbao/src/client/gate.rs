//! Entrance to a server: a limit of concurrent requests, and the circuit breaker. A server that never answers holds only
//! this many requests of the objects that use it.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::circuit::{Circuit, Failure, Outage, Refusal, Ticket};
use crate::Error;
use crate::fault::Fault;

/// Most concurrent requests to a server.
const REQUESTS: usize = 8;

/// Entrance to a server.
pub(super) struct Gate {
    circuit: Mutex<Circuit>,
    requests: Semaphore,
}

/// One request that is being sent.
pub(super) struct Entry<'a> {
    gate: &'a Gate,
    ticket: Ticket,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Gate {
    /// Returns the entrance to a server that is probed at least once per `longest` pause.
    pub(super) fn new(longest: Duration) -> Self {
        Self { circuit: Mutex::new(Circuit::new(longest)), requests: Semaphore::new(REQUESTS) }
    }

    /// Waits for the turn of a request.
    ///
    /// # Errors
    /// The refusal, at once, while the server is known to be down.
    pub(super) async fn enter(&self) -> Result<Entry<'_>, Refusal> {
        if let Some(refusal) = self.circuit().refusal(Instant::now()) {
            return Err(refusal);
        }
        // The semaphore is never closed.
        let permit = self.requests.acquire().await.ok();
        let ticket = self.circuit().admit(Instant::now())?;
        Ok(Entry { gate: self, ticket, _permit: permit })
    }

    /// Records a response. Returns true if the server was known to be down.
    pub(super) fn answered(&self) -> bool {
        self.circuit().answered(Instant::now())
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    /// Records that a request, made at `started`, ended without a response.
    pub(super) fn failed(&self, started: Instant, error: &Error) {
        let Error::Unreachable { address, source } = error else { return };
        // No connection was made.
        if matches!(source, Fault::Forbidden(_)) {
            return;
        }
        let outage = Outage { address: address.clone(), fault: source.clone() };
        let failure = Failure { ticket: self.ticket, outage, started, jitter: random() };
        self.gate.circuit().failed(failure, Instant::now());
    }
}

impl Drop for Entry<'_> {
    /// A probe that is dropped without a result leaves its place to the next request.
    fn drop(&mut self) {
        self.gate.circuit().abandoned(self.ticket);
    }
}

/// A number that differs between calls. It protects nothing.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
