//! Age of the values of all objects, for metrics by namespace.

use std::collections::{BTreeMap, HashMap};

use crate::{Locked, ObjectName};

/// Most namespaces with metrics: those with the oldest values.
const NAMESPACES: usize = 1000;

/// When the value of an object was read, and when it is due again, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Time of the last successful read, or of the creation of an object that was never read. For a credential: the time until
    /// which it is current, which can be later than now.
    pub read: i64,
    /// Time of the next read.
    pub due: i64,
}

/// Readings by controller and object.
#[derive(Default)]
pub(crate) struct Freshness(Locked<HashMap<(&'static str, ObjectName), Reading>>);

impl Freshness {
    pub(crate) fn record(&self, controller: &'static str, object: &ObjectName, reading: Reading) {
        self.0.lock().insert((controller, object.clone()), reading);
    }

    /// Keeps an earlier reading.
    pub(crate) fn expect(&self, controller: &'static str, object: &ObjectName, reading: Reading) {
        self.0.lock().entry((controller, object.clone())).or_insert(reading);
    }

    pub(crate) fn forget(&self, controller: &'static str, object: &ObjectName) {
        self.0.lock().remove(&(controller, object.clone()));
    }

    /// The oldest read and the next due time of each namespace.
    pub(crate) fn by_namespace(&self) -> Vec<(String, Reading)> {
        let mut namespaces: BTreeMap<String, Reading> = BTreeMap::new();
        for ((_, object), Reading { read, due }) in self.0.lock().iter() {
            let oldest =
                namespaces.entry(object.namespace.clone()).or_insert(Reading { read: *read, due: *due });
            *oldest = Reading { read: oldest.read.min(*read), due: oldest.due.min(*due) };
        }
        let mut oldest: Vec<_> = namespaces.into_iter().collect();
        oldest.sort_by_key(|(_, reading)| reading.read);
        oldest.truncate(NAMESPACES);
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(read: i64, due: i64) -> Reading {
        Reading { read, due }
    }

    #[test]
    fn a_namespace_is_as_old_as_its_oldest_value() {
        let freshness = Freshness::default();
        let name = |name: &str| ObjectName::new("web", name);
        freshness.record("k", &name("a"), reading(10, 70));
        freshness.record("k", &name("b"), reading(5, 90));
        freshness.expect("k", &name("b"), reading(1, 1));
        freshness.expect("k", &ObjectName::new("new", "c"), reading(7, 7));
        let expected = vec![("web".to_owned(), reading(5, 70)), ("new".to_owned(), reading(7, 7))];
        assert_eq!(freshness.by_namespace(), expected);
        freshness.forget("k", &name("b"));
        freshness.forget("other", &name("a"));
        let expected = vec![("new".to_owned(), reading(7, 7)), ("web".to_owned(), reading(10, 70))];
        assert_eq!(freshness.by_namespace(), expected);
    }

    #[test]
    fn the_number_of_namespaces_is_bounded() {
        let freshness = Freshness::default();
        for number in 0..1100 {
            freshness.record("k", &ObjectName::new(format!("n{number}"), "a"), reading(number, 0));
        }
        let oldest = freshness.by_namespace();
        assert_eq!((oldest.len(), oldest[0].1.read, oldest[999].1.read), (1000, 0, 999));
    }
}
