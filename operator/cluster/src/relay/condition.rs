//! Condition of a cluster with instant delivery.

use steamer_core::context::Context;
use steamer_core::writes::RelayState;
use steamer_runtime::conditions::{Conditions, State};
use steamer_runtime::{ObjectName, Reason};

const KIND: &str = "InstantDelivery";

/// Sets the condition, or removes that of a cluster without relays.
pub(crate) fn set(conditions: &mut Conditions<'_>, context: &Context, cluster: &ObjectName) {
    match context.writes.state(cluster) {
        None => conditions.clear(KIND),
        Some(RelayState::Complete) => {
            let text =
                "every write is reported: unchanged values are read after 10 times refreshAfter, at most 10m";
            conditions.set(KIND, State::True, Reason::Applied, text);
        }
        Some(RelayState::Incomplete(why)) => {
            let text = format!("{why}; values are read every refreshAfter");
            conditions.set(KIND, State::False, Reason::Waiting, &text);
        }
    }
}
