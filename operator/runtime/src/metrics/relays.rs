//! Metrics of the relays of all clusters.

use prometheus_client::metrics::counter::Counter;

use super::registration::Registration;

/// Writes that relays reported.
pub(super) struct Relays {
    pub(super) writes: Counter,
    pub(super) lost_writes: Counter,
    pub(super) woken: Counter,
}

impl Relays {
    pub(super) fn register(to: &mut Registration) -> Self {
        Self {
            writes: to.add(
                "steamer_relay_writes",
                &[],
                "Writes to KV engines that relays reported",
                Counter::default(),
            ),
            lost_writes: to.add(
                "steamer_relay_losses",
                &[],
                "Times that a relay could not report all writes since the last answer",
                Counter::default(),
            ),
            woken: to.add(
                "steamer_relay_wakeups",
                &[],
                "Objects woken by reported writes",
                Counter::default(),
            ),
        }
    }
}
