//! Result of one step of the restarts of an object: status, condition and Event.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{RestartedWorkload, WorkloadRestarts};
use steamer_runtime::Reason;
use steamer_runtime::conditions::{State as Status, whole_second};

use super::owed::Owed;
use super::plan::State;
use super::problem::Problem;
use super::progress::Progress;
use super::workload::{Found, Workload};

/// Most workloads in the status.
pub(super) const MOST: usize = 50;

/// A workload in one step.
pub(super) enum Seen {
    /// Its restart is owed.
    Owed(Box<Found>),
    /// It was restarted before this step.
    Restarted(Progress),
    /// It was restarted in this step.
    Patched(Progress),
    /// It does not exist anymore.
    Gone,
    Problem(Problem),
}

impl Seen {
    pub(super) fn state(&self) -> State {
        match self {
            Self::Owed(_) => State::Owed,
            Self::Restarted(progress) | Self::Patched(progress) => State::Restarted(*progress),
            Self::Gone | Self::Problem(_) => State::Impossible,
        }
    }
}

/// All workloads in one step.
pub(crate) struct Outcome {
    pub(super) workloads: Vec<(Workload, Seen)>,
    /// Problems of targets without a workload.
    pub(super) problems: Vec<Problem>,
}

/// A condition without its type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) status: Status,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Outcome {
    fn problems(&self) -> impl Iterator<Item = &Problem> {
        let of_workloads = self.workloads.iter().filter_map(|(_, seen)| match seen {
            Seen::Problem(problem) => Some(problem),
            _ => None,
        });
        self.problems.iter().chain(of_workloads)
    }

    fn with(&self, state: State) -> Vec<String> {
        let chosen = self.workloads.iter().filter(|(_, seen)| seen.state() == state);
        chosen.map(|(workload, _)| workload.to_string()).collect()
    }

    /// Whether a restart failed and is tried again.
    pub(crate) fn is_failed(&self) -> bool {
        self.problems().any(|problem| !problem.is_final)
    }

    /// Whether no restart is owed anymore.
    pub(super) fn is_finished(&self) -> bool {
        !self.is_failed() && !self.workloads.iter().any(|(_, seen)| seen.state() == State::Owed)
    }

    /// Workloads that were restarted in this step.
    pub(crate) fn patched(&self) -> Vec<String> {
        let patched = self.workloads.iter().filter(|(_, seen)| matches!(seen, Seen::Patched(_)));
        patched.map(|(workload, _)| workload.to_string()).collect()
    }

    /// The status after this step.
    pub(crate) fn status(&self, owed: &Owed<'_>, now: Timestamp) -> WorkloadRestarts {
        let mut workloads = owed.recorded.clone();
        for (workload, seen) in &self.workloads {
            if matches!(seen.state(), State::Restarted(_)) && !owed.is_recorded(workload) {
                let name = workload.name.name.clone();
                workloads.retain(|entry| (entry.kind, &entry.name) != (workload.kind, &name));
                let (time, change) = (Time(whole_second(now)), owed.change.number);
                workloads.insert(0, RestartedWorkload { kind: workload.kind, name, time, change });
            }
        }
        workloads.truncate(MOST);
        let change = if self.is_finished() { owed.change.number } else { owed.complete };
        WorkloadRestarts { change, workloads }
    }

    /// The condition after this step.
    pub(crate) fn condition(&self, owed: &Owed<'_>) -> Condition {
        let false_ = |reason, message| Condition { status: Status::False, reason, message };
        // A problem that is tried again is more important than one that is final.
        if let Some(problem) = self.problems().min_by_key(|problem| problem.is_final) {
            let more = self.problems().count() - 1;
            let others = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            return false_(problem.reason, format!("{}{others}", problem.text));
        }
        let waiting = self.with(State::Owed);
        if !waiting.is_empty() {
            let rolling = self.with(State::Restarted(Progress::Rolling)).join(", ");
            let message = format!("{} restarted after the rollout of {rolling}", are(waiting.len()));
            return false_(Reason::RollingOut, message);
        }
        Condition { status: Status::True, reason: Reason::Applied, message: self.summary(owed) }
    }

    fn summary(&self, owed: &Owed<'_>) -> String {
        let count =
            self.workloads.iter().filter(|(_, seen)| matches!(seen.state(), State::Restarted(_))).count();
        let workloads = if count == 1 { "workload".to_owned() } else { "workloads".to_owned() };
        let summary = format!(
            "{count} {workloads} restarted for change {} of Secret {}",
            owed.change.number, owed.secret
        );
        match self.with(State::Restarted(Progress::Paused)) {
            paused if paused.is_empty() => summary,
            paused => format!("{summary}; paused, and restarted when resumed: {}", paused.join(", ")),
        }
    }
}

fn are(count: usize) -> String {
    if count == 1 { "1 workload is".to_owned() } else { format!("{count} workloads are") }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use rstest::rstest;
    use steamer_api::WorkloadKind;
    use steamer_runtime::{Key, ObjectName};

    use super::super::marks::Change;
    use super::super::workload::resource;
    use super::*;

    fn workload(name: &str) -> Workload {
        Workload { kind: WorkloadKind::Deployment, name: ObjectName::new("web", name) }
    }

    fn owed() -> Owed<'static> {
        let entry = |name: &str, change| RestartedWorkload {
            kind: WorkloadKind::Deployment,
            name: name.to_owned(),
            time: Time(Timestamp::from_second(1).unwrap()),
            change,
        };
        Owed {
            object: Key::new("BaoStaticSecret", ObjectName::new("web", "app")),
            secret: "app",
            change: Change::new(2, "u"),
            generation: 1,
            targets: &[],
            settings: Default::default(),
            complete: 1,
            recorded: vec![entry("done", 2), entry("again", 1), entry("other", 1)],
        }
    }

    fn outcome(seen: Vec<(&str, Seen)>) -> Outcome {
        let workloads = seen.into_iter().map(|(name, seen)| (workload(name), seen)).collect();
        Outcome { workloads, problems: Vec::new() }
    }

    fn found() -> Seen {
        let object = DynamicObject::new("again", &resource(WorkloadKind::Deployment));
        Seen::Owed(Box::new(Found::new(WorkloadKind::Deployment, object)))
    }

    fn contended() -> Seen {
        Seen::Problem(Problem::contended(&workload("again")))
    }

    const PAUSED: Seen = Seen::Patched(Progress::Paused);
    const ROLLING: Seen = Seen::Patched(Progress::Rolling);

    #[rstest]
    #[case::all(outcome(vec![("done", Seen::Restarted(Progress::Rolling)), ("again", ROLLING)]), 2, "2 workloads restarted for change 2 of Secret app")]
    #[case::none(outcome(vec![]), 2, "0 workloads restarted for change 2 of Secret app")]
    #[case::gone(outcome(vec![("again", Seen::Gone)]), 2, "0 workloads restarted")]
    #[case::paused(outcome(vec![("again", PAUSED)]), 2, "1 workload restarted for change 2 of Secret app; paused, and restarted when resumed: Deployment again")]
    #[case::waiting(outcome(vec![("done", ROLLING), ("again", found())]), 1, "1 workload is restarted after the rollout of Deployment done")]
    #[case::missing(outcome(vec![("again", Seen::Problem(Problem::missing(&workload("again")))), ("done", ROLLING)]), 2, "Deployment again does not exist: create it")]
    #[case::failed(outcome(vec![("x", Seen::Problem(Problem::missing(&workload("x")))), ("again", contended())]), 1, "cannot restart Deployment again: another client changes it at the same time (and 1 more)")]
    fn a_change_is_complete_when_no_restart_is_owed(
        #[case] outcome: Outcome,
        #[case] change: i64,
        #[case] message: &str,
    ) {
        let (owed, now) = (owed(), Timestamp::from_second(9).unwrap());
        assert_eq!(outcome.status(&owed, now).change, change);
        let condition = outcome.condition(&owed);
        assert!(condition.message.starts_with(message), "{}", condition.message);
        let is_complete = change == 2 && outcome.problems().next().is_none();
        assert_eq!(condition.status == Status::True, is_complete);
    }

    #[test]
    fn the_status_lists_the_latest_restarts_first_and_keeps_the_time_of_each() {
        let seen =
            vec![("done", Seen::Restarted(Progress::RolledOut)), ("again", ROLLING), ("gone", Seen::Gone)];
        let status = outcome(seen).status(&owed(), Timestamp::from_second(9).unwrap());
        let seen: Vec<_> =
            status.workloads.iter().map(|it| (it.name.as_str(), it.time.0.as_second(), it.change)).collect();
        assert_eq!(seen, [("again", 9, 2), ("done", 1, 2), ("other", 1, 1)]);
    }

    #[test]
    fn the_status_names_the_workloads_that_were_restarted_for_the_change() {
        let restarted: Vec<Workload> = owed().restarted().collect();
        assert_eq!(restarted, [workload("done")]);
    }

    #[test]
    fn the_status_is_bounded() {
        let names: Vec<String> = (0..80).map(|number| format!("w{number}")).collect();
        let seen = names.iter().map(|name| (name.as_str(), ROLLING)).collect();
        let status = outcome(seen).status(&owed(), Timestamp::from_second(9).unwrap());
        assert_eq!((status.workloads.len(), status.change), (MOST, 2));
    }
}
