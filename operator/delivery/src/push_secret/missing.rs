//! Entries of selected Secrets that no longer exist. A Secret that is deleted and created again must not lose its entries.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use steamer_api::DeletionPolicy;
use steamer_runtime::{Locked, ObjectName};

use super::pass::Pass;
use super::place::Place;

/// How long a Secret is missing before its entries are deleted.
const GRACE: Duration = Duration::from_secs(60);

/// Since when entries are missing. In memory: a restart of the operator only postpones deletions.
#[derive(Default)]
pub(super) struct Missing(Locked<HashMap<ObjectName, HashMap<Place, Instant>>>);

impl Missing {
    /// Notes the missing entries of an object, and forgets those that exist again.
    pub(super) fn note(&self, pass: &Pass<'_>, now: Instant) {
        let is_patient = pass.selected.is_some() && pass.policy() == DeletionPolicy::Delete;
        let places = pass.former().filter(|_| is_patient).map(Place::of_record);
        self.replace(&pass.name, places.collect(), now);
    }

    fn replace(&self, object: &ObjectName, places: Vec<Place>, now: Instant) {
        let mut all = self.0.lock();
        let before = all.remove(object).unwrap_or_default();
        let since = |place: Place| {
            let since = before.get(&place).copied().unwrap_or(now);
            (place, since)
        };
        let noted: HashMap<Place, Instant> = places.into_iter().map(since).collect();
        if !noted.is_empty() {
            all.insert(object.clone(), noted);
        }
    }

    /// Time until an entry is released. None if it is released now.
    pub(super) fn pause(&self, object: &ObjectName, place: &Place, now: Instant) -> Option<Duration> {
        let since = self.0.lock().get(object)?.get(place).copied()?;
        left(since, now)
    }

    /// Time until the next entry of an object is released.
    pub(super) fn next(&self, object: &ObjectName, now: Instant) -> Option<Duration> {
        self.0.lock().get(object)?.values().filter_map(|since| left(*since, now)).min()
    }

    pub(super) fn forget(&self, object: &ObjectName) {
        self.0.lock().remove(object);
    }
}

fn left(since: Instant, now: Instant) -> Option<Duration> {
    GRACE.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use steamer_api::KvType;
    use steamer_openbao::NamespacePath;

    use super::*;

    #[test]
    fn an_entry_is_released_only_after_it_was_missing_for_the_whole_time() {
        let (missing, object, start) = (Missing::default(), ObjectName::new("web", "app"), Instant::now());
        let (namespace, mount, path) = (NamespacePath::root(), "kv".to_owned(), "app".to_owned());
        let place = Place { namespace, mount, path, kind: KvType::V2 };
        missing.replace(&object, vec![place.clone()], start);
        missing.replace(&object, vec![place.clone()], start + GRACE / 2);
        assert_eq!(missing.pause(&object, &place, start + GRACE / 2), Some(GRACE / 2));
        assert_eq!(missing.next(&object, start + GRACE / 2), Some(GRACE / 2));
        assert_eq!(missing.pause(&object, &place, start + GRACE), None);
        // It exists again meanwhile.
        missing.replace(&object, Vec::new(), start + GRACE);
        missing.replace(&object, vec![place.clone()], start + GRACE);
        assert_eq!(missing.pause(&object, &place, start + GRACE), Some(GRACE));
    }
}
