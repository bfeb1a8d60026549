//! Reasons why a workload cannot be restarted, as one sentence each.

use kube::core::Status;
use kube::core::response::reason::NOT_FOUND;
use steamer_api::WorkloadKind;
use steamer_core::Error;
use steamer_runtime::{Failure, Reason};

use super::workload::{Workload, resource};

/// Reason why a workload is not restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) text: String,
    pub(super) reason: Reason,
    /// Whether the restart is no longer owed: pods that start later use the current Secret.
    pub(super) is_final: bool,
}

impl Problem {
    /// An error of the API server.
    pub(super) fn of(kind: WorkloadKind, action: &str, error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error
            && is_unknown_kind(status)
        {
            return Self::not_installed(kind);
        }
        let error = Error::from(error);
        let (reason, plural) = (error.reason(), resource(kind).plural);
        let advice = match reason {
            Reason::PermissionDenied => {
                format!(": permit the operator to get, list and patch {plural} (Helm value workloadRestarts)")
            }
            _ => String::new(),
        };
        Self { text: format!("cannot {action}: {error}{advice}"), reason, is_final: false }
    }

    fn not_installed(kind: WorkloadKind) -> Self {
        let kind = kind.as_str();
        let text = format!(
            "the API server does not know {kind}: install its CRD, or remove the target from spec.rolloutRestartTargets"
        );
        Self { text, reason: Reason::ReferenceNotFound, is_final: true }
    }

    pub(super) fn missing(workload: &Workload) -> Self {
        let text =
            format!("{workload} does not exist: create it, or remove it from spec.rolloutRestartTargets");
        Self { text, reason: Reason::ReferenceNotFound, is_final: true }
    }

    pub(super) fn of_cluster(workload: &Workload) -> Self {
        let text = format!(
            "{workload} belongs to a managed OpenBaoCluster, which restarts its pods itself: remove it from \
             spec.rolloutRestartTargets"
        );
        Self { text, reason: Reason::Invalid, is_final: true }
    }

    pub(super) fn contended(workload: &Workload) -> Self {
        let text = format!("cannot restart {workload}: another client changes it at the same time");
        Self { text, reason: Reason::Waiting, is_final: false }
    }
}

/// Returns true if the API server does not know the kind. It does not answer with an object then.
pub(super) fn is_unknown_kind(status: &Status) -> bool {
    status.code == 404 && !is_missing(status)
}

/// Returns true if the API server knows the kind, and no object of the name.
pub(super) fn is_missing(status: &Status) -> bool {
    status.reason == NOT_FOUND
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_crd(404, "Failed to parse error data", Reason::ReferenceNotFound, "install its CRD", true)]
    #[case::no_right(
        403,
        "Forbidden",
        Reason::PermissionDenied,
        "get, list and patch rollouts (Helm value",
        false
    )]
    #[case::overloaded(429, "TooManyRequests", Reason::Failed, "cannot restart argo.Rollout web: ", false)]
    fn an_error_states_what_to_change(
        #[case] code: u16,
        #[case] reason: &str,
        #[case] expected: Reason,
        #[case] part: &str,
        #[case] is_final: bool,
    ) {
        let status =
            Status { code, reason: reason.to_owned(), message: "no".to_owned(), ..Status::default() };
        let error = kube::Error::Api(Box::new(status));
        let problem = Problem::of(WorkloadKind::ArgoRollout, "restart argo.Rollout web", error);
        assert_eq!((problem.reason, problem.is_final), (expected, is_final));
        assert!(problem.text.contains(part), "{}", problem.text);
    }
}
