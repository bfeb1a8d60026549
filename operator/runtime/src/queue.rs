//! Queue of a controller: no object is reconciled twice at the same time, changes have priority over refreshes, and
//! retries back off.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::ObjectName;
use crate::namespaces::{Group, Namespaces};
use crate::pause::doubled;

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

/// Number of slow reconciles of a namespace above which none of its objects starts that was slow the last time.
const SLOW_AGAIN: usize = 32;
/// Number of slow reconciles of a namespace above which none of its objects starts.
const SLOW_OF_NAMESPACE: usize = 64;
/// Number of slow reconciles of all namespaces above which no object starts that was slow the last time.
const SLOW: usize = 256;

/// Objects that are queued, running or due later. Namespaces take turns, so that the objects of one do not delay those
/// of another. A reconcile that waits for a silent server becomes slow and leaves its worker to other objects.
#[derive(Default)]
pub(crate) struct Queue {
    changed: Namespaces,
    background: Namespaces,
    slots: HashMap<ObjectName, Slot>,
    due: BTreeSet<(Instant, ObjectName)>,
    running: usize,
    running_background: usize,
    slow: HashMap<String, usize>,
}

#[derive(Default)]
struct Slot {
    queued: Option<Lane>,
    /// Since when it waits for a worker.
    since: Option<Instant>,
    running: Option<Running>,
    was_slow: bool,
    due: Option<Instant>,
    failures: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Running {
    Fast(Lane),
    Slow,
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
            self.wait(name, lane);
        }
    }

    /// Returns the next object to reconcile, within the limits.
    pub(crate) fn next(&mut self, workers: usize, background: usize) -> Option<ObjectName> {
        while self.running < workers {
            let (name, lane) = self.pop(background)?;
            // An entry is stale if the object was queued in the other lane, or forgotten.
            let Some(slot) =
                self.slots.get_mut(&name).filter(|slot| slot.queued == Some(lane) && slot.running.is_none())
            else {
                continue;
            };
            slot.queued = None;
            slot.running = Some(Running::Fast(lane));
            if let Some(due) = slot.due.take() {
                self.due.remove(&(due, name.clone()));
            }
            self.running += 1;
            self.running_background += usize::from(lane == Lane::Background);
            return Some(name);
        }
        None
    }

    fn pop(&mut self, background: usize) -> Option<(ObjectName, Lane)> {
        let (slow, total) = (&self.slow, self.slow.values().sum::<usize>());
        let is_allowed = |group: &Group| {
            let of_namespace = slow.get(&group.namespace).copied().unwrap_or_default();
            if group.is_slow {
                of_namespace < SLOW_AGAIN && total < SLOW
            } else {
                of_namespace < SLOW_OF_NAMESPACE
            }
        };
        if let Some(name) = self.changed.pop(is_allowed) {
            return Some((name, Lane::Changed));
        }
        if self.running_background >= background {
            return None;
        }
        Some((self.background.pop(is_allowed)?, Lane::Background))
    }

    /// Marks a running reconcile as slow: it no longer occupies a worker.
    pub(crate) fn slowed(&mut self, name: &ObjectName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let Some(Running::Fast(lane)) = slot.running {
            slot.running = Some(Running::Slow);
            self.release(lane);
            *self.slow.entry(name.namespace.clone()).or_default() += 1;
        }
    }

    /// Marks a reconcile as finished. The next one is due at `due`, if set.
    pub(crate) fn finished(&mut self, name: &ObjectName, due: Option<Instant>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let ended = slot.running.take();
        slot.was_slow = ended == Some(Running::Slow);
        let queued = slot.queued;
        if let Some(due) = due {
            slot.due = Some(due);
            self.due.insert((due, name.clone()));
        }
        match ended {
            Some(Running::Fast(lane)) => self.release(lane),
            Some(Running::Slow) => self.release_slow(&name.namespace),
            None => {}
        }
        if let Some(lane) = queued {
            self.wait(name.clone(), lane);
        }
    }

    fn release(&mut self, lane: Lane) {
        self.running -= 1;
        self.running_background -= usize::from(lane == Lane::Background);
    }

    fn release_slow(&mut self, namespace: &str) {
        if let Some(count) = self.slow.get_mut(namespace) {
            *count -= 1;
            if *count == 0 {
                self.slow.remove(namespace);
            }
        }
    }

    fn wait(&mut self, name: ObjectName, lane: Lane) {
        let is_slow = self.slots.get_mut(&name).is_some_and(|slot| {
            slot.since.get_or_insert_with(Instant::now);
            slot.was_slow
        });
        let group = Group { namespace: name.namespace.clone(), is_slow };
        match lane {
            Lane::Changed => self.changed.push(group, name),
            Lane::Background => self.background.push(group, name),
        }
    }

    /// Returns for how long a started object waited for a worker.
    pub(crate) fn waited(&mut self, name: &ObjectName) -> Duration {
        let since = self.slots.get_mut(name).and_then(|slot| slot.since.take());
        since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Counts a failure. Returns the number of consecutive failures.
    pub(crate) fn failed(&mut self, name: &ObjectName) -> u32 {
        let slot = self.slots.entry(name.clone()).or_default();
        slot.failures = slot.failures.saturating_add(1);
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
}

/// Returns the backoff: 1 s, doubled with each failure up to 5 min, with a jitter of 20% so that many objects do not
/// retry at the same time.
pub(crate) fn backoff(failures: u32, seed: u64) -> Duration {
    let base = doubled(Duration::from_secs(1), failures.saturating_sub(1), Duration::from_secs(300));
    base.mul_f64(0.8 + 0.4 * (seed % 1000) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Runs the queue until nothing starts. A silent object becomes slow and never ends; any other one ends at once.
    fn processed(queue: &mut Queue, is_silent: impl Fn(&ObjectName) -> bool) -> HashSet<ObjectName> {
        let (mut done, mut hanging) = (HashSet::new(), Vec::new());
        loop {
            let started: Vec<ObjectName> = std::iter::from_fn(|| queue.next(16, 4)).collect();
            if started.is_empty() && hanging.is_empty() {
                return done;
            }
            for name in std::mem::take(&mut hanging) {
                queue.slowed(&name);
            }
            for name in started {
                if is_silent(&name) {
                    hanging.push(name);
                } else {
                    queue.finished(&name, None);
                    done.insert(name);
                }
            }
        }
    }

    fn object(namespace: usize, kind: &str, number: usize) -> ObjectName {
        ObjectName::new(format!("ns{namespace}"), format!("{kind}{number}"))
    }

    proptest! {
        /// 32 silent servers beside 300 healthy objects, in one namespace or many, as changes or as refreshes.
        #[test]
        fn silent_servers_never_keep_healthy_objects_waiting(
            silent_namespaces in 1_usize..40, healthy_namespaces in 1_usize..40, order in any::<u64>(),
            is_background in any::<bool>(),
        ) {
            let lane = if is_background { Lane::Background } else { Lane::Changed };
            let silent = (0..32).map(|number| object(number % silent_namespaces, "silent", number));
            let healthy = (0..300).map(|number| object(number % healthy_namespaces, "healthy", number));
            let mut all: Vec<ObjectName> = silent.chain(healthy).collect();
            all.sort_by_key(|name| {
                let mut hasher = std::hash::DefaultHasher::new();
                std::hash::Hash::hash(&(order, name), &mut hasher);
                std::hash::Hasher::finish(&hasher)
            });
            let mut queue = Queue::default();
            for name in all {
                queue.push(name, lane);
            }
            let done = processed(&mut queue, |name| name.name.starts_with("silent"));
            let count = done.iter().filter(|name| name.name.starts_with("healthy")).count();
            prop_assert_eq!(count, 300);
        }

        /// Every pass ends exactly once, whatever the order of the calls: no worker is lost.
        #[test]
        fn no_worker_is_lost(calls in prop::collection::vec((0_usize..5, 0_usize..12), 0..300)) {
            let mut queue = Queue::default();
            let mut running = HashSet::new();
            for (call, number) in calls {
                let name = object(number % 3, "object", number);
                match call {
                    0 => queue.push(name, Lane::Changed),
                    1 => queue.push(name, Lane::Background),
                    2 => queue.slowed(&name),
                    3 if running.remove(&name) => queue.finished(&name, None),
                    _ => {
                        if let Some(name) = queue.next(4, 1) {
                            prop_assert!(running.insert(name), "an object is never reconciled concurrently");
                        }
                    }
                }
            }
            for name in running.drain() {
                queue.finished(&name, None);
            }
            prop_assert_eq!((queue.running, queue.running_background, queue.slow.len()), (0, 0, 0));
            while let Some(name) = queue.next(4, 1) {
                queue.finished(&name, None);
            }
            prop_assert_eq!(queue.depth(), 0);
        }
    }

    #[test]
    fn namespaces_take_turns() {
        let mut queue = Queue::default();
        for number in 0..100 {
            queue.push(object(1, "many", number), Lane::Changed);
        }
        queue.push(object(2, "single", 0), Lane::Changed);
        let started: Vec<ObjectName> = std::iter::from_fn(|| queue.next(2, 1)).collect();
        assert_eq!(started, [object(1, "many", 0), object(2, "single", 0)]);
    }

    #[test]
    fn an_object_that_was_slow_waits_apart_from_its_namespace() {
        let mut queue = Queue::default();
        for number in 0..SLOW {
            let name = object(number, "silent", 0);
            queue.push(name.clone(), Lane::Changed);
            queue.next(1, 1);
            queue.slowed(&name);
        }
        queue.finished(&object(0, "silent", 0), None);
        queue.push(object(0, "silent", 0), Lane::Changed);
        queue.push(object(999, "silent", 0), Lane::Changed);
        assert_eq!(queue.next(1, 1), Some(object(0, "silent", 0)), "one slow reconcile has ended");
        queue.slowed(&object(0, "silent", 0));
        queue.finished(&object(1, "silent", 0), None);
        queue.push(object(1, "silent", 0), Lane::Changed);
        assert_eq!(queue.next(1, 1), Some(object(999, "silent", 0)));
        queue.slowed(&object(999, "silent", 0));
        assert_eq!(queue.next(1, 1), None, "all slow reconciles are in use");
        queue.push(object(1, "healthy", 0), Lane::Changed);
        assert_eq!(queue.next(1, 1), Some(object(1, "healthy", 0)));
    }

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
