//! Metrics of values and their Secrets.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::InNamespace;
use super::registration::Registration;

/// Reads and deliveries.
pub(super) struct Values {
    pub(super) reads: Counter,
    pub(super) delivery: Histogram,
    pub(super) oldest_read: Family<InNamespace, Gauge>,
    pub(super) next_due: Family<InNamespace, Gauge>,
}

impl Values {
    pub(super) fn register(to: &mut Registration) -> Self {
        let delivery = Histogram::new([0.25, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0]);
        Self {
            reads: to.add("steamer_value_reads", &[], "Values read from OpenBao", Counter::default()),
            delivery: to.add(
                "steamer_secret_delivery_seconds",
                &[],
                "Seconds from the creation of a version in OpenBao (kv-v2) to the write of the Secret \
that contained an earlier one",
                delivery,
            ),
            oldest_read: to.add(
                "steamer_secret_oldest_read_timestamp_seconds",
                &["namespace"],
                "Time of the oldest last read of the values of a namespace, in seconds since the \
epoch. For an object that was never read: its creation",
                Family::default(),
            ),
            next_due: to.add(
                "steamer_secret_next_due_timestamp_seconds",
                &["namespace"],
                "Time at which the next value of a namespace is due, in seconds since the epoch. In \
the past: a read is late, or fails",
                Family::default(),
            ),
        }
    }
}
