//! Memory of the last repairs of the nodes of a cluster.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Pause after the first repair of a node. It doubles with each further one.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest pause between two repairs of a node.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

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
    pub(crate) fn record(&mut self, pod: &str, now: Instant) {
        let pause = self.0.get(pod).map_or(PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
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
    use super::*;

    #[test]
    fn the_pauses_double_to_five_minutes_until_the_node_serves_for_as_long() {
        let (start, mut repairs) = (Instant::now(), Repairs::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let pauses: Vec<u64> = (0..6)
            .map(|turn| {
                repairs.record("main-0", at(turn * 1000));
                let pausing = |seconds: &u64| repairs.is_pausing("main-0", at(turn * 1000 + seconds));
                (0..1000).take_while(pausing).count() as u64
            })
            .collect();
        assert_eq!(pauses, [30, 60, 120, 240, 300, 300]);
        assert!(!repairs.is_pausing("main-1", at(5000)));
        repairs.observe("main-0", true, at(5010));
        repairs.observe("main-0", false, at(5100));
        repairs.observe("main-0", true, at(5200));
        repairs.observe("main-0", true, at(5500));
        repairs.record("main-0", at(5501));
        assert!(repairs.is_pausing("main-0", at(5501 + 299)), "it has not served for five minutes");
        repairs.observe("main-0", true, at(6000));
        repairs.observe("main-0", true, at(6301));
        repairs.record("main-0", at(6302));
        assert!(!repairs.is_pausing("main-0", at(6302 + 30)), "it starts over");
    }
}
