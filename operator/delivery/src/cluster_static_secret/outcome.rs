//! Results of all namespaces, and the status that summarizes them.

use steamer_api::{ClusterBaoStaticSecretStatus, FailedNamespace, PlannedChange};
use steamer_core::Error;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Failure, Reason, describe};

/// Most namespaces that the status lists.
const LISTED: usize = 64;
/// Longest message of a namespace, in characters.
const LONGEST: usize = 1024;

/// Why a namespace has no BaoStaticSecret that is Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) message: String,
    /// Whether something must be changed.
    pub(super) is_stalled: bool,
}

impl Problem {
    pub(super) fn stalled(reason: Reason, message: String) -> Self {
        Self { reason: reason.as_str().to_owned(), message, is_stalled: true }
    }

    pub(super) fn progressing(reason: Reason, message: String) -> Self {
        Self { reason: reason.as_str().to_owned(), message, is_stalled: false }
    }

    /// The problem of a failed write.
    pub(super) fn of(error: &Error) -> Self {
        let (reason, message) = (error.reason().as_str().to_owned(), describe(error));
        Self { reason, message, is_stalled: error.stalled() }
    }
}

/// Results of the selected namespaces.
#[derive(Default)]
pub(super) struct Outcome {
    selected: usize,
    /// Number of namespaces with changes that are only reported.
    pending: usize,
    problems: Vec<(String, Problem)>,
}

impl Outcome {
    /// Adds the result of a namespace.
    pub(super) fn add(&mut self, namespace: &str, problem: Option<Problem>) {
        self.selected += 1;
        self.problems.extend(problem.map(|problem| (namespace.to_owned(), problem)));
    }

    /// Adds a namespace with changes that are only reported.
    pub(super) fn pend(&mut self) {
        self.selected += 1;
        self.pending += 1;
    }

    /// The status with these results: problems that need a change come first.
    pub(super) fn recorded(
        &self,
        last: ClusterBaoStaticSecretStatus,
        plan: Vec<PlannedChange>,
    ) -> ClusterBaoStaticSecretStatus {
        let count = |number: usize| Some(i64::try_from(number).unwrap_or(i64::MAX));
        let failed = self.sorted().into_iter().take(LISTED).map(|(namespace, problem)| FailedNamespace {
            namespace: namespace.clone(),
            reason: problem.reason.clone(),
            message: problem.message.chars().take(LONGEST).collect(),
        });
        ClusterBaoStaticSecretStatus {
            selected: count(self.selected),
            provisioned: count(self.selected - self.pending - self.problems.len()),
            failed: failed.collect(),
            plan,
            ..last
        }
    }

    fn sorted(&self) -> Vec<&(String, Problem)> {
        let mut sorted: Vec<_> = self.problems.iter().collect();
        sorted.sort_by_key(|(namespace, problem)| (!problem.is_stalled, namespace));
        sorted
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.worst("have no current Secret").unwrap_or_else(|| {
            let text = match self.selected {
                0 => "no namespace is selected".to_owned(),
                1 => "1 namespace has the Secret".to_owned(),
                selected => format!("{selected} namespaces have the Secret"),
            };
            Verdict::Ready(Reason::Applied, text)
        })
    }

    /// The verdict of an object that only reports. `changes`: number of all changes.
    pub(super) fn observed(&self, changes: usize) -> Verdict {
        self.worst("cannot have the Secret").unwrap_or_else(|| match changes {
            0 => Verdict::Ready(Reason::Observed, "all namespaces match the template".to_owned()),
            count => Verdict::Ready(
                Reason::Drifted,
                format!("namespaces differ from the template; pending changes: {count}, see status.plan"),
            ),
        })
    }

    /// The verdict about the worst namespace. None without problems.
    fn worst(&self, what: &str) -> Option<Verdict> {
        let (selected, failed) = (self.selected, self.problems.len());
        let (namespace, problem) = self.sorted().first().copied()?;
        let text = format!(
            "{failed} of {selected} namespaces {what}; {namespace}: {}: {}",
            problem.reason, problem.message
        );
        Some(match problem.is_stalled {
            true if problem.reason == Reason::Conflict.as_str() => Verdict::Stalled(Reason::Conflict, text),
            true => Verdict::Stalled(Reason::Failed, text),
            false => Verdict::Progressing(Reason::Waiting, text),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn outcome(results: &[(&str, Option<Problem>)]) -> Outcome {
        let mut outcome = Outcome::default();
        results.iter().for_each(|(namespace, problem)| outcome.add(namespace, problem.clone()));
        outcome
    }

    fn conflict() -> Problem {
        Problem::stalled(Reason::Conflict, "exists".to_owned())
    }

    fn waits() -> Problem {
        Problem::progressing(Reason::Waiting, "new".to_owned())
    }

    #[rstest]
    #[case::none(&[], Verdict::Ready(Reason::Applied, "no namespace is selected".to_owned()))]
    #[case::one(&[("a", None)], Verdict::Ready(Reason::Applied, "1 namespace has the Secret".to_owned()))]
    #[case::two(&[("a", None), ("b", None)], Verdict::Ready(Reason::Applied, "2 namespaces have the Secret".to_owned()))]
    #[case::new(
        &[("a", None), ("b", Some(waits()))],
        Verdict::Progressing(Reason::Waiting, "1 of 2 namespaces have no current Secret; b: Waiting: new".to_owned())
    )]
    #[case::conflict(
        &[("a", Some(waits())), ("b", Some(conflict()))],
        Verdict::Stalled(Reason::Conflict, "2 of 2 namespaces have no current Secret; b: Conflict: exists".to_owned())
    )]
    fn the_worst_namespace_determines_the_verdict(
        #[case] results: &[(&str, Option<Problem>)],
        #[case] expected: Verdict,
    ) {
        assert_eq!(outcome(results).verdict(), expected);
    }

    #[test]
    fn the_status_lists_a_bounded_number_of_namespaces_and_stalled_ones_first() {
        let names: Vec<String> = (100..200).map(|number| format!("ns-{number}")).collect();
        let mut results: Vec<_> = names.iter().map(|name| (name.as_str(), Some(waits()))).collect();
        results.push(("settled", None));
        results.push(("z", Some(conflict())));
        let status = outcome(&results).recorded(ClusterBaoStaticSecretStatus::default(), Vec::new());
        assert_eq!((status.selected, status.provisioned), (Some(102), Some(1)));
        assert_eq!(status.failed.len(), LISTED);
        assert_eq!(
            (status.failed[0].namespace.as_str(), status.failed[0].reason.as_str()),
            ("z", "Conflict")
        );
        assert_eq!(status.failed[1].namespace, "ns-100");
    }

    #[rstest]
    #[case::no_change(0, None, Reason::Observed, Some(2))]
    #[case::changes(3, None, Reason::Drifted, Some(2))]
    #[case::problem(3, Some(conflict()), Reason::Conflict, Some(1))]
    fn an_object_that_only_reports_is_ready_unless_a_namespace_cannot_have_the_secret(
        #[case] changes: usize,
        #[case] problem: Option<Problem>,
        #[case] reason: Reason,
        #[case] provisioned: Option<i64>,
    ) {
        let mut outcome = outcome(&[("a", None), ("b", problem)]);
        if changes > 0 {
            outcome.pend();
        }
        assert_eq!(outcome.observed(changes).reason(), reason);
        let status = outcome.recorded(ClusterBaoStaticSecretStatus::default(), Vec::new());
        assert_eq!(status.provisioned, provisioned);
    }
}
