//! The last valid specs: the duties of a cluster go on while a later spec is refused.

use std::collections::HashMap;
use std::sync::Arc;

use steamer_api::OpenBaoClusterStatus;
use steamer_core::error::Error;
use steamer_runtime::{Locked, ObjectName};

use crate::cluster::{Cluster, Mode};
use crate::managed::fetch::Found;

/// The last valid spec of each cluster, with the objects that it refers to.
#[derive(Default)]
pub(crate) struct LastValid(Locked<HashMap<ObjectName, Arc<(Found, Cluster)>>>);

/// The spec in force.
pub(crate) struct InForce {
    pub(crate) valid: Arc<(Found, Cluster)>,
    /// Error of the present spec, if this is an earlier one.
    pub(crate) refused: Option<Error>,
}

/// Values of the present object that do not depend on the spec.
pub(crate) struct Present {
    pub(crate) mode: Mode,
    /// Value of the fence annotation.
    pub(crate) fence: Option<String>,
    pub(crate) last: OpenBaoClusterStatus,
}

impl LastValid {
    /// The present spec if it is valid, otherwise the last valid one.
    ///
    /// # Errors
    /// The error of the present spec, if no earlier one is known.
    pub(crate) fn in_force(
        &self,
        (name, uid): (&ObjectName, &str),
        present: Result<(Found, Cluster), Error>,
        Present { mode, fence, last }: Present,
    ) -> Result<InForce, Error> {
        let error = match present {
            Ok(present) => {
                let valid = Arc::new(present);
                self.0.lock().insert(name.clone(), Arc::clone(&valid));
                return Ok(InForce { valid, refused: None });
            }
            Err(error) => error,
        };
        let known = self.0.lock().get(name).cloned().filter(|known| known.1.uid == uid);
        let Some(known) = known else { return Err(error) };
        let (found, cluster) = &*known;
        let valid = Arc::new((Found { last, ..found.clone() }, Cluster { mode, fence, ..cluster.clone() }));
        Ok(InForce { valid, refused: Some(error) })
    }

    /// Forgets a cluster that does not exist anymore.
    pub(crate) fn forget(&self, name: &ObjectName) {
        self.0.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{cluster, found};

    fn now(mode: Mode) -> Present {
        Present { mode, fence: Some("main-1".to_owned()), last: OpenBaoClusterStatus::default() }
    }

    fn refused() -> Result<(Found, Cluster), Error> {
        Err(Error::Invalid("x".to_owned()))
    }

    #[test]
    fn a_refused_spec_leaves_the_last_valid_one_in_force() {
        let (last_valid, name) = (LastValid::default(), ObjectName::new("openbao", "main"));
        let in_force = |present, mode| last_valid.in_force((&name, "uid"), present, now(mode));
        assert!(in_force(refused(), Mode::Active).is_err(), "no spec was ever valid");
        assert!(in_force(Ok((found(), cluster())), Mode::Active).unwrap().refused.is_none());
        let kept = in_force(refused(), Mode::Suspended).unwrap();
        assert!(kept.refused.is_some());
        let (found, cluster) = &*kept.valid;
        assert_eq!((cluster.name(), cluster.mode), ("main", Mode::Suspended));
        assert_eq!(found.last.initialized, None, "the status is the present one");
        assert_eq!(cluster.fence.as_deref(), Some("main-1"), "the annotation is the present one");
        let recreated = (&name, "another");
        assert!(
            last_valid.in_force(recreated, refused(), now(Mode::Active)).is_err(),
            "the spec of a deleted object"
        );
        last_valid.forget(&name);
        assert!(in_force(refused(), Mode::Active).is_err());
    }
}
