//! Queue of a controller: no object is reconciled twice at the same time, changes have priority over refreshes, and
//! retries back off.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::ObjectName;

/// Priority of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A refresh or a retry. Limited to a share of the workers.
    Background,
    /// A change. Never waits behind refreshes.
    Changed,
}

/// Requests reconciles of a controller's objects.
#[derive(Clone)]
pub struct Trigger(mpsc::UnboundedSender<(ObjectName, Lane)>);

impl Trigger {
    /// Requests a reconcile.
    pub fn send(&self, name: ObjectName, lane: Lane) {
        // The receiver is gone only if the controller ended, which also ends the process.
        let _ = self.0.send((name, lane));
    }
}

/// Returns a trigger and the receiver of its requests.
pub fn trigger() -> (Trigger, mpsc::UnboundedReceiver<(ObjectName, Lane)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Trigger(sender), receiver)
}

/// Objects that are queued, running or due later.
#[derive(Default)]
pub(crate) struct Queue {
    changed: VecDeque<ObjectName>,
    background: VecDeque<ObjectName>,
    slots: HashMap<ObjectName, Slot>,
    due: BTreeSet<(Instant, ObjectName)>,
    running: usize,
    running_background: usize,
}

#[derive(Default)]
struct Slot {
    queued: Option<Lane>,
    running: Option<Lane>,
    due: Option<Instant>,
    failures: u32,
}

impl Queue {
    /// Queues a reconcile. If one is running, another one follows.
    pub(crate) fn push(&mut self, name: ObjectName, lane: Lane) {
        let slot = self.slots.entry(name.clone()).or_default();
        if slot.queued >= Some(lane) {
            return;
        }
        slot.queued = Some(lane);
        if slot.running.is_none() {
            self.lane(lane).push_back(name);
        }
    }

    /// Returns the next object to reconcile, within the limits.
    pub(crate) fn next(&mut self, workers: usize, background: usize) -> Option<ObjectName> {
        while self.running < workers {
            let lane = if !self.changed.is_empty() {
                Lane::Changed
            } else if !self.background.is_empty() && self.running_background < background {
                Lane::Background
            } else {
                return None;
            };
            let name = self.lane(lane).pop_front()?;
            // An entry is stale if the object was queued in the other lane, or forgotten.
            let Some(slot) =
                self.slots.get_mut(&name).filter(|slot| slot.queued == Some(lane) && slot.running.is_none())
            else {
                continue;
            };
            slot.queued = None;
            slot.running = Some(lane);
            if let Some(due) = slot.due.take() {
                self.due.remove(&(due, name.clone()));
            }
            self.running += 1;
            self.running_background += usize::from(lane == Lane::Background);
            return Some(name);
        }
        None
    }

    /// Marks a reconcile as finished. The next one is due at `due`, if set.
    pub(crate) fn finished(&mut self, name: &ObjectName, due: Option<Instant>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let lane = slot.running.take();
        self.running -= 1;
        self.running_background -= usize::from(lane == Some(Lane::Background));
        if let Some(queued) = slot.queued {
            self.lane(queued).push_back(name.clone());
        }
        if let (Some(due), Some(slot)) = (due, self.slots.get_mut(name)) {
            slot.due = Some(due);
            self.due.insert((due, name.clone()));
        }
    }

    /// Counts a failure. Returns the number of consecutive failures.
    pub(crate) fn failed(&mut self, name: &ObjectName) -> u32 {
        let slot = self.slots.entry(name.clone()).or_default();
        slot.failures += 1;
        slot.failures
    }

    /// Resets the failure count.
    pub(crate) fn succeeded(&mut self, name: &ObjectName) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.failures = 0;
        }
    }

    /// Removes a deleted object, unless it was queued again.
    pub(crate) fn forget(&mut self, name: &ObjectName) {
        let idle = self.slots.get(name).is_some_and(|slot| slot.queued.is_none() && slot.running.is_none());
        if idle && let Some(due) = self.slots.remove(name).and_then(|slot| slot.due) {
            self.due.remove(&(due, name.clone()));
        }
    }

    /// Returns the time at which the next object is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Queues the objects that are due.
    pub(crate) fn promote(&mut self, now: Instant) {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.due.pop_first() else {
                break;
            };
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.due = None;
            }
            self.push(name, Lane::Background);
        }
    }

    /// Returns the number of objects that wait for a worker.
    pub(crate) fn depth(&self) -> usize {
        self.changed.len() + self.background.len()
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<ObjectName> {
        match lane {
            Lane::Changed => &mut self.changed,
            Lane::Background => &mut self.background,
        }
    }
}

/// Returns the backoff: 1 s, doubled with each failure up to 5 min, with a jitter of 20% so that many objects do not
/// retry at the same time.
pub(crate) fn backoff(failures: u32, seed: u64) -> Duration {
    let base = Duration::from_secs(1 << failures.saturating_sub(1).min(9)).min(Duration::from_secs(300));
    base.mul_f64(0.8 + 0.4 * (seed % 1000) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName::new("ns", name)
    }

    #[test]
    fn a_change_never_waits_behind_refreshes() {
        let mut queue = Queue::default();
        for number in 0..100 {
            queue.push(name(&number.to_string()), Lane::Background);
        }
        assert!(queue.next(4, 1).is_some());
        assert!(queue.next(4, 1).is_none(), "one refresh at a time");
        queue.push(name("changed"), Lane::Changed);
        assert_eq!(queue.next(4, 1), Some(name("changed")));
    }

    #[test]
    fn an_object_is_never_reconciled_concurrently_and_a_change_meanwhile_is_not_lost() {
        let mut queue = Queue::default();
        queue.push(name("a"), Lane::Changed);
        assert_eq!(queue.next(4, 1), Some(name("a")));
        queue.push(name("a"), Lane::Changed);
        queue.push(name("a"), Lane::Changed);
        assert_eq!(queue.next(4, 1), None);
        queue.finished(&name("a"), None);
        assert_eq!(queue.next(4, 1), Some(name("a")));
        queue.finished(&name("a"), None);
        assert_eq!(queue.next(4, 1), None);
    }

    #[test]
    fn a_refresh_that_becomes_a_change_moves_up_and_is_reconciled_once() {
        let mut queue = Queue::default();
        queue.push(name("a"), Lane::Background);
        queue.push(name("a"), Lane::Changed);
        assert_eq!(queue.next(4, 1), Some(name("a")));
        queue.finished(&name("a"), None);
        assert_eq!(queue.next(4, 1), None);
    }

    #[test]
    fn a_change_replaces_a_reconcile_that_was_due_later() {
        let mut queue = Queue::default();
        let soon = Instant::now() + Duration::from_secs(60);
        queue.push(name("a"), Lane::Changed);
        queue.next(4, 1);
        queue.finished(&name("a"), Some(soon));
        queue.push(name("a"), Lane::Changed);
        queue.next(4, 1);
        assert_eq!(queue.next_due(), None);
        queue.finished(&name("a"), Some(soon));
        queue.promote(soon);
        assert_eq!(queue.next(4, 1), Some(name("a")));
    }

    #[test]
    fn the_backoff_grows_to_five_minutes() {
        assert!(backoff(1, 0) < Duration::from_secs(1));
        assert!(backoff(3, 500) > backoff(2, 500));
        assert!(backoff(60, 999) <= Duration::from_secs(360));
    }
}
