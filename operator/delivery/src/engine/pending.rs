//! Issued values that could not be written yet. They are kept in memory: a failed write must not issue another value.

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
pub(super) struct Pending(Locked<HashMap<ObjectName, Unwritten>>);

impl Pending {
    /// Keeps a value, if it was issued.
    pub(super) fn keep(&self, object: &ObjectName, request: &str, obtained: Obtained) {
        if obtained.held.is_issued() {
            self.0.lock().insert(object.clone(), Unwritten { request: request.to_owned(), obtained });
        }
    }

    /// The value of an object.
    pub(super) fn held(&self, object: &ObjectName) -> Option<Held> {
        self.0.lock().get(object).map(|unwritten| unwritten.obtained.held.clone())
    }

    /// Removes the value of an object.
    pub(super) fn take(&self, object: &ObjectName) -> Option<Unwritten> {
        self.0.lock().remove(object)
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
        assert_eq!(pending.held(&name), Some(issued.clone()));
        let taken = pending.take(&name).unwrap();
        assert_eq!((taken.request.as_str(), taken.obtained.held), ("r", issued));
        assert!(pending.take(&name).is_none());
    }
}
