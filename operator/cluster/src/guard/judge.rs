//! Decides what a guard does about the lock. Pure: memory, observation and time determine the result.

use steamer_api::Fencing;

use crate::database::lock::Lock;
use crate::guard::case::{Case, Holder, Suspect};
use crate::guard::memory::{End, Memory, Term};
use crate::nodes::members::Answer;

/// Decision of a guard. The documentation of the failover contains the same table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The leader serves, or its loss is not proven.
    Wait,
    /// Disable the login of the node, and delete its lock.
    Fence(Suspect),
    /// Delete the lock of an ended process that used the login of all nodes.
    Release(Suspect),
    /// Delete a lock with which no node has led.
    Free,
}

/// Reason to replace a leader.
struct Loss {
    why: String,
    has_ended: bool,
}

impl Memory {
    /// The first rule that applies.
    pub(crate) fn judge(&self, fencing: Fencing, case: &Case<'_>) -> Verdict {
        let (Some(lock), Some(term)) = (case.lock, &self.term) else { return Verdict::Wait };
        let suspect = |loss: Loss| self.suspect(term, lock, loss);
        match (fencing, &term.holder) {
            (Fencing::None, _) => Verdict::Wait,
            _ if self.is_abandoned(term, lock, case) => Verdict::Free,
            (Fencing::Database, Holder::Node { .. }) => {
                self.loss(term, lock, case).and_then(suspect).map_or(Verdict::Wait, Verdict::Fence)
            }
            _ => reported_end(self.end(term, case)).and_then(suspect).map_or(Verdict::Wait, Verdict::Release),
        }
    }

    /// Why a node that can be fenced is lost.
    fn loss(&self, term: &Term, lock: &Lock, case: &Case<'_>) -> Option<Loss> {
        let ended = |why: &str, has_ended| Some(Loss { why: why.to_owned(), has_ended });
        let end = if self.renewals.is_left_over(lock) { None } else { self.end(term, case) };
        match end {
            Some(End::PodGone) => ended("its pod is gone", true),
            Some(End::Reported) => ended("its process ended", true),
            Some(End::Refused) if case.pods_are_live || self.renewals.is_overdue(case.now, lock) => {
                ended("nothing listens at its address: its process ended", false)
            }
            Some(End::Refused) | None => self.late(term, lock, case).or_else(|| never_leads(term, case)),
        }
    }

    /// A leader that does not renew its lock although the database accepts writes.
    fn late(&self, term: &Term, lock: &Lock, case: &Case<'_>) -> Option<Loss> {
        let (answers, bound) = match term.answer(case) {
            // A leader that serves and is only late in renewing gets a little more time.
            Some(answer) if answer.is_active() => ("answers", case.detection.mul_f64(1.25)),
            Some(answer) if answer.is_standby() => ("does not lead", case.detection),
            _ => ("does not answer", case.detection),
        };
        let late = self.renewals.lateness(case.now, lock);
        let why = format!("it {answers} and has not renewed its lock for {:.0} s", late.as_secs_f64());
        let is_late = late >= bound && self.renewals.accepts_writes(case.now);
        is_late.then_some(Loss { why, has_ended: false })
    }

    /// Returns true if a lock is not renewed and no node has led with it. A 2.7 node that starts to follow another leader
    /// while it acquires the lock forgets the lock.
    fn is_abandoned(&self, term: &Term, lock: &Lock, case: &Case<'_>) -> bool {
        let is_unannounced = match term.holder {
            Holder::Node { .. } => self.renewals.is_announced() == Some(false),
            // The statement that deletes the lock decides.
            Holder::Shared | Holder::Unknown => true,
        };
        let is_leaderless = self.leaderless_since.is_some() && !term.has_led;
        is_leaderless && is_unannounced && self.renewals.lateness(case.now, lock) >= case.detection
    }

    fn suspect(&self, term: &Term, lock: &Lock, loss: Loss) -> Option<Suspect> {
        let node = term.node.as_ref()?;
        Some(Suspect {
            lock: lock.clone(),
            holder: term.holder.clone(),
            pod: node.pod.clone(),
            uid: node.uid.clone(),
            why: loss.why,
            has_ended: loss.has_ended,
        })
    }
}

/// A node that renews the lock, answers, and does not lead for longer than a takeover needs.
fn never_leads(term: &Term, case: &Case<'_>) -> Option<Loss> {
    let held = case.now.saturating_duration_since(term.since);
    let follows = term.answer(case).is_some_and(Answer::is_standby);
    let why = format!("it holds the lock and does not lead for {} s", held.as_secs());
    (!term.has_led && follows && held >= case.patience).then_some(Loss { why, has_ended: false })
}

/// A node without a login of its own is replaced only if Kubernetes reports the end of its process.
fn reported_end(end: Option<End>) -> Option<Loss> {
    (end == Some(End::Reported)).then(|| Loss { why: "its process ended".to_owned(), has_ended: true })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;
    use steamer_openbao::Health;
    use steamer_runtime::ObjectName;

    use super::*;

    /// Nodes of a cluster, its database and a guard.
    struct World {
        start: Instant,
        memory: Memory,
        pods: Vec<Arc<Pod>>,
        answers: Vec<(Arc<Pod>, Answer)>,
        lock: Option<Lock>,
        login: Option<&'static str>,
        fencing: Fencing,
        accepts_writes: bool,
        is_announced: bool,
        pods_are_live: bool,
    }

    fn pod(name: &str, process: &str) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"name": name, "uid": format!("uid-{name}")},
            "status": {"podIP": "10.0.0.1", "containerStatuses": [{
                "name": "openbao", "containerID": process, "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {}},
            }]},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn health(standby: bool) -> Answer {
        Answer::Health(Health { initialized: true, standby, ..Health::default() })
    }

    fn held(value: &str, renewal: u64) -> Option<Lock> {
        Some(Lock { value: value.to_owned(), age: 0.0, expires: renewal.to_string(), is_recorded: true })
    }

    /// Node 0 holds lock `a` as its own role and leads; node 1 follows.
    fn world() -> World {
        let pods = vec![pod("main-0", "p1"), pod("main-1", "q1")];
        let answers = vec![(pods[0].clone(), health(false)), (pods[1].clone(), health(true))];
        World {
            start: Instant::now(),
            memory: Memory::default(),
            pods,
            answers,
            lock: held("a", 0),
            login: Some("main_0_1"),
            fencing: Fencing::Database,
            accepts_writes: true,
            is_announced: true,
            pods_are_live: true,
        }
    }

    impl World {
        fn case(&self, now: Instant) -> Case<'_> {
            let (detection, patience) = (Duration::from_secs(6), Duration::from_secs(30));
            Case {
                lock: self.lock.as_ref(),
                answers: &self.answers,
                pods: &self.pods,
                pods_are_live: self.pods_are_live,
                now,
                detection,
                patience,
            }
        }

        /// One round of a guard at this millisecond.
        fn round(&mut self, millis: u64) -> Verdict {
            let now = self.start + Duration::from_millis(millis);
            self.memory.read(now, self.lock.as_ref());
            if self.memory.lacks_holder() {
                self.memory.identify(&ObjectName::new("openbao", "main"), self.login.map(str::to_owned));
            }
            let mut memory = std::mem::take(&mut self.memory);
            let case = self.case(now);
            memory.learn(&case);
            if case.lock.is_some_and(|lock| memory.renewals.needs_write(now, lock, case.detection)) {
                if self.accepts_writes {
                    memory.renewals.wrote(now, self.is_announced);
                } else {
                    memory.renewals.interrupt();
                }
            }
            let verdict = memory.judge(self.fencing, &case);
            self.memory = memory;
            verdict
        }

        /// The first decision in `range` seconds, with five rounds a second.
        fn until(&mut self, range: std::ops::Range<u64>) -> (u64, Verdict) {
            for millis in (range.start * 1000..range.end * 1000).step_by(200) {
                let verdict = self.round(millis);
                if verdict != Verdict::Wait {
                    return (millis / 1000, verdict);
                }
            }
            (range.end, Verdict::Wait)
        }

        fn says(&mut self, range: std::ops::Range<u64>) -> String {
            match self.until(range) {
                (_, Verdict::Wait) => "wait".to_owned(),
                (_, Verdict::Free) => "free".to_owned(),
                (at, Verdict::Fence(suspect)) => format!("{at}: fence {}: {}", suspect.pod, suspect.why),
                (at, Verdict::Release(suspect)) => format!("{at}: release {}: {}", suspect.pod, suspect.why),
            }
        }

        fn answers(&mut self, node: usize, answer: Answer) {
            self.answers[node].1 = answer;
        }

        fn replace(&mut self, node: usize, pod: Arc<Pod>) {
            self.answers[node].0 = pod.clone();
            self.pods[node] = pod;
        }
    }

    /// Node 0 has led for a second. Then this happens.
    #[rstest]
    #[case::serves_and_renews(|_: &mut World| {}, "wait")]
    #[case::hangs(|w: &mut World| w.answers(0, Answer::Silent), "6: fence main-0: it does not answer and has not renewed its lock for 6 s")]
    #[case::is_cut_off_from_its_database(|_: &mut World| {}, "7: fence main-0: it answers and has not renewed its lock for 8 s")]
    #[case::the_database_accepts_no_writes(|w: &mut World| { w.answers(0, Answer::Silent); w.accepts_writes = false; }, "wait")]
    #[case::process_killed(|w: &mut World| w.answers(0, Answer::Refused), "1: fence main-0: nothing listens at its address: its process ended")]
    #[case::restarted(|w: &mut World| { w.replace(0, pod("main-0", "p2")); w.answers(0, Answer::Silent); }, "1: fence main-0: its process ended")]
    #[case::pod_deleted(|w: &mut World| { w.pods.remove(0); w.answers.remove(0); }, "1: fence main-0: its pod is gone")]
    #[case::a_standby_process_ended(|w: &mut World| { w.replace(1, pod("main-1", "q2")); w.answers(1, Answer::Refused); }, "wait")]
    #[case::a_standby_pod_is_gone(|w: &mut World| { w.pods.remove(1); w.answers.remove(1); }, "wait")]
    #[case::released(|w: &mut World| { w.lock = None; w.answers(0, Answer::Refused); }, "wait")]
    fn a_leader_is_fenced_on_evidence(#[case] happens: fn(&mut World), #[case] expected: &str) {
        let mut world = world();
        assert_eq!(world.says(0..1), "wait");
        happens(&mut world);
        let renews = expected == "wait" && world.accepts_writes;
        for second in 1..30 {
            if renews && world.lock.is_some() {
                world.lock = held("a", second / 5);
            }
            let said = world.says(second..second + 1);
            if said != "wait" {
                return assert_eq!(said, expected);
            }
        }
        assert_eq!("wait", expected);
    }

    #[rstest]
    #[case::renewed(true, "wait")]
    #[case::overdue(false, "5: fence main-0: nothing listens at its address: its process ended")]
    fn without_a_watch_of_the_pods_a_refusal_counts_only_for_an_overdue_lock(
        #[case] renews: bool,
        #[case] expected: &str,
    ) {
        let mut world = World { pods_are_live: false, ..world() };
        world.round(0);
        world.answers(0, Answer::Refused);
        let mut said = "wait".to_owned();
        for second in (1..60).take_while(|second| renews || *second < 10) {
            if renews {
                world.lock = held("a", second / 5);
            }
            if said == "wait" {
                said = world.says(second..second + 1);
            }
        }
        assert_eq!(said, expected);
    }

    #[rstest]
    #[case::process_ended("p2", Answer::Refused, "0: release main-0: its process ended")]
    #[case::nothing_listens("p1", Answer::Refused, "wait")]
    #[case::hangs("p1", Answer::Silent, "wait")]
    fn without_an_own_login_only_a_reported_end_counts(
        #[case] process: &str,
        #[case] answer: Answer,
        #[case] expected: &str,
        #[values((Some("bao"), Fencing::Database), (None, Fencing::Database), (None, Fencing::ProcessEnd))]
        by: (Option<&'static str>, Fencing),
    ) {
        let mut world = World { login: by.0, fencing: by.1, ..world() };
        world.round(0);
        world.replace(0, pod("main-0", process));
        world.answers(0, answer);
        assert_eq!(world.says(0..20), expected);
    }

    #[test]
    fn a_restarted_operator_fences_a_frozen_leader() {
        let mut world = world();
        world.answers(0, Answer::Silent);
        let why = "it does not answer and has not renewed its lock for";
        assert_eq!(world.says(0..30), format!("6: fence main-0: {why} 6 s"));
    }

    #[test]
    fn a_lock_that_expired_before_the_operator_started_fences_no_node() {
        let mut world = world();
        world.lock.as_mut().unwrap().age = 40.0;
        world.pods.clear();
        world.answers.clear();
        assert_eq!(world.says(0..14), "wait");
    }

    #[test]
    fn an_outage_of_the_database_fences_no_node() {
        let mut world = world();
        world.round(0);
        world.memory.renewals.interrupt();
        // The leader has given up and could not delete its lock, which expires.
        world.answers(0, health(true));
        assert_eq!(world.says(90..104), "wait");
        world.lock = held("b", 1);
        world.login = Some("main_1_1");
        world.answers(1, health(false));
        assert_eq!(world.says(104..109), "wait");
    }

    #[rstest]
    #[case::never_announced(false, "free")]
    #[case::announced(true, "12: fence main-1: it does not lead and has not renewed its lock for 6 s")]
    fn a_lock_with_which_no_node_led_is_freed(#[case] is_announced: bool, #[case] expected: &str) {
        let mut world = world();
        assert_eq!(world.says(0..6), "wait");
        world.answers(0, health(true));
        (world.lock, world.login, world.is_announced) = (held("b", 1), Some("main_1_1"), is_announced);
        assert_eq!(world.says(6..20), expected);
    }

    #[test]
    fn a_node_that_holds_the_lock_and_does_not_lead_is_fenced_after_the_time_of_a_takeover() {
        let mut world = world();
        world.round(0);
        world.answers(0, health(true));
        world.login = Some("main_1_1");
        for second in 1..40 {
            world.lock = held("b", second);
            let said = world.says(second..second + 1);
            if said != "wait" {
                return assert_eq!(said, "31: fence main-1: it holds the lock and does not lead for 30 s");
            }
        }
        panic!("it is not fenced");
    }

    #[test]
    fn a_silent_node_that_renews_its_lock_is_not_fenced() {
        let mut world = world();
        world.round(0);
        world.answers(0, Answer::Silent);
        for second in 1..300 {
            world.lock = held("a", second / 5);
            assert_eq!(world.says(second..second + 1), "wait");
        }
    }

    #[test]
    fn a_terminating_node_is_not_fenced_when_it_stops_listening() {
        let mut world = world();
        world.round(0);
        let mut ending = (*pod("main-0", "p1")).clone();
        ending.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        world.replace(0, Arc::new(ending));
        world.answers(0, Answer::Refused);
        assert_eq!(world.says(0..5), "wait");
    }

    #[rstest]
    #[case::recorded(Some("main_1_1"))]
    #[case::shared_login(Some("bao"))]
    fn a_former_leader_that_still_reports_active_does_not_get_the_lock_of_another(
        #[case] login: Option<&'static str>,
    ) {
        let mut world =
            World { login: login.map(|login| if login == "bao" { "bao" } else { "main_0_1" }), ..world() };
        world.round(0);
        (world.lock, world.login) = (held("b", 1), login);
        world.round(1000);
        assert!(world.memory.leaderless_since.is_some());
        let is_recorded = login == Some("main_1_1");
        assert_eq!(world.memory.known_leader().is_none(), is_recorded, "the other nodes are asked, too");
        world.answers(0, health(true));
        world.answers(1, health(false));
        world.round(2000);
        assert_eq!(world.memory.leader.as_deref(), Some("main-1"));
        assert!(world.memory.leaderless_since.is_none());
    }

    #[test]
    fn a_takeover_is_measured_from_the_lock_to_the_leader() {
        let mut world = world();
        world.round(0);
        assert_eq!(world.memory.takeover(), None, "the first leader led before");
        (world.lock, world.login) = (held("b", 1), Some("main_1_1"));
        world.answers(0, health(true));
        world.round(1000);
        assert_eq!(world.memory.takeover().unwrap().pod, "main-1");
        world.answers(1, health(false));
        let now = world.start + Duration::from_secs(46);
        world.memory.read(now, world.lock.as_ref());
        let mut memory = std::mem::take(&mut world.memory);
        assert_eq!(memory.learn(&world.case(now)), Some(Duration::from_secs(45)));
        assert_eq!(memory.learn(&world.case(now)), None, "each takeover is measured once");
    }

    #[test]
    fn a_takeover_in_which_the_node_did_not_answer_is_not_measured() {
        let mut world = world();
        world.round(0);
        (world.lock, world.login) = (held("b", 1), Some("main_1_1"));
        world.answers(0, health(true));
        world.answers(1, Answer::Silent);
        world.round(1000);
        world.answers(1, health(false));
        let now = world.start + Duration::from_secs(2);
        world.memory.read(now, world.lock.as_ref());
        let mut memory = std::mem::take(&mut world.memory);
        assert_eq!(memory.learn(&world.case(now)), None);
        assert_eq!(memory.leader.as_deref(), Some("main-1"));
    }

    proptest! {
        /// Whatever a node answers, and whatever Kubernetes reports about the other one.
        #[test]
        fn only_the_holder_of_the_lock_is_ever_fenced(
            rounds in prop::collection::vec((0_usize..2, 0_usize..5, any::<bool>()), 1..200),
        ) {
            let mut world = world();
            world.round(0);
            for (second, (node, answer, renews)) in rounds.into_iter().enumerate() {
                let second = second as u64 + 1;
                let answers =
                    [health(false), health(true), Answer::Refused, Answer::Silent, Answer::NoStorage];
                world.answers(node, answers[answer].clone());
                if renews {
                    world.lock = held("a", second);
                }
                match world.until(second..second + 1).1 {
                    Verdict::Fence(suspect) => prop_assert_eq!(suspect.pod, "main-0"),
                    verdict => prop_assert_eq!(verdict, Verdict::Wait),
                }
            }
        }
    }
}
