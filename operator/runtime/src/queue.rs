//! The queue of a controller: no object twice at once, what changed before what is only due, pauses that grow.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::Name;

/// How urgent a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A refresh or a retry; has a bounded share of the workers.
    Background,
    /// Someone changed something; never waits behind refreshes.
    Changed,
}

/// Asks a controller to look at an object.
#[derive(Clone)]
pub struct Trigger(mpsc::UnboundedSender<(Name, Lane)>);

impl Trigger {
    /// Asks for a pass.
    pub fn send(&self, name: Name, lane: Lane) {
        // A controller that has ended ends the process; nobody is left to tell.
        let _ = self.0.send((name, lane));
    }
}

/// A trigger and what it triggers.
pub fn trigger() -> (Trigger, mpsc::UnboundedReceiver<(Name, Lane)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Trigger(sender), receiver)
}

/// What is to be done, what is under way, what is due later.
#[derive(Default)]
pub(crate) struct Queue {
    changed: VecDeque<Name>,
    background: VecDeque<Name>,
    slots: HashMap<Name, Slot>,
    due: BTreeSet<(Instant, Name)>,
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
    /// Asks for a pass. One that is under way is followed by another.
    pub(crate) fn push(&mut self, name: Name, lane: Lane) {
        let slot = self.slots.entry(name.clone()).or_default();
        if slot.queued >= Some(lane) {
            return;
        }
        slot.queued = Some(lane);
        if slot.running.is_none() {
            self.lane(lane).push_back(name);
        }
    }

    /// The next object to pass, within the limits.
    pub(crate) fn next(&mut self, workers: usize, background: usize) -> Option<Name> {
        while self.running < workers {
            let lane = if !self.changed.is_empty() {
                Lane::Changed
            } else if !self.background.is_empty() && self.running_background < background {
                Lane::Background
            } else {
                return None;
            };
            let name = self.lane(lane).pop_front()?;
            // An entry that was overtaken by the other lane, or forgotten, is stale.
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

    /// A pass ended; the next is due then, if at all.
    pub(crate) fn finished(&mut self, name: &Name, due: Option<Instant>) {
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

    /// Counts a failure; how often it failed in a row.
    pub(crate) fn failed(&mut self, name: &Name) -> u32 {
        let slot = self.slots.entry(name.clone()).or_default();
        slot.failures += 1;
        slot.failures
    }

    /// Forgets failures.
    pub(crate) fn succeeded(&mut self, name: &Name) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.failures = 0;
        }
    }

    /// Forgets an object that is gone, unless it came back meanwhile.
    pub(crate) fn forget(&mut self, name: &Name) {
        let idle = self.slots.get(name).is_some_and(|slot| slot.queued.is_none() && slot.running.is_none());
        if idle && let Some(due) = self.slots.remove(name).and_then(|slot| slot.due) {
            self.due.remove(&(due, name.clone()));
        }
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Queues what is due.
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

    /// How many objects wait for a worker.
    pub(crate) fn depth(&self) -> usize {
        self.changed.len() + self.background.len()
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Name> {
        match lane {
            Lane::Changed => &mut self.changed,
            Lane::Background => &mut self.background,
        }
    }
}

/// 1 s, doubled with each failure up to 5 min, give or take a fifth so that a thousand objects do not come at once.
pub(crate) fn backoff(failures: u32, seed: u64) -> Duration {
    let base = Duration::from_secs(1 << failures.saturating_sub(1).min(9)).min(Duration::from_secs(300));
    base.mul_f64(0.8 + 0.4 * (seed % 1000) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        Name::new("ns", name)
    }

    #[test]
    fn what_changed_never_waits_behind_refreshes() {
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
    fn an_object_is_never_passed_twice_at_once_and_not_forgotten_either() {
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
    fn a_refresh_that_becomes_a_change_moves_up_and_is_passed_once() {
        let mut queue = Queue::default();
        queue.push(name("a"), Lane::Background);
        queue.push(name("a"), Lane::Changed);
        assert_eq!(queue.next(4, 1), Some(name("a")));
        queue.finished(&name("a"), None);
        assert_eq!(queue.next(4, 1), None);
    }

    #[test]
    fn a_change_takes_the_place_of_what_was_due_later() {
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
    fn pauses_grow_to_five_minutes() {
        assert!(backoff(1, 0) < Duration::from_secs(1));
        assert!(backoff(3, 500) > backoff(2, 500));
        assert!(backoff(60, 999) <= Duration::from_secs(360));
    }
}
