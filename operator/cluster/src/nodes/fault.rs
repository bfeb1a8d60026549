//! Problems of nodes that only a replacement removes. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::children::Ending;
use crate::nodes::members::{Answer, Member};
use crate::waits::Waits;

/// Time after the end of the grace period in which a kubelet confirms the end of a pod.
const CONFIRMATION: Duration = Duration::from_secs(30);

/// A problem that only a replacement of the node removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// It answers reads and does not follow the leader.
    Stale,
    /// A standby that has not discovered the leader.
    LeaderUnknown,
    /// It stays sealed although the seal opens.
    Sealed,
    /// Its last start failed at the seal, which opens again.
    FailedAtSeal,
    /// Its process runs and does not listen: it waits for a database that refuses its login.
    NotListening,
    /// It answers that it cannot reach its storage, which others reach.
    NoStorage,
    /// Its process runs and does not answer.
    Silent,
    /// Its end is not confirmed: its Kubernetes node is gone.
    Unconfirmed,
}

impl Fault {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Stale => "it answers reads and does not follow the leader",
            Self::LeaderUnknown => "it has not discovered the leader and fails every request",
            Self::Sealed => "it stays sealed although its seal opens",
            Self::FailedAtSeal => "its seal opens again",
            Self::NotListening => "it does not listen, although database and seal are reachable",
            Self::NoStorage => "it does not reach its database, which is reachable",
            Self::Silent => "it does not answer",
            Self::Unconfirmed => "its Kubernetes node does not confirm its end",
        }
    }

    /// Returns true if its process may still write, or resume to write.
    pub(crate) fn may_write(self) -> bool {
        matches!(self, Self::NoStorage | Self::Silent | Self::Unconfirmed)
    }

    /// Termination of its pod. A process that waits or hangs does not end on SIGTERM.
    pub(crate) fn ending(self) -> Ending {
        match self {
            Self::Stale | Self::LeaderUnknown | Self::Sealed | Self::FailedAtSeal => Ending::Graceful,
            Self::NotListening | Self::NoStorage | Self::Silent => Ending::Prompt,
            Self::Unconfirmed => Ending::AtOnce,
        }
    }

    /// Returns true if the template of the node must be known to work: otherwise the template can be the cause.
    pub(crate) fn depends_on_template(self) -> bool {
        matches!(self, Self::NotListening | Self::NoStorage | Self::Silent)
    }
}

/// The problem of a node that only a replacement removes, if it lasts.
pub(crate) fn fault(member: &Member, waits: Waits, now: Timestamp) -> Option<Fault> {
    if member.is_ending() {
        return member.is_unconfirmed(CONFIRMATION, now).then_some(Fault::Unconfirmed);
    }
    if member.is_fenced {
        return None;
    }
    if member.is_stale {
        return Some(Fault::Stale);
    }
    if member.is_leader_unknown() {
        return Some(Fault::LeaderUnknown);
    }
    // Another reason would make the next start fail, too.
    if member.backs_off() && member.trouble().as_deref().is_some_and(names_the_seal) {
        return Some(Fault::FailedAtSeal);
    }
    let fault = answered(&member.answer)?;
    // Kubernetes must agree that the node does not serve: the operator alone may be cut off.
    let is_agreed = fault == Fault::Sealed || member.unready_for(now) > Duration::ZERO;
    (is_agreed && member.unhealthy_for > waits.problem()).then_some(fault)
}

/// The problem that the answer of a node shows.
pub(crate) fn answered(answer: &Answer) -> Option<Fault> {
    match answer {
        Answer::Refused => Some(Fault::NotListening),
        Answer::NoStorage => Some(Fault::NoStorage),
        Answer::Silent => Some(Fault::Silent),
        answer => answer.is_sealed().then_some(Fault::Sealed),
    }
}

/// Returns true if a start failed because of the seal.
pub(crate) fn names_the_seal(trouble: &str) -> bool {
    ["seal", "wrapper", "kms", "unwrap"].iter().any(|word| trouble.to_lowercase().contains(word))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Pod;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::tests::member;

    /// Changes the pod of a member.
    fn with(mut member: Member, change: impl FnOnce(&mut Value)) -> Member {
        let mut pod = json!(*member.pod);
        change(&mut pod);
        member.pod = Arc::new(serde_json::from_value::<Pod>(pod).unwrap());
        member
    }

    /// The fault of a node of a cluster with short takeovers.
    fn lasting(member: &Member, now: Timestamp) -> Option<Fault> {
        fault(member, Waits::default(), now)
    }

    fn answering(answer: Answer, seconds: u64) -> Member {
        let unhealthy_for = Duration::from_secs(seconds);
        Member { answer, unhealthy_for, ..member((0, 's')) }
    }

    #[rstest]
    #[case::silent(answering(Answer::Silent, 31), Some(Fault::Silent))]
    #[case::silent_for_a_moment(answering(Answer::Silent, 30), None)]
    #[case::no_storage(answering(Answer::NoStorage, 31), Some(Fault::NoStorage))]
    #[case::not_listening(answering(Answer::Refused, 31), Some(Fault::NotListening))]
    #[case::sealed(Member { unhealthy_for: Duration::from_secs(31), ..member((0, 'z')) }, Some(Fault::Sealed))]
    #[case::stale(Member { is_stale: true, ..member((0, 's')) }, Some(Fault::Stale))]
    #[case::leader_unknown(
        Member { unhealthy_for: Duration::from_secs(31), ..member((0, 's')) },
        Some(Fault::LeaderUnknown)
    )]
    #[case::serving(member((0, 's')), None)]
    fn a_problem_is_a_fault_once_it_lasts(#[case] member: Member, #[case] expected: Option<Fault>) {
        assert_eq!(lasting(&member, Timestamp::now()), expected);
    }

    #[rstest]
    #[case::within_two_takeovers(220, None)]
    #[case::after_two_takeovers(221, Some(Fault::Silent))]
    fn a_node_with_many_namespaces_has_more_time(#[case] seconds: u64, #[case] expected: Option<Fault>) {
        let waits = Waits::of(Duration::from_secs(110));
        assert_eq!(fault(&answering(Answer::Silent, seconds), waits, Timestamp::now()), expected);
    }

    #[test]
    fn a_node_that_only_the_operator_does_not_reach_has_no_fault() {
        let now = Timestamp::now();
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": now}]);
        let cut_off = with(answering(Answer::Silent, 600), |pod| pod["status"]["conditions"] = ready);
        assert_eq!(lasting(&cut_off, now), None);
    }

    #[rstest]
    #[case::within_the_grace_period(30, None)]
    #[case::just_after_it(-20, None)]
    #[case::long_after_it(-31, Some(Fault::Unconfirmed))]
    fn a_pod_that_does_not_end_in_time_is_unconfirmed(#[case] left: i64, #[case] expected: Option<Fault>) {
        let now = Timestamp::now();
        let end = Timestamp::from_second(now.as_second() + left).unwrap();
        let ending = with(answering(Answer::Silent, 600), |pod| {
            pod["metadata"]["deletionTimestamp"] = json!(end);
        });
        assert_eq!(lasting(&ending, now), expected);
    }

    #[test]
    fn a_start_that_failed_at_the_seal_is_repeated() {
        let waiting = |message: &str| {
            with(answering(Answer::Refused, 0), |pod| {
                pod["status"]["containerStatuses"][0]["state"] =
                    json!({"waiting": {"reason": "CrashLoopBackOff"}});
                pod["status"]["containerStatuses"][0]["lastState"] =
                    json!({"terminated": {"exitCode": 1, "message": message}});
            })
        };
        let now = Timestamp::now();
        assert_eq!(lasting(&waiting("Error configuring seal"), now), Some(Fault::FailedAtSeal));
        assert_eq!(lasting(&waiting("Error parsing listener"), now), None);
    }
}
