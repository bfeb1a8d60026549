//! State of a circuit breaker. While a server is known to be down, requests are answered at once with the last outage; after
//! each of the growing pauses, one request probes the server.
//!
//! The state has no clock and no lock: its owner passes the time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// First pause. It doubles with each probe that fails.
const FIRST: Duration = Duration::from_secs(1);
/// A circuit that opens again within this time continues with its last pause.
const RELAPSE: Duration = Duration::from_secs(60);

/// Purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A request that was made while the server was not known to be down.
    Regular,
    /// A request that tests whether the server answers again.
    Probe,
}

/// A request that is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<O> {
    /// The last outage.
    pub outage: O,
    /// Time until the next probe. Zero if a probe is due.
    pub left: Duration,
}

/// A request that ended without a response.
pub struct Failure<O> {
    /// Purpose of the request.
    pub purpose: Purpose,
    /// What the requests that are refused from now on report.
    pub outage: O,
    /// When the request was made.
    pub started: Instant,
    /// Random number, so that several operators and servers do not probe at the same time: [`jitter`].
    pub jitter: u64,
}

/// Circuit breaker of one server. `O` describes an outage.
#[derive(Debug)]
pub struct Circuit<O> {
    longest: Duration,
    /// When the server answered last.
    answered: Option<Instant>,
    open: Option<Open<O>>,
    /// Pauses before the circuit closed.
    last: u32,
}

#[derive(Debug)]
struct Open<O> {
    outage: O,
    pauses: u32,
    until: Instant,
}

impl<O: Clone> Circuit<O> {
    /// Returns a closed circuit with a longest pause.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { longest, answered: None, open: None, last: 0 }
    }

    /// Returns the refusal of a request that is made now, if any.
    #[must_use]
    pub fn refusal(&self, now: Instant) -> Option<Refusal<O>> {
        let open = self.open.as_ref()?;
        Some(Refusal { outage: open.outage.clone(), left: open.until.saturating_duration_since(now) })
    }

    /// Closes the circuit. Returns true if it was open.
    pub fn answered(&mut self, now: Instant) -> bool {
        self.answered = Some(self.answered.map_or(now, |last| last.max(now)));
        let Some(open) = self.open.take() else {
            return false;
        };
        self.last = open.pauses;
        true
    }

    /// Opens the circuit, unless the server answered another request since this one was made.
    pub fn failed(&mut self, failure: Failure<O>, now: Instant) {
        let Failure { purpose, outage, started, jitter } = failure;
        if self.answered.is_some_and(|answered| answered >= started) {
            return;
        }
        let pauses = match &self.open {
            Some(_) if purpose == Purpose::Regular => return,
            Some(open) => open.pauses.saturating_add(1),
            None => self.relapsed(now).saturating_add(1),
        };
        let until = now.checked_add(pause(pauses, self.longest, jitter)).unwrap_or(now);
        self.open = Some(Open { outage, pauses, until });
    }

    /// Pauses of an outage that ended a moment ago: the server answers some requests only.
    fn relapsed(&self, now: Instant) -> u32 {
        let recent = self.answered.is_some_and(|at| now.saturating_duration_since(at) < RELAPSE);
        if recent { self.last } else { 0 }
    }
}

/// Returns a number that differs between calls. It protects nothing.
#[must_use]
pub fn jitter() -> u64 {
    RandomState::new().hash_one(0)
}

/// Returns 80 to 100 % of the pause.
fn pause(pauses: u32, longest: Duration, jitter: u64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << pauses.saturating_sub(1).min(10)).min(longest);
    doubled * (80 + u32::try_from(jitter % 21).unwrap_or_default()) / 100
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    fn failure(purpose: Purpose, started: Instant) -> Failure<&'static str> {
        Failure { purpose, outage: "refused", started, jitter: 20 }
    }

    fn left(circuit: &Circuit<&'static str>, now: Instant) -> Option<Duration> {
        circuit.refusal(now).map(|refusal| refusal.left)
    }

    #[rstest]
    #[case(1, 1000)]
    #[case(2, 2000)]
    #[case(4, 8000)]
    #[case(5, 10_000)]
    #[case(u32::MAX, 10_000)]
    fn a_pause_doubles_up_to_the_longest(#[case] pauses: u32, #[case] expected: u128) {
        assert_eq!(pause(pauses, LONGEST, 20).as_millis(), expected);
        assert_eq!(pause(pauses, LONGEST, 21).as_millis(), expected * 8 / 10);
    }

    #[test]
    fn requests_are_refused_until_a_probe_is_answered() {
        let (mut circuit, start) = (Circuit::new(LONGEST), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(circuit.refusal(start), None);
        circuit.failed(failure(Purpose::Regular, start), start);
        let refusal = circuit.refusal(start).unwrap();
        assert_eq!((refusal.outage, refusal.left), ("refused", Duration::from_secs(1)));
        assert_eq!(left(&circuit, at(1)), Some(Duration::ZERO), "no probe was answered");
        circuit.failed(failure(Purpose::Probe, at(1)), at(100));
        assert_eq!(left(&circuit, at(101)), Some(Duration::from_secs(1)), "the pause doubles");
        assert!(circuit.answered(at(103)));
        assert_eq!(circuit.refusal(at(103)), None);
        assert!(!circuit.answered(at(104)));
    }

    #[test]
    fn a_slow_request_does_not_open_the_circuit_of_a_server_that_answers_others() {
        let (mut circuit, start) = (Circuit::new(LONGEST), Instant::now());
        circuit.answered(start + Duration::from_secs(5));
        circuit.failed(failure(Purpose::Regular, start), start + Duration::from_secs(30));
        assert_eq!(circuit.refusal(start + Duration::from_secs(30)), None);
    }

    #[test]
    fn requests_from_before_the_outage_do_not_lengthen_the_pause() {
        let (mut circuit, start) = (Circuit::new(LONGEST), Instant::now());
        for _ in 0..20 {
            circuit.failed(failure(Purpose::Regular, start), start);
        }
        assert_eq!(left(&circuit, start), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_server_that_relapses_continues_with_its_pause() {
        let (mut circuit, mut now) = (Circuit::new(LONGEST), Instant::now());
        for _ in 0..6 {
            circuit.failed(failure(Purpose::Regular, now), now);
            now += LONGEST;
            assert_eq!(left(&circuit, now), Some(Duration::ZERO));
            circuit.answered(now);
            now += Duration::from_secs(1);
        }
        circuit.failed(failure(Purpose::Regular, now), now);
        assert_eq!(left(&circuit, now), Some(LONGEST));
    }

    proptest! {
        /// Any order of events: requests are refused exactly while the server is down, only a probe starts another pause,
        /// no pause is longer than the longest, and an answer closes the circuit.
        #[test]
        fn a_refusal_ends(events in proptest::collection::vec((0_u8..3, 1_u64..15_000, any::<u64>()), 1..200)) {
            let (mut circuit, mut now, mut down) = (Circuit::new(LONGEST), Instant::now(), false);
            for (event, millis, jitter) in events {
                now += Duration::from_millis(millis);
                let before = circuit.refusal(now);
                match event {
                    0 => {
                        prop_assert_eq!(circuit.answered(now), down);
                        down = false;
                    }
                    1 => {
                        circuit.failed(Failure { jitter, ..failure(Purpose::Regular, now) }, now);
                        prop_assert!(before.is_none() || circuit.refusal(now) == before);
                        down = true;
                    }
                    _ => if down {
                        circuit.failed(Failure { jitter, ..failure(Purpose::Probe, now) }, now);
                        prop_assert!(left(&circuit, now).is_some_and(|left| !left.is_zero()));
                    },
                }
                prop_assert_eq!(circuit.refusal(now).is_some(), down);
                prop_assert!(left(&circuit, now).unwrap_or_default() <= LONGEST);
            }
        }
    }
}
