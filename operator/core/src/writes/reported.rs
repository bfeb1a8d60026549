//! Reported writes of all clusters, and whether their relays report every write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use steamer_openbao::KvWrite;
use steamer_runtime::{Index, Key, Locked, Metrics, ObjectName};

use super::coverage::Coverage;
use super::location::changed;

/// How long a write is remembered. Longer than the longest pause between two reads of a value.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(20);

/// Whether the relays of a cluster report every write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// They do.
    Complete,
    /// They do not, for this reason.
    Incomplete(String),
}

/// Writes of all clusters with relays.
pub struct ReportedWrites {
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    clusters: Locked<HashMap<ObjectName, Reported>>,
}

/// Writes of one cluster.
struct Reported {
    state: RelayState,
    coverage: Coverage,
    /// When each location that an object reads was written last.
    latest: HashMap<Key, Timestamp>,
    /// Locations of which the readers were woken in this second.
    woken: HashSet<Key>,
    /// Locations that were written again in this second.
    deferred: HashSet<Key>,
}

/// Key of the coverage of a cluster: its end requeues the objects that read values of the cluster.
#[must_use]
pub fn coverage_key(cluster: &ObjectName) -> Key {
    Key::new("ClusterCoverage", cluster.clone())
}

/// Key of the relays of a cluster: another state requeues the cluster.
#[must_use]
pub fn relays_key(cluster: &ObjectName) -> Key {
    Key::new("ClusterRelays", cluster.clone())
}

impl ReportedWrites {
    /// No clusters.
    #[must_use]
    pub fn new(index: Arc<Index>, metrics: Arc<Metrics>) -> Self {
        Self { index, metrics, clusters: Locked::default() }
    }

    /// Records the state of the relays of a cluster.
    pub fn observe(&self, cluster: &ObjectName, state: RelayState, now: Timestamp) {
        let mut clusters = self.clusters.lock();
        let reported = clusters.entry(cluster.clone()).or_insert_with(|| Reported::new(state.clone()));
        let has_ended = match &state {
            RelayState::Complete => {
                reported.coverage.start(now);
                false
            }
            RelayState::Incomplete(_) => reported.coverage.end(now),
        };
        let differs = reported.state != state;
        reported.state = state;
        drop(clusters);
        if has_ended {
            self.index.wake(&[coverage_key(cluster)], None);
        }
        if differs {
            self.index.wake(&[relays_key(cluster)], None);
        }
    }

    /// Records writes, and wakes the objects that read these values: at once, but at most twice a second.
    pub fn add(&self, cluster: &ObjectName, writes: &[KvWrite], now: Timestamp) {
        self.metrics.writes_reported(writes.len() as u64);
        let keys: HashSet<Key> = writes.iter().flat_map(|write| changed(cluster, write)).collect();
        let keys = keys.into_iter().filter(|key| self.index.is_awaited(key)).collect();
        let ready = self.clusters.lock().get_mut(cluster).map(|reported| reported.add(keys, now));
        self.wake(&ready.unwrap_or_default());
    }

    /// Wakes the objects that read values which were written again in the last second. Called once a second.
    pub fn tick(&self, cluster: &ObjectName, now: Timestamp) {
        let ready = self.clusters.lock().get_mut(cluster).map(|reported| reported.tick(now));
        self.wake(&ready.unwrap_or_default());
    }

    fn wake(&self, keys: &[Key]) {
        let woken = self.index.wake(keys, None);
        self.metrics.readers_woken(woken as u64);
    }

    /// Discards the writes of a cluster without relays. Its objects return to their own intervals.
    pub fn forget(&self, cluster: &ObjectName) {
        if self.clusters.lock().remove(cluster).is_some() {
            self.index.wake(&[coverage_key(cluster), relays_key(cluster)], None);
        }
    }

    /// The state of the relays of a cluster. `None`: it has no relays.
    #[must_use]
    pub fn state(&self, cluster: &ObjectName) -> Option<RelayState> {
        self.clusters.lock().get(cluster).map(|reported| reported.state.clone())
    }

    /// The coverage of a cluster. `None`: it has no relays.
    #[must_use]
    pub fn coverage(&self, cluster: &ObjectName) -> Option<Coverage> {
        self.clusters.lock().get(cluster).map(|reported| reported.coverage)
    }

    /// When one of the locations was written last.
    #[must_use]
    pub fn latest(&self, cluster: &ObjectName, locations: &[Key]) -> Option<Timestamp> {
        let clusters = self.clusters.lock();
        let latest = &clusters.get(cluster)?.latest;
        locations.iter().filter_map(|key| latest.get(key)).max().copied()
    }
}

impl Reported {
    fn new(state: RelayState) -> Self {
        Self {
            state,
            coverage: Coverage::default(),
            latest: HashMap::new(),
            woken: HashSet::new(),
            deferred: HashSet::new(),
        }
    }

    /// Records writes of locations. Returns those of which the readers are woken now.
    fn add(&mut self, keys: Vec<Key>, now: Timestamp) -> Vec<Key> {
        self.latest.extend(keys.iter().map(|key| (key.clone(), now)));
        let (deferred, ready): (Vec<Key>, Vec<Key>) =
            keys.into_iter().partition(|key| self.woken.contains(key));
        self.deferred.extend(deferred);
        self.woken.extend(ready.iter().cloned());
        ready
    }

    /// Starts the next second. Returns the locations of which the readers are woken now.
    fn tick(&mut self, now: Timestamp) -> Vec<Key> {
        let oldest = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        self.latest.retain(|_, at| *at >= oldest);
        self.woken = std::mem::take(&mut self.deferred);
        self.woken.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use steamer_api::KvType;
    use steamer_runtime::{Lane, trigger};
    use tokio::sync::mpsc::UnboundedReceiver;

    use super::super::location::KvEngine;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn write(path: &str) -> KvWrite {
        KvWrite { namespace: String::new(), mount: "kv".to_owned(), path: format!("data/{path}") }
    }

    struct Ground {
        cluster: ObjectName,
        index: Arc<Index>,
        writes: ReportedWrites,
        woken: UnboundedReceiver<(ObjectName, Lane)>,
    }

    impl Ground {
        fn new() -> Self {
            let (index, (trigger, woken)) = (Arc::new(Index::default()), trigger());
            index.register("sync", trigger);
            let cluster = ObjectName::new("openbao", "main");
            let writes = ReportedWrites::new(index.clone(), Arc::default());
            writes.observe(&cluster, RelayState::Complete, at(0));
            Self { cluster, index, writes, woken }
        }

        fn value(&self, path: &str) -> Key {
            KvEngine { cluster: &self.cluster, namespace: "", mount: "kv", version: KvType::V2 }.value(path)
        }

        fn reads(&self, object: &str, key: Key) {
            self.index.pass("sync", ObjectName::new("web", object)).on(key);
        }

        /// Names of the objects that were woken since the last call.
        fn woken(&mut self) -> Vec<String> {
            let mut names: Vec<String> =
                std::iter::from_fn(|| self.woken.try_recv().ok()).map(|(name, _)| name.name).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_write_wakes_exactly_the_objects_that_read_the_value() {
        let mut ground = Ground::new();
        for (object, path) in [("a", "x"), ("b", "x"), ("c", "y")] {
            ground.reads(object, ground.value(path));
        }
        ground.writes.add(&ground.cluster, &[write("x"), write("z")], at(5));
        assert_eq!(ground.woken(), ["a", "b"]);
        let latest = |path| ground.writes.latest(&ground.cluster, &[ground.value(path)]);
        assert_eq!((latest("x"), latest("y"), latest("z")), (Some(at(5)), None, None));
    }

    #[test]
    fn a_flood_of_writes_wakes_an_object_a_few_times() {
        let mut ground = Ground::new();
        ground.reads("a", ground.value("x"));
        for _ in 0..1000 {
            ground.writes.add(&ground.cluster, &[write("x")], at(1));
        }
        assert_eq!(ground.woken(), ["a"]);
        ground.writes.tick(&ground.cluster, at(2));
        assert_eq!(ground.woken(), ["a"], "the last write is not lost");
        ground.writes.tick(&ground.cluster, at(3));
        assert!(ground.woken().is_empty());
        ground.writes.add(&ground.cluster, &[write("x")], at(4));
        assert_eq!(ground.woken(), ["a"]);
    }

    #[test]
    fn writes_are_forgotten() {
        let ground = Ground::new();
        ground.reads("a", ground.value("x"));
        ground.writes.add(&ground.cluster, &[write("x")], at(1));
        ground.writes.tick(&ground.cluster, at(1));
        ground.writes.tick(&ground.cluster, at(2000));
        assert_eq!(ground.writes.latest(&ground.cluster, &[ground.value("x")]), None);
    }

    #[test]
    fn the_end_of_a_coverage_wakes_its_objects_once() {
        let mut ground = Ground::new();
        ground.reads("a", coverage_key(&ground.cluster));
        let incomplete = RelayState::Incomplete("main-1 does not answer".to_owned());
        for second in 1..3 {
            ground.writes.observe(&ground.cluster, incomplete.clone(), at(second));
        }
        assert_eq!(ground.woken(), ["a"]);
        ground.reads("main", relays_key(&ground.cluster));
        ground.writes.observe(&ground.cluster, RelayState::Complete, at(3));
        assert_eq!(ground.woken(), ["main"]);
        ground.writes.forget(&ground.cluster);
        assert_eq!(ground.woken(), ["a", "main"]);
        assert_eq!(ground.writes.coverage(&ground.cluster), None);
    }
}
