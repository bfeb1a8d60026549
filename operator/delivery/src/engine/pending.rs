//! Issued values that are not written yet. They are kept in memory: a write that fails, or a reconcile that ends during the write,
//! must not issue another value. Those that are not used become former values of the next one.

use std::collections::HashMap;

use steamer_runtime::{Locked, ObjectName};

use super::held::Held;
use super::stamp::Stamp;
use super::synced::Obtained;

/// A value, and the digest of the request that it answers.
pub(super) struct Unwritten {
    pub(super) request: String,
    pub(super) obtained: Obtained,
}

/// Issued values of all objects of a kind that are not written yet.
#[derive(Default)]
pub(super) struct Pending {
    unwritten: Locked<HashMap<ObjectName, Unwritten>>,
    /// Values that are not used, and that a Secret may contain nevertheless.
    unused: Locked<HashMap<ObjectName, Vec<Held>>>,
}

impl Pending {
    /// Keeps a value until it is written, if it was issued.
    pub(super) fn keep(&self, object: &ObjectName, request: &str, obtained: &Obtained) {
        if obtained.held.is_issued() {
            let unwritten = Unwritten { request: request.to_owned(), obtained: obtained.clone() };
            self.unwritten.lock().insert(object.clone(), unwritten);
        }
    }

    /// The values of an object, used or not.
    pub(super) fn held(&self, object: &ObjectName) -> Vec<Held> {
        let unwritten = self.unwritten.lock().get(object).map(|unwritten| unwritten.obtained.held.clone());
        self.unused(object).into_iter().chain(unwritten).collect()
    }

    /// Removes the values of an object that a stamp states.
    pub(super) fn written(&self, object: &ObjectName, stamp: &Stamp) {
        let is_stated = |held: &Held| stamp.values().any(|stated| stated.is_same(held));
        let mut unwritten = self.unwritten.lock();
        if unwritten.get(object).is_some_and(|one| is_stated(&one.obtained.held)) {
            unwritten.remove(object);
        }
        if let Some(unused) = self.unused.lock().get_mut(object) {
            unused.retain(|held| !is_stated(held));
        }
    }

    /// Removes the value of an object.
    pub(super) fn take(&self, object: &ObjectName) -> Option<Unwritten> {
        self.unwritten.lock().remove(object)
    }

    /// Keeps a value that is not used until a stamp states it.
    pub(super) fn reject(&self, object: &ObjectName, held: Held) {
        self.unused.lock().entry(object.clone()).or_default().push(held);
    }

    /// The values of an object that are not used.
    pub(super) fn unused(&self, object: &ObjectName) -> Vec<Held> {
        self.unused.lock().get(object).cloned().unwrap_or_default()
    }

    /// Removes the values of an object that are not used: a stamp states them.
    pub(super) fn recorded(&self, object: &ObjectName) {
        self.unused.lock().remove(object);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn only_an_issued_value_is_kept_and_it_is_taken_once() {
        let (pending, name, at) = (Pending::default(), ObjectName::new("web", "app"), Timestamp::now());
        let obtained = |held| Obtained { documents: Vec::new(), held, mount: None, at };
        pending.keep(&name, "r", &obtained(Held::Read { versions: vec![Some(1)] }));
        assert!(pending.take(&name).is_none());
        let issued = Held::Certificate {
            namespace: None,
            mount: "pki".to_owned(),
            serial: "0a".to_owned(),
            at,
            not_after: at,
        };
        pending.keep(&name, "r", &obtained(issued.clone()));
        assert_eq!(pending.held(&name), std::slice::from_ref(&issued));
        pending.written(&name, &Stamp::default());
        let taken = pending.take(&name).unwrap();
        assert_eq!((taken.request.as_str(), &taken.obtained.held), ("r", &issued));
        assert!(pending.take(&name).is_none());
        pending.keep(&name, "r", &obtained(issued.clone()));
        pending.written(&name, &Stamp { held: issued.clone(), ..Stamp::default() });
        assert!(pending.take(&name).is_none(), "the reconcile that wrote it ended");
        // It answers another request.
        pending.reject(&name, issued.clone());
        assert_eq!(
            (pending.unused(&name), pending.held(&name)),
            (vec![issued.clone()], vec![issued.clone()])
        );
        pending.recorded(&name);
        assert_eq!(pending.held(&name), []);
        pending.reject(&name, issued.clone());
        pending.written(&name, &Stamp { former: vec![issued], ..Stamp::default() });
        assert_eq!(pending.held(&name), []);
    }
}
