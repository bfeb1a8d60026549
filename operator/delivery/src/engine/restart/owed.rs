//! Restarts that are owed for an object.

use steamer_api::{RestartedWorkload, RolloutRestart, RolloutRestartTarget};
use steamer_runtime::{Key, ObjectName};

use super::batches::{Pending, Selected};
use super::marks::Change;
use super::workload::Workload;

/// The restarts that the last change of a Secret requires.
pub(crate) struct Owed<'a> {
    pub(crate) object: Key,
    /// Name of the Secret.
    pub(crate) secret: &'a str,
    pub(crate) change: Change,
    /// Generation of the object.
    pub(crate) generation: i64,
    pub(crate) targets: &'a [RolloutRestartTarget],
    pub(crate) settings: RolloutRestart,
    /// Number of the change in the status for which all workloads were restarted.
    pub(crate) complete: i64,
    /// Workloads in the status.
    pub(crate) recorded: Vec<RestartedWorkload>,
}

impl Owed<'_> {
    /// Whether all workloads were restarted.
    pub(crate) fn is_complete(&self) -> bool {
        self.change.number <= self.complete
    }

    pub(super) fn namespace(&self) -> &str {
        &self.object.name.namespace
    }

    /// Maximum number of workloads that roll out at the same time.
    pub(super) fn limit(&self) -> Option<usize> {
        self.settings.max_concurrent.and_then(|limit| usize::try_from(limit).ok())
    }

    /// Whether the status contains the restart of a workload. It counts even if another client removed the annotation.
    pub(super) fn is_recorded(&self, workload: &Workload) -> bool {
        let is_same =
            |entry: &&RestartedWorkload| entry.kind == workload.kind && entry.name == workload.name.name;
        self.recorded.iter().filter(is_same).any(|entry| entry.change >= self.change.number)
    }

    /// The workloads in the status that were restarted for the change.
    pub(super) fn restarted(&self) -> impl Iterator<Item = Workload> {
        let restarted = self.recorded.iter().filter(|entry| entry.change >= self.change.number);
        restarted.map(|entry| {
            let name = ObjectName::new(self.namespace(), &entry.name);
            Workload { kind: entry.kind, name }
        })
    }

    /// Whether a target names the workload.
    pub(super) fn names(&self, workload: &Workload) -> bool {
        let is_same = |target: &RolloutRestartTarget| {
            target.kind == workload.kind && target.name.as_ref() == Some(&workload.name.name)
        };
        self.targets.iter().any(is_same)
    }

    pub(super) fn pending(&self, selected: Selected) -> Pending {
        Pending {
            secret: self.secret.to_owned(),
            change: self.change.clone(),
            generation: self.generation,
            selected,
            debounce: self.settings.debounce.get(),
        }
    }
}
