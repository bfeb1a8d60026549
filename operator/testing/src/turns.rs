//! Turns of the tests of one binary: how many run at the same time, which ones run alone, and their order.
//!
//! libtest starts tests in the order of their names, on a fixed number of threads. With one thread per test and the
//! variables below, all tests arrive at once and this module decides which of them run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::durations;

/// Variable with the number of tests that run at the same time. The tests that run alone come first, one after another,
/// so that the machine is drained for them only once. Default: no limit, in the order of arrival.
pub const AT_ONCE: &str = "STEAMER_AT_ONCE";
/// Variable with a number that determines a random order of the tests, and random values of [`delay`].
pub const SEED: &str = "STEAMER_SEED";
/// Parts of the names of the tests that take longest. They start first: at the end they would run alone.
const LONGEST: [&str; 6] = [
    "operator_crash::",
    "general_crash::",
    "delivery_crash::",
    "budget::",
    "docs::every_command",
    "homelab::",
];
/// Deadline of a turn: longer than all tests of a binary take.
const DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// Permission of a test to use the servers, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    test: String,
}

/// Requirement of a test on the other tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// No other test runs at the same time.
    Alone,
    /// Other tests can run at the same time.
    Shared,
}

/// Turns of the tests that share some servers.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    order: Order,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Arrival,
    AloneFirst,
    Random(u64),
}

#[derive(Debug, Default)]
struct State {
    /// Number of turns of each running test.
    running: BTreeMap<String, (Kind, usize)>,
    waiting: Vec<Waiting>,
    arrived: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    test: String,
    kind: Kind,
    arrival: u64,
}

impl Turns {
    fn new(at_once: Option<usize>, seed: Option<u64>) -> Self {
        let order = match (seed, at_once) {
            (Some(seed), _) => Order::Random(seed),
            (None, Some(_)) => Order::AloneFirst,
            (None, None) => Order::Arrival,
        };
        let at_once = at_once.unwrap_or(usize::MAX).max(1);
        Self { at_once, order, state: Mutex::default(), changed: Condvar::new() }
    }

    pub(crate) fn from_env() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Self::new(number(AT_ONCE).and_then(|number| usize::try_from(number).ok()), number(SEED))
    }

    /// Blocks the calling thread until its test gets a turn. A test that has a turn gets another one at once: it could
    /// otherwise wait for a test that waits for it.
    pub(crate) fn take(self: &Arc<Self>, kind: Kind) -> Turn {
        let since = Instant::now();
        let mut state = self.state();
        let waiting = state.arrive(durations::test(), kind);
        while !self.may_start(&state, &waiting) {
            assert!(since.elapsed() < DEADLINE, "no turn within {DEADLINE:?}; running: {:?}", state.running);
            let waited = self.changed.wait_timeout(state, DEADLINE);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.start(&waiting);
        drop(state);
        // The next one in the order may be able to start as well.
        self.changed.notify_all();
        durations::waited(since.elapsed());
        Turn { turns: self.clone(), test: waiting.test }
    }

    fn may_start(&self, state: &State, waiting: &Waiting) -> bool {
        if state.running.contains_key(&waiting.test) {
            return true;
        }
        let first = state.waiting.iter().min_by_key(|one| self.rank(one));
        let next = first.is_some_and(|first| first.arrival == waiting.arrival);
        let room = match waiting.kind {
            Kind::Alone => state.running.is_empty(),
            Kind::Shared => {
                let alone = state.running.values().any(|(kind, _)| *kind == Kind::Alone);
                !alone && state.running.len() < self.at_once
            }
        };
        next && room
    }

    fn rank(&self, waiting: &Waiting) -> (Kind, bool, u64) {
        match self.order {
            Order::Arrival => (Kind::Shared, false, waiting.arrival),
            Order::AloneFirst => (waiting.kind, !is_long(&waiting.test), waiting.arrival),
            Order::Random(seed) => (Kind::Shared, false, random(seed, &waiting.test)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_long(test: &str) -> bool {
    LONGEST.iter().any(|part| test.starts_with(part))
}

impl State {
    fn arrive(&mut self, test: Option<String>, kind: Kind) -> Waiting {
        self.arrived += 1;
        let arrival = self.arrived;
        let waiting = Waiting { test: test.unwrap_or_else(|| format!("#{arrival}")), kind, arrival };
        self.waiting.push(waiting.clone());
        waiting
    }

    fn start(&mut self, waiting: &Waiting) {
        self.waiting.retain(|one| one.arrival != waiting.arrival);
        self.running.entry(waiting.test.clone()).or_insert((waiting.kind, 0)).1 += 1;
    }

    fn end(&mut self, test: &str) {
        if let Some((_, turns)) = self.running.get_mut(test) {
            *turns -= 1;
            if *turns == 0 {
                self.running.remove(test);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.state().end(&self.test);
        self.turns.changed.notify_all();
    }
}

thread_local! {
    static SEAT: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Blocks the calling thread until its test gets a shared turn, which lasts until the thread exits. Returns at once on
/// later calls, and on a thread that runs no test.
pub(crate) fn of_this_test() {
    static TURNS: OnceLock<Arc<Turns>> = OnceLock::new();
    if durations::test().is_some() {
        let turns = TURNS.get_or_init(|| Arc::new(Turns::from_env()));
        SEAT.with_borrow_mut(|seat| {
            seat.get_or_insert_with(|| turns.take(Kind::Shared));
        });
    }
}

/// Delay before a fault: `usual`, or with [`SEED`] a random time of at most twice as long. It depends on the test and
/// on `what`.
#[must_use]
pub fn delay(what: &str, usual: Duration) -> Duration {
    let seed = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    seed.map_or(usual, |seed| {
        let part = random(seed, &(durations::test(), what)) % 2001;
        usual.mul_f64(part as f64 / 1000.0)
    })
}

fn random(seed: u64, what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, what).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(turns: &Turns, tests: &[(&str, Kind)]) -> Vec<Waiting> {
        let mut state = turns.state();
        tests.iter().map(|(test, kind)| state.arrive(Some((*test).to_owned()), *kind)).collect()
    }

    /// Starts and ends tests one after another, and returns their order.
    fn order(turns: &Turns, waiting: &[Waiting]) -> Vec<String> {
        let mut order = Vec::new();
        while order.len() < waiting.len() {
            let mut state = turns.state();
            let next = waiting.iter().find(|one| !order.contains(&one.test) && turns.may_start(&state, one));
            let next = next.expect("no test can start");
            state.start(next);
            state.end(&next.test);
            order.push(next.test.clone());
        }
        order
    }

    #[test]
    fn tests_start_in_the_order_of_arrival_without_a_limit() {
        let turns = Turns::new(None, None);
        let waiting = arrived(&turns, &[("a", Kind::Alone), ("b", Kind::Shared), ("c", Kind::Alone)]);
        assert_eq!(order(&turns, &waiting), ["a", "b", "c"]);
    }

    #[test]
    fn tests_that_run_alone_and_long_tests_come_first_with_a_limit() {
        let turns = Turns::new(Some(4), None);
        let mut tests = vec![("a", Kind::Shared), ("b", Kind::Alone), ("c", Kind::Alone)];
        tests.push(("homelab::long", Kind::Shared));
        let waiting = arrived(&turns, &tests);
        assert_eq!(order(&turns, &waiting), ["b", "c", "homelab::long", "a"]);
    }

    #[test]
    fn a_seed_determines_the_order() {
        let tests: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
        let tests: Vec<(&str, Kind)> = tests.iter().map(|test| (test.as_str(), Kind::Shared)).collect();
        let of = |seed| {
            let turns = Turns::new(Some(1), Some(seed));
            let waiting = arrived(&turns, &tests);
            order(&turns, &waiting)
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn a_limit_and_a_test_alone_are_respected() {
        let turns = Turns::new(Some(2), None);
        let waiting = arrived(&turns, &[("a", Kind::Shared), ("b", Kind::Shared), ("c", Kind::Shared)]);
        let mut state = turns.state();
        for started in &waiting[..2] {
            assert!(turns.may_start(&state, started));
            state.start(started);
        }
        assert!(!turns.may_start(&state, &waiting[2]), "two tests run already");
        let alone = state.arrive(Some("d".to_owned()), Kind::Alone);
        state.end("a");
        assert!(!turns.may_start(&state, &waiting[2]), "a test waits to run alone");
        assert!(!turns.may_start(&state, &alone), "another test still runs");
        state.end("b");
        assert!(turns.may_start(&state, &alone));
        state.start(&alone);
        assert!(!turns.may_start(&state, &waiting[2]), "a test runs alone");
        state.end("d");
        assert!(turns.may_start(&state, &waiting[2]));
    }

    #[test]
    fn a_running_test_gets_a_second_turn_while_another_test_waits_to_run_alone() {
        let turns = Turns::new(None, None);
        let waiting = arrived(&turns, &[("a", Kind::Shared), ("b", Kind::Alone), ("a", Kind::Shared)]);
        let mut state = turns.state();
        state.start(&waiting[0]);
        assert!(!turns.may_start(&state, &waiting[1]));
        assert!(turns.may_start(&state, &waiting[2]));
        state.start(&waiting[2]);
        state.end("a");
        assert!(!turns.may_start(&state, &waiting[1]), "the first turn still runs");
        state.end("a");
        assert!(turns.may_start(&state, &waiting[1]));
    }
}
