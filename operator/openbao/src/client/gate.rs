//! Entrance to a server: a limit of concurrent requests, and the circuit breaker. A server that never answers holds only
//! this many requests of the objects that use it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Error;
use crate::circuit::{self, Circuit, Failure, Purpose, jitter};
use crate::fault::Fault;

/// Most concurrent requests to a server.
const REQUESTS: usize = 8;

/// An address that does not answer, and the cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) address: String,
    pub(super) fault: Fault,
}

/// A request that is not sent.
pub(super) type Refusal = circuit::Refusal<Outage>;

/// Entrance to a server.
pub(super) struct Gate {
    circuit: Mutex<Circuit<Outage>>,
    requests: Semaphore,
}

/// One request that is being sent.
pub(super) struct Entry<'a> {
    gate: &'a Gate,
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
        self.refused()?;
        // The semaphore is never closed.
        let permit = self.requests.acquire().await.ok();
        self.refused()?;
        Ok(Entry { gate: self, _permit: permit })
    }

    fn refused(&self) -> Result<(), Refusal> {
        self.circuit().refusal(Instant::now()).map_or(Ok(()), Err)
    }

    /// Returns the time until the next probe, if the server is known to be down.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.circuit().refusal(Instant::now()).map(|refusal| refusal.left)
    }

    /// Records a response. Returns true if the server was known to be down.
    pub(super) fn answered(&self) -> bool {
        self.circuit().answered(Instant::now())
    }

    /// Records that a probe, made at `started`, ended without a response.
    pub(super) fn probe_failed(&self, started: Instant, error: &Error) {
        self.failed(Purpose::Probe, started, error);
    }

    fn failed(&self, purpose: Purpose, started: Instant, error: &Error) {
        let Error::Unreachable { address, source } = error else { return };
        let outage = Outage { address: address.clone(), fault: source.clone() };
        let failure = Failure { purpose, outage, started, jitter: jitter() };
        self.circuit().failed(failure, Instant::now());
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit<Outage>> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    /// Records that a request, made at `started`, ended without a response.
    pub(super) fn failed(&self, started: Instant, error: &Error) {
        // No connection was made.
        if !matches!(error, Error::Unreachable { source: Fault::Forbidden(_), .. }) {
            self.gate.failed(Purpose::Regular, started, error);
        }
    }
}
