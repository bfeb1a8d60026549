//! Which PipelinePolicies are in force: shared by the controllers of projects and of pipeline policies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use steamer_runtime::{Key, ObjectName};

/// The PipelinePolicies that the last reconcile of a project applied, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contributions(pub(crate) HashMap<ObjectName, Contribution>);

/// Result for one PipelinePolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) uid: String,
    /// The generation that was applied or refused.
    pub(crate) generation: i64,
    /// Reason why the project refused it.
    pub(crate) refused: Option<String>,
}

/// Contributions by project. In memory only: after a restart every project is reconciled.
#[derive(Default)]
pub(crate) struct InForce(Mutex<HashMap<ObjectName, Arc<Contributions>>>);

impl InForce {
    /// The key of the contributions of a project: a change requeues its PipelinePolicies.
    pub(crate) fn key(project: &ObjectName) -> Key {
        Key::new("PoliciesInForce", project.clone())
    }

    pub(crate) fn get(&self, project: &ObjectName) -> Option<Arc<Contributions>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(project).cloned()
    }

    /// Stores the contributions of a project. Returns true if they changed.
    pub(crate) fn set(&self, project: &ObjectName, contributions: Contributions) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = all.get(project).is_some_and(|old| **old == contributions);
        all.insert(project.clone(), Arc::new(contributions));
        !same
    }

    /// Removes contributions that are not in `next`. Call it before OpenBao is changed, so that no PipelinePolicy is
    /// reported as applied after its policy is removed.
    pub(crate) fn retain(&self, project: &ObjectName, next: &Contributions) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(project) {
            let mut kept = (**known).clone();
            kept.0.retain(|policy, contribution| next.0.get(policy) == Some(contribution));
            *known = Arc::new(kept);
        }
    }

    pub(crate) fn forget(&self, project: &ObjectName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(project);
    }
}
