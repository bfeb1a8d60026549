//! Issued values that could not be written yet. They are kept in memory: a failed write must not issue another value. Those that are
//! not used, and could not be revoked, become former values of the next one.

use std::collections::HashMap;

use steamer_runtime::{Locked, ObjectName};

use super::held::Held;
use super::synced::Obtained;

/// A value, and the digest of the request that it answers.
pub(super) struct Unwritten {
    pub(super) request: String,
    pub(super) obtained: Obtained,
}

/// Issued values of all objects of a kind that could not be written yet.
#[derive(Default)]
pub(super) struct Pending {
    unwritten: Locked<HashMap<ObjectName, Unwritten>>,
    /// Values that are not used and remain to be revoked.
    unused: Locked<HashMap<ObjectName, Vec<Held>>>,
}

impl Pending {
    /// Keeps a value, if it was issued.
    pub(super) fn keep(&self, object: &ObjectName, request: &str, obtained: Obtained) {
        if obtained.held.is_issued() {
            let unwritten = Unwritten { request: request.to_owned(), obtained };
            self.unwritten.lock().insert(object.clone(), unwritten);
        }
    }

    /// The values of an object, used or not.
    pub(super) fn held(&self, object: &ObjectName) -> Vec<Held> {
        let unwritten = self.unwritten.lock().get(object).map(|unwritten| unwritten.obtained.held.clone());
        self.unused(object).into_iter().chain(unwritten).collect()
    }

    /// Removes the value of an object.
    pub(super) fn take(&self, object: &ObjectName) -> Option<Unwritten> {
        self.unwritten.lock().remove(object)
    }

    /// Keeps a value that is not used and could not be revoked.
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
        pending.keep(&name, "r", obtained(Held::Read { versions: vec![Some(1)] }));
        assert!(pending.take(&name).is_none());
        let issued = Held::Certificate {
            namespace: None,
            mount: "pki".to_owned(),
            serial: "0a".to_owned(),
            at,
            not_after: at,
        };
        pending.keep(&name, "r", obtained(issued.clone()));
        assert_eq!(pending.held(&name), std::slice::from_ref(&issued));
        let taken = pending.take(&name).unwrap();
        assert_eq!((taken.request.as_str(), &taken.obtained.held), ("r", &issued));
        assert!(pending.take(&name).is_none());
        // It is not used, and OpenBao does not revoke it.
        pending.reject(&name, issued.clone());
        assert_eq!((pending.unused(&name), pending.held(&name)), (vec![issued.clone()], vec![issued]));
        pending.recorded(&name);
        assert_eq!(pending.held(&name), []);
    }
}
