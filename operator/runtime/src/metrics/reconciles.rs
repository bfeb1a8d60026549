//! Metrics of controllers and their objects.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{Controller, Failed, ObjectState, Outcome, Panicking};
use super::registration::{Registration, histograms};

/// Work of the controllers.
pub(super) struct Reconciles {
    pub(super) leader: Gauge,
    pub(super) objects: Family<ObjectState, Gauge>,
    pub(super) reconciles: Family<Outcome, Counter>,
    pub(super) seconds: Family<Controller, Histogram, fn() -> Histogram>,
    pub(super) failures: Family<Failed, Counter>,
    pub(super) waiting: Family<Controller, Gauge>,
    pub(super) queue_wait: Family<Controller, Histogram, fn() -> Histogram>,
    pub(super) panics: Family<Panicking, Counter>,
}

impl Reconciles {
    pub(super) fn register(to: &mut Registration) -> Self {
        Self {
            leader: to.add(
                "steamer_leader",
                &[],
                "1 in the replica that holds the leader lease, 0 in the others",
                Gauge::default(),
            ),
            objects: to.add(
                "steamer_objects",
                &["kind", "ready", "reason"],
                "Objects by kind, and by status and reason of their condition Ready. Only the leader \
counts them",
                Family::default(),
            ),
            reconciles: to.add(
                "steamer_reconcile",
                &["controller", "outcome"],
                "Reconciles of objects, by outcome: applied, failed or timed_out",
                Family::default(),
            ),
            seconds: to.add(
                "steamer_reconcile_seconds",
                &["controller"],
                "Duration of a reconcile in seconds",
                histograms(),
            ),
            failures: to.add(
                "steamer_failures",
                &["controller", "reason"],
                "Failed reconciles by the reason in the status",
                Family::default(),
            ),
            waiting: to.add(
                "steamer_queue_waiting",
                &["controller"],
                "Objects waiting for a worker",
                Family::default(),
            ),
            queue_wait: to.add(
                "steamer_queue_wait_seconds",
                &["controller"],
                "Seconds for which an object waited for a worker",
                histograms(),
            ),
            panics: to.add(
                "steamer_panics",
                &["kind"],
                "Panics that were caught, by kind of the object. Each is a fault of Steamer",
                Family::default(),
            ),
        }
    }
}
