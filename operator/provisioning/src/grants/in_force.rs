//! Grants in force, shared by the controllers of SecretsProject and of the kinds that grant access.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use kube::ResourceExt;
use steamer_api::KindId;
use steamer_runtime::{Key, Locked, ObjectName};

use super::Grant;

/// The granting objects that the last reconcile of a project applied, by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contributions(pub(crate) HashMap<(KindId, ObjectName), Contribution>);

/// Result for one granting object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) uid: String,
    /// The generation that was applied or refused.
    pub(crate) generation: i64,
    /// True if the object grants nothing: it is cancelled or expired.
    pub(crate) ended: bool,
    /// Reason why the project refused it.
    pub(crate) refused: Option<String>,
}

impl Contributions {
    /// The contribution of an object. None for one of a deleted object of the same name.
    pub(crate) fn of<G: Grant>(&self, grant: &G) -> Option<&Contribution> {
        let found = self.0.get(&(G::ID, ObjectName::of(grant)));
        found.filter(|found| Some(&found.uid) == grant.uid().as_ref())
    }

    /// Adds the result for an object.
    pub(crate) fn add<G: Grant>(&mut self, grant: &G, is_effective: bool, refused: Option<String>) {
        let contribution = Contribution {
            uid: grant.uid().unwrap_or_default(),
            generation: grant.meta().generation.unwrap_or(0),
            ended: !is_effective,
            refused,
        };
        self.0.insert((G::ID, ObjectName::of(grant)), contribution);
    }

    /// The contributions of objects that grant nothing.
    pub(crate) fn ended(mut self) -> Self {
        self.0.retain(|_, contribution| contribution.ended);
        self
    }
}

/// Contributions by project. In memory only: after a restart every project is reconciled.
#[derive(Default)]
pub(crate) struct InForce(Locked<HashMap<ObjectName, Arc<Contributions>>>);

impl InForce {
    /// The key of the contributions of a project: a change requeues the objects that grant access to it.
    pub(crate) fn key(project: &ObjectName) -> Key {
        Key::new("PoliciesInForce", project.clone())
    }

    pub(crate) fn get(&self, project: &ObjectName) -> Option<Arc<Contributions>> {
        self.all().get(project).cloned()
    }

    /// Stores the contributions of a project. Returns true if they changed.
    pub(crate) fn set(&self, project: &ObjectName, contributions: Contributions) -> bool {
        let mut all = self.all();
        let same = all.get(project).is_some_and(|old| **old == contributions);
        all.insert(project.clone(), Arc::new(contributions));
        !same
    }

    /// Removes contributions that are not in `next`. Call it before OpenBao is changed, so that no granting object is
    /// reported as applied after its policy is removed.
    pub(crate) fn retain(&self, project: &ObjectName, next: &Contributions) {
        if let Some(known) = self.all().get_mut(project) {
            let mut kept = (**known).clone();
            kept.0.retain(|policy, contribution| next.0.get(policy) == Some(contribution));
            *known = Arc::new(kept);
        }
    }

    pub(crate) fn forget(&self, project: &ObjectName) {
        self.all().remove(project);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ObjectName, Arc<Contributions>>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contributions(generations: &[(&str, i64)]) -> Contributions {
        let contribution =
            |generation| Contribution { uid: "u".to_owned(), generation, ended: false, refused: None };
        let named = generations.iter();
        Contributions(
            named
                .map(|(name, generation)| {
                    ((KindId::PipelinePolicy, ObjectName::new("ns", *name)), contribution(*generation))
                })
                .collect(),
        )
    }

    #[test]
    fn only_unchanged_contributions_stay_in_force_during_the_writes() {
        let (in_force, project) = (InForce::default(), ObjectName::new("ns", "web"));
        assert!(in_force.set(&project, contributions(&[("kept", 1), ("changed", 1), ("removed", 1)])));
        let next = contributions(&[("kept", 1), ("changed", 2), ("new", 1)]);
        in_force.retain(&project, &next);
        assert_eq!(*in_force.get(&project).unwrap(), contributions(&[("kept", 1)]));
        assert!(in_force.set(&project, next.clone()));
        assert!(!in_force.set(&project, next));
        in_force.forget(&project);
        assert_eq!(in_force.get(&project), None);
    }
}
