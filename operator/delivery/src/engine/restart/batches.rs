//! Changes that wait for their restart, by workload: changes of several Secrets become one restart. After a crash, the
//! objects whose restarts are owed add them again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use steamer_runtime::{Key, doubled};

use super::marks::Change;
use super::problem::Problem;
use super::workload::Workload;

/// How many times `debounce` a restart waits at most, if further Secrets change again and again.
const LONGEST: u32 = 6;
/// First pause after a failed restart. It doubles with each further one.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The workloads that a change restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) workloads: Vec<Workload>,
    /// Targets that cannot be restarted or listed.
    pub(super) problems: Vec<Problem>,
}

impl Selected {
    /// Whether all targets were listed.
    fn is_complete(&self) -> bool {
        self.problems.iter().all(|problem| problem.is_final)
    }
}

/// A change with restarts that are owed.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Name of the Secret.
    pub(super) secret: String,
    pub(super) change: Change,
    /// Generation of the object: another spec can have other targets.
    pub(super) generation: i64,
    pub(super) selected: Selected,
    pub(super) debounce: Duration,
}

impl Pending {
    fn is_of(&self, change: &Change, generation: i64) -> bool {
        self.change == *change && self.generation == generation
    }
}

struct Noted {
    pending: Pending,
    first: Instant,
    last: Instant,
}

/// All changes that wait.
#[derive(Default)]
pub(super) struct Batches {
    objects: HashMap<Key, Noted>,
    workloads: HashMap<Workload, HashSet<Key>>,
    failures: HashMap<Key, u32>,
}

impl Batches {
    /// The workloads of a change that waits. None if they must be selected again: after a change of the spec, or if not
    /// all were listed.
    pub(super) fn selected(&self, object: &Key, change: &Change, generation: i64) -> Option<Selected> {
        let pending = &self.objects.get(object)?.pending;
        let is_current = pending.is_of(change, generation) && pending.selected.is_complete();
        is_current.then(|| pending.selected.clone())
    }

    /// Adds a change. It replaces an earlier change of the same object. A repeated selection does not extend the wait.
    pub(super) fn note(&mut self, object: Key, pending: Pending, now: Instant) {
        let former = self.remove(&object);
        let first = former.as_ref().map_or(now, |noted| noted.first);
        let same = former.filter(|noted| noted.pending.is_of(&pending.change, pending.generation));
        let last = same.map_or(now, |noted| noted.last);
        for workload in &pending.selected.workloads {
            self.workloads.entry(workload.clone()).or_default().insert(object.clone());
        }
        self.objects.insert(object, Noted { pending, first, last });
    }

    /// How long the restarts of an object wait for changes of further Secrets.
    pub(super) fn pause(&self, object: &Key, now: Instant) -> Option<Duration> {
        let noted = self.objects.get(object)?;
        let peers = noted.pending.selected.workloads.iter().flat_map(|workload| self.of(workload));
        let calm = peers.chain([noted]).map(|peer| peer.last + peer.pending.debounce).max()?;
        let due = calm.min(noted.first + noted.pending.debounce * LONGEST);
        Some(due.saturating_duration_since(now)).filter(|pause| !pause.is_zero())
    }

    /// All changes that one restart of a workload covers.
    pub(super) fn changes(&self, workload: &Workload) -> BTreeMap<String, Change> {
        let changes = self.of(workload).map(|noted| &noted.pending);
        changes.map(|pending| (pending.secret.clone(), pending.change.clone())).collect()
    }

    /// Counts a failure. Returns the pause until the next attempt.
    pub(super) fn failed(&mut self, object: &Key) -> Duration {
        let failures = self.failures.entry(object.clone()).or_default();
        *failures = failures.saturating_add(1);
        doubled(PAUSE, *failures - 1, LONGEST_PAUSE)
    }

    /// Removes an object with no restart that is owed.
    pub(super) fn forget(&mut self, object: &Key) {
        self.remove(object);
        self.failures.remove(object);
    }

    fn remove(&mut self, object: &Key) -> Option<Noted> {
        let noted = self.objects.remove(object)?;
        for workload in &noted.pending.selected.workloads {
            if let Some(objects) = self.workloads.get_mut(workload) {
                objects.remove(object);
                if objects.is_empty() {
                    self.workloads.remove(workload);
                }
            }
        }
        Some(noted)
    }

    fn of<'a>(&'a self, workload: &Workload) -> impl Iterator<Item = &'a Noted> {
        let objects = self.workloads.get(workload).into_iter().flatten();
        objects.filter_map(|object| self.objects.get(object))
    }
}

#[cfg(test)]
mod tests {
    use steamer_api::WorkloadKind;
    use steamer_runtime::ObjectName;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Key {
        Key::new("BaoStaticSecret", ObjectName::new("web", name))
    }

    fn workload(name: &str) -> Workload {
        Workload { kind: WorkloadKind::Deployment, name: ObjectName::new("web", name) }
    }

    fn selected(workloads: &[&str]) -> Selected {
        Selected { workloads: workloads.iter().map(|name| workload(name)).collect(), problems: Vec::new() }
    }

    fn pending(secret: &str, number: i64, workloads: &[&str]) -> Pending {
        Pending {
            secret: secret.to_owned(),
            change: Change::new(number, secret),
            generation: 1,
            selected: selected(workloads),
            debounce: 5 * SECOND,
        }
    }

    #[test]
    fn changes_within_the_debounce_become_one_restart_of_a_shared_workload() {
        let (mut batches, start) = (Batches::default(), Instant::now());
        batches.note(key("a"), pending("a", 1, &["shared", "own"]), start);
        batches.note(key("b"), pending("b", 2, &["shared"]), start + 4 * SECOND);
        batches.note(key("c"), pending("c", 1, &["other"]), start);
        assert_eq!(batches.pause(&key("a"), start + 5 * SECOND), Some(4 * SECOND));
        assert_eq!(batches.pause(&key("b"), start + 9 * SECOND), None);
        assert_eq!(batches.pause(&key("c"), start + 5 * SECOND), None);
        let changes = batches.changes(&workload("shared"));
        let expected = [("a", Change::new(1, "a")), ("b", Change::new(2, "b"))];
        assert_eq!(changes, expected.map(|(name, change)| (name.to_owned(), change)).into());
        batches.forget(&key("a"));
        assert_eq!(batches.changes(&workload("shared")).len(), 1);
        assert!(batches.changes(&workload("own")).is_empty());
    }

    #[test]
    fn endless_changes_do_not_delay_a_restart_forever() {
        let (mut batches, start) = (Batches::default(), Instant::now());
        for second in 0..40 {
            let now = start + second * SECOND;
            batches.note(key("a"), pending("a", i64::from(second), &["shared"]), now);
            assert_eq!(batches.pause(&key("a"), now).is_none(), second >= 30, "{second}");
        }
        assert!(
            batches.selected(&key("a"), &Change::new(38, "a"), 1).is_none(),
            "a replaced change is not kept"
        );
        assert_eq!(batches.selected(&key("a"), &Change::new(39, "a"), 1), Some(selected(&["shared"])));
        assert!(
            batches.selected(&key("a"), &Change::new(39, "a"), 2).is_none(),
            "another spec can have other targets"
        );
    }

    #[test]
    fn an_incomplete_selection_is_repeated_and_waits_only_once() {
        let (mut batches, start) = (Batches::default(), Instant::now());
        let incomplete = || {
            let mut pending = pending("a", 1, &["listed"]);
            pending.selected.problems.push(Problem::contended(&workload("x")));
            pending
        };
        batches.note(key("a"), incomplete(), start);
        assert!(batches.selected(&key("a"), &Change::new(1, "a"), 1).is_none());
        batches.note(key("a"), incomplete(), start + 5 * SECOND);
        assert_eq!(batches.pause(&key("a"), start + 5 * SECOND), None);
    }

    #[test]
    fn failures_are_repeated_with_growing_pauses_up_to_five_minutes() {
        let mut batches = Batches::default();
        let pauses: Vec<u64> = (0..8).map(|_| batches.failed(&key("a")).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        batches.forget(&key("a"));
        assert_eq!(batches.failed(&key("a")), PAUSE);
    }
}
