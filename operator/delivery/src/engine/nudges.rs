//! Limit of requested reconciles. Each one reads the value again, and a client can change the annotation without end.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use steamer_runtime::{Locked, ObjectName};

/// Requested reconciles of one object that are made at once in a period.
const BURST: usize = 5;
/// Period in which they are counted.
const PERIOD: Duration = Duration::from_secs(10);

/// A requested reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nudge {
    /// No reconcile is requested.
    None,
    /// The request is handled now.
    Now,
    /// The request waits.
    Later(Duration),
}

impl Nudge {
    /// How long the request waits.
    pub(crate) fn pause(self) -> Option<Duration> {
        match self {
            Self::Later(pause) => Some(pause),
            Self::None | Self::Now => None,
        }
    }
}

/// Recent requested reconciles of all objects of a kind.
#[derive(Default)]
pub(crate) struct Nudges(Locked<HashMap<ObjectName, VecDeque<Instant>>>);

impl Nudges {
    /// Admits a requested reconcile, or states how long it waits.
    pub(crate) fn admit(&self, object: &ObjectName, now: Instant) -> Nudge {
        let mut recent = self.0.lock();
        let recent = recent.entry(object.clone()).or_default();
        recent.retain(|at| now.saturating_duration_since(*at) < PERIOD);
        match recent.front().filter(|_| recent.len() >= BURST) {
            Some(first) => Nudge::Later(PERIOD.saturating_sub(now.saturating_duration_since(*first))),
            None => {
                recent.push_back(now);
                Nudge::Now
            }
        }
    }

    /// Discards the requests of a deleted object.
    pub(crate) fn forget(&self, object: &ObjectName) {
        self.0.lock().remove(object);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_object_is_read_a_few_times_per_period_and_no_request_waits_longer(
            steps in proptest::collection::vec(0_u64..4000, 1..300),
        ) {
            let (nudges, name) = (Nudges::default(), ObjectName::new("web", "app"));
            let (mut now, mut admitted) = (Instant::now(), Vec::new());
            for millis in steps {
                now += Duration::from_millis(millis);
                match nudges.admit(&name, now) {
                    Nudge::Now => admitted.push(now),
                    Nudge::Later(pause) => {
                        prop_assert!(!pause.is_zero() && pause <= PERIOD);
                        now += pause;
                        prop_assert_eq!(nudges.admit(&name, now), Nudge::Now);
                        admitted.push(now);
                    }
                    Nudge::None => prop_assert!(false),
                }
            }
            for window in admitted.windows(BURST + 1) {
                prop_assert!(window[BURST] - window[0] >= PERIOD);
            }
            nudges.forget(&name);
            prop_assert!(nudges.0.lock().is_empty());
        }
    }
}
