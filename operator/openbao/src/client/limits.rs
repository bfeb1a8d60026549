//! Time that a request may take.

use std::time::{Duration, Instant};

/// Longest time in which a node answers a probe, unless the timeout of the settings is shorter.
const PROBE: Duration = Duration::from_secs(5);

/// Bounds of the time of one request with its retries.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    end: Instant,
    /// Longest time at one node.
    pub(super) node: Duration,
}

impl Limits {
    pub(super) fn within(longest: Duration) -> Self {
        Self { end: Instant::now() + longest, node: longest }
    }

    pub(super) fn of_probe(longest: Duration) -> Self {
        Self { node: PROBE, ..Self::within(longest) }
    }

    pub(super) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}
