//! Memory of the last repairs of the nodes of a cluster.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::waits::Waits;

/// The last repair of a node.
#[derive(Clone, Copy, Debug)]
struct Repair {
    at: Instant,
    pause: Duration,
    /// Time since when the node serves.
    serves_since: Option<Instant>,
}

/// The last repairs, by pod.
#[derive(Default)]
pub(crate) struct Repairs(HashMap<String, Repair>);

impl Repairs {
    /// Records a repair. The next one waits, and twice as long as this one.
    pub(crate) fn record(&mut self, pod: &str, waits: Waits, now: Instant) {
        let (shortest, longest) = (waits.pause(), waits.longest_pause());
        let pause = self.0.get(pod).map_or(shortest, |last| (last.pause * 2).clamp(shortest, longest));
        self.0.insert(pod.to_owned(), Repair { at: now, pause, serves_since: None });
    }

    /// Records whether a node serves. A node that has served for as long as its pause starts over.
    pub(crate) fn observe(&mut self, pod: &str, serves: bool, now: Instant) {
        let Some(repair) = self.0.get_mut(pod) else { return };
        repair.serves_since = repair.serves_since.or(Some(now)).filter(|_| serves);
        let served = repair.serves_since.map(|since| now.duration_since(since));
        if served.is_some_and(|served| served > repair.pause) {
            self.0.remove(pod);
        }
    }

    /// Returns true if the last repair of a node is too recent for another one.
    pub(crate) fn is_pausing(&self, pod: &str, now: Instant) -> bool {
        self.0.get(pod).is_some_and(|repair| now.duration_since(repair.at) < repair.pause)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::short_takeovers(0, [30, 60, 120, 240, 300, 300])]
    #[case::ten_thousand_namespaces(110, [220, 440, 880, 1760, 2200, 2200])]
    fn the_pauses_double_up_to_the_longest_one(#[case] takeover: u64, #[case] expected: [u64; 6]) {
        let (start, mut repairs) = (Instant::now(), Repairs::default());
        let (at, waits) =
            (|seconds| start + Duration::from_secs(seconds), Waits::of(Duration::from_secs(takeover)));
        let pauses: Vec<u64> = (0..6)
            .map(|turn| {
                repairs.record("main-0", waits, at(turn * 10_000));
                let pausing = |seconds: &u64| repairs.is_pausing("main-0", at(turn * 10_000 + seconds));
                (0..10_000).take_while(pausing).count() as u64
            })
            .collect();
        assert_eq!(pauses, expected);
        assert!(!repairs.is_pausing("main-1", at(50_000)));
    }

    #[test]
    fn a_node_that_serves_for_as_long_as_its_pause_starts_over() {
        let (start, mut repairs, waits) = (Instant::now(), Repairs::default(), Waits::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        for turn in 0..6 {
            repairs.record("main-0", waits, at(turn * 1000));
        }
        repairs.observe("main-0", true, at(5010));
        repairs.observe("main-0", false, at(5100));
        repairs.observe("main-0", true, at(5200));
        repairs.observe("main-0", true, at(5500));
        repairs.record("main-0", waits, at(5501));
        assert!(repairs.is_pausing("main-0", at(5501 + 299)), "it has not served for five minutes");
        repairs.observe("main-0", true, at(6000));
        repairs.observe("main-0", true, at(6301));
        repairs.record("main-0", waits, at(6302));
        assert!(!repairs.is_pausing("main-0", at(6302 + 30)), "it starts over");
    }

    #[test]
    fn a_pause_is_never_shorter_than_the_first_one_of_a_longer_takeover() {
        let (start, mut repairs) = (Instant::now(), Repairs::default());
        repairs.record("main-0", Waits::default(), start);
        repairs.record("main-0", Waits::of(Duration::from_secs(110)), start);
        assert!(repairs.is_pausing("main-0", start + Duration::from_secs(219)));
    }
}
