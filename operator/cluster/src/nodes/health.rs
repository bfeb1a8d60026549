//! Time for which nodes have had a problem, and the last repairs.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use steamer_core::error::Error;
use steamer_openbao::{Client, Identity};
use steamer_runtime::Locked;

use crate::nodes::fault::{Fault, answered};
use crate::nodes::members::{Member, process};
use crate::nodes::repairs::Repairs;
use crate::waits::Waits;

/// Problem of the process in one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    /// UID of the pod.
    uid: String,
    /// ID of the process. Another process starts over.
    process: Option<String>,
    kind: ProblemKind,
}

/// Kind of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ProblemKind {
    /// A problem that its answer shows.
    Answered(Fault),
    /// A standby that has not discovered the leader with this UID.
    LeaderUnknown(String),
}

/// Start times of the present problems, and the last repairs.
#[derive(Default)]
pub(crate) struct Unhealthy {
    since: HashMap<Problem, Instant>,
    repairs: Repairs,
}

impl Unhealthy {
    /// Records the present problems. Returns how long each pod has had its problem.
    fn learn(&mut self, problems: Vec<Problem>, now: Instant) -> HashMap<String, Duration> {
        let known = std::mem::take(&mut self.since);
        let since = |problem: &Problem| *known.get(problem).unwrap_or(&now);
        self.since = problems.into_iter().map(|problem| (problem.clone(), since(&problem))).collect();
        let lasting =
            |(problem, since): (&Problem, &Instant)| (problem.uid.clone(), now.duration_since(*since));
        self.since.iter().map(lasting).collect()
    }

    /// Records the repair of a node.
    pub(crate) fn repaired(&mut self, pod: &str, waits: Waits, now: Instant) {
        self.repairs.record(pod, waits, now);
    }

    /// Records whether a node serves. Returns true if its last repair is too recent for another one.
    fn pauses(&mut self, member: &Member, now: Instant) -> bool {
        let pod = member.name();
        self.repairs.observe(&pod, member.serves(), now);
        self.repairs.is_pausing(&pod, now)
    }
}

/// Observes which nodes have a problem, and for how long.
///
/// A standby of 2.7 caches the absence of the leader's address: if it reads the address between the creation of the
/// leader's lock and that of the address, it does not discover this leader.
pub(crate) async fn observe(
    members: &mut [Member],
    unhealthy: &Locked<Unhealthy>,
    client: impl Fn(&str) -> Result<Client, Error>,
) {
    let mut problems: Vec<Problem> =
        members.iter().filter_map(|member| problem(member, kind(member)?)).collect();
    let mut knowing = HashSet::new();
    if let Some(leader) = members.iter().find(|member| member.answer.is_active()) {
        for (standby, address) in asked(members, client).await {
            if address.is_empty() {
                problems.extend(problem(standby, ProblemKind::LeaderUnknown(leader.uid())));
            } else if is_address_of(&address, &leader.name()) {
                knowing.insert(standby.uid());
            }
        }
    }
    let (mut unhealthy, now) = (unhealthy.lock(), Instant::now());
    let lasting = unhealthy.learn(problems, now);
    for member in members {
        member.knows_leader = knowing.contains(&member.uid());
        member.unhealthy_for = lasting.get(&member.uid()).copied().unwrap_or_default();
        member.is_pausing = unhealthy.pauses(member, now);
    }
}

/// Whether an address is that of a pod. Its host name begins with the name of the pod.
fn is_address_of(address: &str, pod: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    host.split(['.', ':']).next() == Some(pod)
}

/// The standbys that answer, and the address of the leader that they know. Empty: none.
async fn asked(members: &[Member], client: impl Fn(&str) -> Result<Client, Error>) -> Vec<(&Member, String)> {
    let standbys = members.iter().filter(|member| member.answer.is_standby());
    let asked = standbys.map(|standby| {
        let client = client(&standby.name());
        async move {
            let known = client.ok()?.session(Identity::Anonymous).leader().await.ok()?;
            Some((standby, known.leader_address))
        }
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// Forgets the problems: without database and seal, a node cannot be blamed for them. A closed seal alone does not prevent
/// that a standby discovers the leader.
pub(crate) fn forget(members: &mut [Member], unhealthy: &Locked<Unhealthy>, has_database: bool) {
    let mut unhealthy = unhealthy.lock();
    unhealthy
        .since
        .retain(|problem, _| has_database && matches!(problem.kind, ProblemKind::LeaderUnknown(_)));
    for member in members {
        let uid = member.uid();
        if !unhealthy.since.keys().any(|problem| problem.uid == uid) {
            member.unhealthy_for = Duration::ZERO;
        }
    }
}

/// The problem of a node whose process runs.
fn problem(member: &Member, kind: ProblemKind) -> Option<Problem> {
    let process = process(&member.pod).map(str::to_owned);
    process.is_some().then(|| Problem { uid: member.uid(), process, kind })
}

fn kind(member: &Member) -> Option<ProblemKind> {
    answered(&member.answer).map(ProblemKind::Answered)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::member;

    fn problem(text: &str) -> Problem {
        let kind = match text.split_once('>') {
            Some((_, leader)) => ProblemKind::LeaderUnknown(leader.to_owned()),
            None => ProblemKind::Answered(Fault::Sealed),
        };
        Problem { uid: text.split('>').next().unwrap().to_owned(), process: Some("p".to_owned()), kind }
    }

    #[test]
    fn a_problem_lasts_while_it_is_the_same() {
        let (start, mut unhealthy) = (Instant::now(), Unhealthy::default());
        let mut lasting = |seconds, problems: &[&str]| {
            let problems = problems.iter().map(|text| problem(text)).collect();
            let lasting = unhealthy.learn(problems, start + Duration::from_secs(seconds));
            let mut lasting: Vec<_> =
                lasting.into_iter().map(|(uid, lasts)| format!("{uid}{}", lasts.as_secs())).collect();
            lasting.sort();
            lasting.join(" ")
        };
        assert_eq!(lasting(0, &["b>a", "c"]), "b0 c0");
        assert_eq!(lasting(4, &["b>a", "c"]), "b4 c4");
        assert_eq!(lasting(10, &["b>a"]), "b10");
        assert_eq!(lasting(12, &["b>a", "c"]), "b12 c0");
        assert_eq!(lasting(20, &["b>c"]), "b0");
        assert_eq!(lasting(21, &[]), "");
    }

    #[rstest]
    #[case::only_the_seal_is_closed(true, [0, 9])]
    #[case::database_unreachable(false, [0, 0])]
    fn a_closed_seal_does_not_hide_that_a_standby_lacks_the_leader(
        #[case] has_database: bool,
        #[case] expected: [u64; 2],
    ) {
        let mut unhealthy = Unhealthy::default();
        unhealthy.learn(vec![problem("uid-0"), problem("uid-1>uid-2")], Instant::now());
        let mut members = [member((0, 'z')), member((1, 's'))];
        for member in &mut members {
            member.unhealthy_for = Duration::from_secs(9);
        }
        forget(&mut members, &Locked::new(unhealthy), has_database);
        assert_eq!(members.map(|member| member.unhealthy_for.as_secs()), expected);
    }

    #[rstest]
    #[case::leader("https://main-2.main-internal.openbao.svc:8200", true)]
    #[case::without_a_domain("https://main-2:8200", true)]
    #[case::former_leader("https://main-1.main-internal.openbao.svc:8200", false)]
    #[case::longer_name("https://main-22.main-internal.openbao.svc:8200", false)]
    fn the_address_of_a_pod_begins_with_its_name(#[case] address: &str, #[case] expected: bool) {
        assert_eq!(is_address_of(address, "main-2"), expected);
    }

    #[test]
    fn another_process_starts_over() {
        let (start, mut unhealthy) = (Instant::now(), Unhealthy::default());
        let of = |process: &str| Problem { process: Some(process.to_owned()), ..problem("b") };
        unhealthy.learn(vec![of("p")], start);
        let later = start + Duration::from_secs(9);
        assert_eq!(unhealthy.learn(vec![of("p")], later)["b"], Duration::from_secs(9));
        assert_eq!(unhealthy.learn(vec![of("q")], later)["b"], Duration::ZERO);
    }
}
