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

    /// Whether all workloads were restarted for this change, or for a later one.
    pub(crate) fn has_completed(&self, change: i64) -> bool {
        change <= self.change.number && self.is_complete()
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::complete(3, 3, 3, true)]
    #[case::restarts_are_owed(3, 2, 3, false)]
    #[case::a_change_that_the_status_does_not_state(3, 3, 4, false)]
    #[case::a_later_change_is_complete(4, 4, 3, true)]
    fn a_change_is_complete_when_the_status_states_it_and_its_restarts(
        #[case] last: i64,
        #[case] complete: i64,
        #[case] change: i64,
        #[case] expected: bool,
    ) {
        let owed = Owed {
            object: Key::new("BaoDynamicSecret", ObjectName::new("web", "app")),
            secret: "app",
            change: Change::new(last, "uid"),
            generation: 1,
            targets: &[],
            settings: RolloutRestart::default(),
            complete,
            recorded: Vec::new(),
        };
        assert_eq!(owed.has_completed(change), expected);
    }
}
