//! Watches that run as long as an object depends on what they observe.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use steamer_runtime::{Index, Key, Locked, ObjectName, Reason};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, interval_at, timeout};

use super::observation::Refusal;

/// How long a reconcile waits for the first answer of the API server.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often a watch looks for objects that depend on it.
pub const IDLE: Duration = Duration::from_secs(60);

/// The running watches by name. `S` is what one of them has observed.
pub struct OnDemand<S> {
    index: Arc<Index>,
    watched: Locked<HashMap<ObjectName, watch::Receiver<S>>>,
}

impl<S: Clone> OnDemand<S> {
    /// Returns the set of watches, which is empty. Changes requeue the objects that the index knows.
    #[must_use]
    pub fn new(index: Arc<Index>) -> Self {
        Self { index, watched: Locked::default() }
    }

    /// Receives what a watch observes. `start` starts it if it does not run.
    pub fn receiver(
        &self,
        name: &ObjectName,
        start: impl FnOnce() -> watch::Receiver<S>,
    ) -> watch::Receiver<S> {
        let mut watched = self.watched.lock();
        // A closed channel belongs to a watch that ended.
        if let Some(receiver) = watched.get(name).filter(|receiver| receiver.has_changed().is_ok()) {
            return receiver.clone();
        }
        let receiver = start();
        watched.insert(name.clone(), receiver.clone());
        receiver
    }

    /// Requeues the objects that depend on a key.
    pub fn wake(&self, key: Key) {
        self.index.wake(&[key], None);
    }

    /// Ends a watch that no object depends on. Returns true if it ended. An object that depends on it from now on starts another
    /// one: it registers before it looks for the watch.
    pub fn ended(&self, name: &ObjectName, key: &Key) -> bool {
        let mut watched = self.watched.lock();
        let idle = !self.index.is_awaited(key);
        if idle {
            watched.remove(name);
        }
        idle
    }

    /// Ends a watch. The next object starts another one.
    pub fn end(&self, name: &ObjectName) {
        self.watched.lock().remove(name);
    }
}

/// Times at which a watch looks for objects that depend on it. Events do not postpone its end.
#[must_use]
pub fn looks() -> Interval {
    interval_at(Instant::now() + IDLE, IDLE)
}

/// Waits for the first answer of the API server. `of` is that of a state, if it is one.
///
/// # Errors
/// The refusal of the API server, also of one that does not answer in time.
pub async fn answer<S, T>(
    mut seen: watch::Receiver<S>,
    of: impl Fn(&S) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let found = timeout(PATIENCE, seen.wait_for(|seen| of(seen).is_some())).await;
    found.ok().and_then(|seen| of(&*seen.ok()?)).unwrap_or_else(|| {
        Err(Refusal { text: "the API server did not answer".to_owned(), reason: Reason::Unreachable })
    })
}
