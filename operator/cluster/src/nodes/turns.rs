//! Turns of clusters: only some of them replace pods for a change at the same time. All of them have a change at once when
//! Steamer or a shared Secret changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use steamer_runtime::{Locked, ObjectName};

/// Largest number of clusters that replace pods at the same time.
pub(crate) const MOST: usize = 4;

/// The clusters that replace a pod now, and the times at which their turns end at the latest.
#[derive(Default)]
pub(crate) struct Turns(Locked<BTreeMap<ObjectName, Instant>>);

impl Turns {
    /// Ends the turn of a cluster.
    pub(crate) fn give_back(&self, cluster: &ObjectName) {
        self.0.lock().remove(cluster);
    }

    /// Takes or extends the turn of a cluster, which ends after `longest` although a node does not serve. Returns false if too
    /// many others have one.
    pub(crate) fn take(&self, cluster: &ObjectName, longest: Duration, now: Instant) -> bool {
        let mut turns = self.0.lock();
        let is_free = has_turn(&mut turns, cluster, now);
        if is_free {
            turns.insert(cluster.clone(), now + longest);
        }
        is_free
    }

    /// Returns true if the cluster has a turn, or can take one.
    pub(crate) fn is_free(&self, cluster: &ObjectName, now: Instant) -> bool {
        has_turn(&mut self.0.lock(), cluster, now)
    }
}

fn has_turn(turns: &mut BTreeMap<ObjectName, Instant>, cluster: &ObjectName, now: Instant) -> bool {
    turns.retain(|_, end| *end > now);
    turns.len() < MOST || turns.contains_key(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(600);

    fn name(number: usize) -> ObjectName {
        ObjectName::new("openbao", format!("c{number}"))
    }

    #[test]
    fn only_some_clusters_replace_pods_at_the_same_time() {
        let (turns, now) = (Turns::default(), Instant::now());
        assert!((0..MOST).all(|number| turns.take(&name(number), LONGEST, now)));
        assert!(!turns.is_free(&name(MOST), now) && !turns.take(&name(MOST), LONGEST, now), "one too many");
        assert!(turns.take(&name(0), LONGEST, now), "a turn includes all pods until it ends");
        turns.give_back(&name(0));
        assert!(turns.take(&name(MOST), LONGEST, now));
        assert!(!turns.take(&name(0), LONGEST, now));
    }

    #[test]
    fn a_turn_ends_although_the_cluster_does_not_recover() {
        let (turns, now) = (Turns::default(), Instant::now());
        assert!((0..MOST).all(|number| turns.take(&name(number), LONGEST, now)));
        assert!(turns.take(&name(MOST), LONGEST, now + LONGEST));
    }
}
