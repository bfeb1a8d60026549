//! `mode: Observe`: what would change in each namespace. It writes the status only.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use steamer_api::{
    BaoStaticSecret, ClusterBaoStaticSecret, CreationPolicy, DeletionPolicy, Mode, Operation, PlannedChange,
};
use steamer_core::Error;
use steamer_runtime::{Action, Dependencies};

use super::child;
use super::controller::{Controller, Visit};
use super::outcome::{Outcome, Problem};
use super::step::Step;

/// Most changes in a status.
const MOST: usize = 1000;
/// Shortest pause between two comparisons.
const SHORTEST: Duration = Duration::from_secs(1);

impl Controller {
    /// Reports what would change in each namespace.
    pub(super) async fn observe(
        &self,
        object: &ClusterBaoStaticSecret,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        let namespaces = self.namespaces(object, dependencies);
        let (mut outcome, mut plan) = (Outcome::default(), self.removals(object, &namespaces));
        let mut count = plan.len();
        for namespace in &namespaces {
            let (changes, problem) = self.previewed(object, dependencies, namespace).await;
            match problem {
                None if !changes.is_empty() => outcome.pend(),
                problem => outcome.add(namespace, problem),
            }
            count += changes.len();
            plan.extend(changes);
            plan.truncate(MOST);
        }
        let status = outcome.recorded(self.context.status(object), plan);
        self.context.report(object, status, &outcome.observed(count)).await?;
        Ok(Action::After(object.spec.template.spec.refresh_after.get().max(SHORTEST)))
    }

    /// The changes in a namespace, and why it could not have the Secret.
    async fn previewed(
        &self,
        object: &ClusterBaoStaticSecret,
        dependencies: &Dependencies,
        namespace: &str,
    ) -> (Vec<PlannedChange>, Option<Problem>) {
        let Visit { desired, existing, step } = self.visit(object, dependencies, namespace);
        let (operation, reason) = match step {
            Step::Settled => return (Vec::new(), None),
            Step::Blocked(problem) => return (Vec::new(), Some(problem)),
            Step::Create => (Operation::Create, "the BaoStaticSecret does not exist"),
            Step::Patch(_) => (Operation::Update, "the BaoStaticSecret differs from the template"),
        };
        let child = child::previewed(object, desired, existing.as_deref());
        let mut plan = vec![of_child(&child, operation, reason)];
        // It would write no Secret.
        if child.spec.suspend || child.spec.mode == Mode::Observe {
            return (plan, None);
        }
        match self.previews.preview(&child, dependencies).await {
            Ok(changes) => {
                plan.extend(changes.into_iter().map(|change| within(namespace, change)));
                (plan, None)
            }
            Err(error) => (plan, Some(Problem::of(&error))),
        }
    }

    /// The BaoStaticSecrets that would be deleted, with their Secrets. One with a former name is replaced, unless its successor
    /// belongs to another owner.
    fn removals(&self, object: &ClusterBaoStaticSecret, namespaces: &BTreeSet<String>) -> Vec<PlannedChange> {
        let mut plan = Vec::new();
        for (found, successor) in self.unwanted(object, namespaces) {
            match successor {
                None => plan.extend(removal(&found, "the namespace is not selected")),
                Some(Some(current)) if !child::is_owned(&current, object) => {}
                Some(_) => plan.extend(removal(&found, "a BaoStaticSecret with another name replaces it")),
            }
        }
        plan
    }
}

/// The deletion of a BaoStaticSecret, and that of its Secret or of the keys in it.
fn removal(child: &BaoStaticSecret, reason: &str) -> Vec<PlannedChange> {
    let mut plan = vec![of_child(child, Operation::Delete, reason)];
    let destination = &child.spec.destination;
    let is_kept = destination.deletion_policy == DeletionPolicy::Retain
        || destination.creation_policy == CreationPolicy::Orphan
        || (!destination.create && child.spec.mode == Mode::Observe);
    let written = child.status.as_ref().and_then(|status| status.sync.destination.as_deref());
    if let Some(name) = written.filter(|_| !is_kept) {
        let (operation, reason) = if destination.create {
            (Operation::Delete, "the Secret is deleted with its BaoStaticSecret")
        } else {
            (Operation::Update, "the keys of the BaoStaticSecret are removed with it")
        };
        let change = PlannedChange { operation, path: format!("Secret/{name}"), reason: reason.to_owned() };
        plan.push(within(&child.namespace().unwrap_or_default(), change));
    }
    plan
}

fn of_child(child: &BaoStaticSecret, operation: Operation, reason: &str) -> PlannedChange {
    let path = format!("BaoStaticSecret/{}", child.name_any());
    let change = PlannedChange { operation, path, reason: reason.to_owned() };
    within(&child.namespace().unwrap_or_default(), change)
}

/// The change in a namespace.
fn within(namespace: &str, change: PlannedChange) -> PlannedChange {
    PlannedChange { path: format!("{namespace}/{}", change.path), ..change }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::RECONCILE_ANNOTATION;

    use super::super::child::tests::{owner, stored};
    use super::*;

    #[rstest]
    #[case::owned(json!({"create": true}), true, &["Delete web/BaoStaticSecret/registry", "Delete web/Secret/app"])]
    #[case::merged(json!({"create": false}), true, &["Delete web/BaoStaticSecret/registry", "Update web/Secret/app"])]
    #[case::kept(json!({"create": true, "deletionPolicy": "Retain"}), true, &["Delete web/BaoStaticSecret/registry"])]
    #[case::orphaned(json!({"create": true, "creationPolicy": "Orphan"}), true, &["Delete web/BaoStaticSecret/registry"])]
    #[case::never_synced(json!({"create": true}), false, &["Delete web/BaoStaticSecret/registry"])]
    fn a_deleted_child_takes_its_secret_with_it_as_its_destination_says(
        #[case] destination: Value,
        #[case] is_synced: bool,
        #[case] expected: &[&str],
    ) {
        let mut child = stored(&owner(&json!({}), &json!({})));
        let mut changed = json!({"name": "app"});
        for (key, value) in destination.as_object().unwrap() {
            changed[key] = value.clone();
        }
        child.spec.destination = serde_json::from_value(changed).unwrap();
        child.status = is_synced.then(|| serde_json::from_value(json!({"destination": "app"})).unwrap());
        let plan = removal(&child, "x");
        let texts: Vec<String> =
            plan.iter().map(|change| format!("{:?} {}", change.operation, change.path)).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_preview_has_the_identity_of_the_existing_child_and_requests_nothing() {
        let annotations = json!({"annotations": {RECONCILE_ANNOTATION: "now"}});
        let plain = owner(&annotations, &json!({}));
        let existing = stored(&plain);
        let child = child::previewed(&plain, child::desired(&plain, "web"), Some(&existing));
        assert_eq!(child.metadata.uid.as_deref(), Some("child"));
        assert!(!child.annotations().contains_key(RECONCILE_ANNOTATION));
        let new = child::previewed(&plain, child::desired(&plain, "web"), None);
        assert_eq!((new.metadata.uid, new.status), (None, None));
    }
}
