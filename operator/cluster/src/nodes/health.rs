//! Time for which nodes have been unhealthy: sealed, or a standby without a known leader.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use steamer_core::error::Error;
use steamer_openbao::{Client, Identity};
use steamer_runtime::Locked;

use crate::nodes::members::Member;

/// Problem of the node in one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    /// UID of the pod.
    uid: String,
    kind: ProblemKind,
}

/// Kind of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ProblemKind {
    Sealed,
    /// A standby that has not discovered the leader with this UID.
    LeaderUnknown(String),
}

/// Start times of the present problems.
#[derive(Default)]
pub(crate) struct Unhealthy(HashMap<Problem, Instant>);

impl Unhealthy {
    /// Records the present problems. Returns how long each pod has had its problem.
    fn learn(&mut self, problems: Vec<Problem>, now: Instant) -> HashMap<String, Duration> {
        let known = std::mem::take(&mut self.0);
        let since = |problem: &Problem| *known.get(problem).unwrap_or(&now);
        self.0 = problems.into_iter().map(|problem| (problem.clone(), since(&problem))).collect();
        let lasting =
            |(problem, since): (&Problem, &Instant)| (problem.uid.clone(), now.duration_since(*since));
        self.0.iter().map(lasting).collect()
    }
}

/// Observes which nodes are unhealthy, and for how long.
///
/// A standby of 2.7 caches the absence of the leader's address: if it reads the address between the creation of the
/// leader's lock and that of the address, it does not discover this leader.
pub(crate) async fn observe(
    members: &mut [Member],
    unhealthy: &Locked<Unhealthy>,
    client: impl Fn(&str) -> Result<Client, Error>,
) {
    let sealed = members.iter().filter(|member| member.answer.is_sealed());
    let mut problems: Vec<Problem> =
        sealed.map(|member| Problem { uid: member.uid(), kind: ProblemKind::Sealed }).collect();
    if let Some(leader) = members.iter().find(|member| member.answer.is_active()) {
        let standbys = members.iter().filter(|member| member.answer.is_standby());
        let asked = standbys.map(|standby| {
            let client = client(&standby.name());
            async move {
                let known = client.ok()?.session(Identity::Anonymous).leader().await.ok()?;
                let kind = ProblemKind::LeaderUnknown(leader.uid());
                known.leader_address.is_empty().then(|| Problem { uid: standby.uid(), kind })
            }
        });
        problems.extend(futures::future::join_all(asked).await.into_iter().flatten());
    }
    let lasting = unhealthy.lock().learn(problems, Instant::now());
    for member in members {
        member.unhealthy_for = lasting.get(&member.uid()).copied().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        let kind = match text.split_once('>') {
            Some((_, leader)) => ProblemKind::LeaderUnknown(leader.to_owned()),
            None => ProblemKind::Sealed,
        };
        Problem { uid: text.split('>').next().unwrap().to_owned(), kind }
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
}
