//! Grants in force, updated around the writes of a project.

use std::sync::Arc;

use steamer_api::SecretsProject;
use steamer_runtime::{Index, ObjectName};

use super::desired::Project;
use super::withdrawal::Withdrawn;
use crate::engine::Memory;
use crate::grants::in_force::{Contributions, InForce};

impl Memory<SecretsProject> for Arc<InForce> {
    fn before_writes(&self, project: &ObjectName, desired: &Project) {
        self.retain(project, &desired.contributions);
    }

    fn after_writes(&self, project: &ObjectName, desired: &Project, index: &Index) {
        record(self, project, desired.contributions.clone(), index);
    }

    fn revoked(&self, project: &ObjectName, index: &Index) {
        record(self, project, Contributions::default(), index);
    }

    fn withdrawn(&self, project: &ObjectName, withdrawn: &Withdrawn, index: &Index) {
        match (withdrawn, self.get(project)) {
            (Withdrawn::All, _) => record(self, project, Contributions::default(), index),
            (Withdrawn::Part { ended, .. }, Some(known)) => {
                let mut contributions = (*known).clone();
                contributions.0.extend(ended.0.clone());
                record(self, project, contributions, index);
            }
            // Unknown after a start of the process: the last statuses of the granting objects remain valid.
            (Withdrawn::Part { .. }, None) => {}
        }
    }

    fn forget(&self, project: &ObjectName) {
        InForce::forget(self, project);
    }
}

/// Stores contributions. A change requeues the granting objects of the project.
fn record(in_force: &InForce, project: &ObjectName, contributions: Contributions, index: &Index) {
    if in_force.set(project, contributions) {
        index.wake(&[InForce::key(project)], None);
    }
}
