//! Writes of the values of an object that relays report.

use jiff::Timestamp;
use steamer_core::Context;
use steamer_core::writes::{Coverage, coverage_key};
use steamer_runtime::{Dependencies, Key, ObjectName};

use super::nudges::Nudge;

/// A cluster with relays, and the times in which they report every write.
#[derive(Clone, Debug)]
pub(crate) struct Relayed {
    pub(crate) cluster: ObjectName,
    pub(crate) coverage: Coverage,
}

impl Relayed {
    /// The relays of a cluster. The object is requeued when they do not report every write any more.
    pub(super) fn of(context: &Context, dependencies: &Dependencies, cluster: ObjectName) -> Self {
        dependencies.on(coverage_key(&cluster));
        Self { coverage: context.writes.coverage(&cluster).unwrap_or_default(), cluster }
    }
}

/// Locations of which a write wakes the object.
pub(crate) struct Watched {
    pub(crate) cluster: ObjectName,
    pub(crate) locations: Vec<Key>,
}

impl Watched {
    /// The last reported write. From now on, each write requeues the object.
    pub(super) fn latest(&self, context: &Context, dependencies: &Dependencies) -> Option<Timestamp> {
        for location in &self.locations {
            dependencies.on(location.clone());
        }
        context.writes.latest(&self.cluster, &self.locations)
    }
}

/// The last reported write of the values of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// When it was reported. A value that was read earlier can be outdated.
    pub(super) at: Option<Timestamp>,
    /// Whether the value is read for it.
    pub(super) nudge: Nudge,
}
