//! Decides whether a leader is lost. Pure: memory, observation and time determine the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_api::Fencing;

use crate::database::facts::Lock;
use crate::nodes::members::{Answer, process};

/// Shortest time that a node without an active phase may hold the lock: a takeover takes time.
const TAKEOVER: Duration = Duration::from_secs(30);
/// Longest time for which a former leader reports itself as active after it lost the lock.
const ECHO: Duration = Duration::from_secs(5);
/// Time after which OpenBao's lock expires without a renewal.
const EXPIRY: Duration = Duration::from_secs(15);
/// Number of refused connections in a row that prove the end of a process.
const REFUSALS: u32 = 2;

/// A node that was active while it held a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) lock: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) process: Option<String>,
    pub(crate) address: Option<String>,
}

/// A leader to fence, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    pub(crate) holder: Holder,
    pub(crate) why: String,
    /// Kubernetes reports that its process ended.
    pub(crate) ended: bool,
}

/// State that is kept between observations.
#[derive(Default)]
pub(crate) struct Memory {
    /// Pod that was active last.
    pub(crate) leader: Option<String>,
    pub(crate) fences: u32,
    /// Time since when no node is active.
    pub(crate) leaderless_since: Option<Instant>,
    holder: Option<Holder>,
    /// A lock with an unknown holder, and the time since when it exists.
    unknown: Option<(String, Instant)>,
    refusals: u32,
    /// Time of the last fence, until a node becomes active.
    fenced: Option<Instant>,
    /// Duration of the last takeover.
    takeover: Duration,
    /// The database did not answer the last time.
    outage: bool,
    /// End of the last outage of the database. No leader could renew its lock before.
    back_since: Option<Instant>,
}

/// One observation.
pub(crate) struct Case<'a> {
    pub(crate) lock: Option<&'a Lock>,
    pub(crate) answers: &'a [(Arc<Pod>, Answer)],
    pub(crate) pods: &'a [Arc<Pod>],
    pub(crate) now: Instant,
    pub(crate) detection: Duration,
}

impl Suspect {
    /// Number of the node in the StatefulSet.
    pub(crate) fn ordinal(&self) -> u32 {
        self.holder.pod.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok()).unwrap_or(0)
    }
}

impl Memory {
    /// Records that the database does not answer.
    pub(crate) fn lost_database(&mut self) {
        self.outage = true;
    }

    /// Time for which a lock has not been renewed although the database answered. A leader that gave up during an outage
    /// cannot delete its lock: the lock expires first, and another node takes it.
    fn lateness(&self, lock: &Lock, now: Instant) -> f64 {
        let back = self.back_since.map(|since| now.duration_since(since).as_secs_f64());
        match back.filter(|back| lock.age > *back) {
            Some(back) => (back - EXPIRY.as_secs_f64()).max(0.0),
            None => lock.age,
        }
    }

    /// Records one observation. Returns the duration of a takeover that just ended.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        lock: Option<&Lock>,
        answers: &[(Arc<Pod>, Answer)],
    ) -> Option<Duration> {
        if std::mem::take(&mut self.outage) {
            self.back_since = Some(now);
        }
        let waited = self.fenced.is_some();
        let active = answers.iter().find(|(_, answer)| answer.is_active()).map(|(pod, _)| pod);
        match (active, lock) {
            (Some(pod), Some(lock)) => self.led(now, pod, lock),
            (Some(pod), None) => self.leader = Some(pod.name_any()),
            (None, _) => drop(self.leaderless_since.get_or_insert(now)),
        }
        let known = |lock: &Lock| self.holder.as_ref().is_some_and(|holder| holder.lock == lock.value);
        self.unknown = lock.filter(|lock| !known(lock)).map(|lock| match self.unknown.take() {
            Some((value, since)) if value == lock.value => (value, since),
            _ => (lock.value.clone(), now),
        });
        let refused = |(pod, answer): &(Arc<Pod>, Answer)| {
            self.holder.as_ref().is_some_and(|holder| Some(&holder.uid) == pod.uid().as_ref())
                && *answer == Answer::Refused
        };
        self.refusals = if answers.iter().any(refused) { self.refusals + 1 } else { 0 };
        (waited && self.fenced.is_none()).then_some(self.takeover)
    }

    fn led(&mut self, now: Instant, pod: &Pod, lock: &Lock) {
        self.leader = Some(pod.name_any());
        let uid = pod.uid().unwrap_or_default();
        let echo = self.holder.as_ref().is_some_and(|holder| holder.uid == uid && holder.lock != lock.value)
            && self.unknown.as_ref().is_none_or(|(_, since)| now.duration_since(*since) < ECHO);
        if echo {
            return;
        }
        if let Some(since) = self.fenced.take() {
            self.takeover = now.duration_since(since);
        }
        self.leaderless_since = None;
        self.holder = Some(Holder {
            lock: lock.value.clone(),
            pod: pod.name_any(),
            uid,
            process: process(pod).map(str::to_owned),
            address: pod.status.as_ref().and_then(|status| status.pod_ip.clone()),
        });
    }

    /// Records a fence. No second fence follows until some node has been active.
    pub(crate) fn fenced(&mut self, now: Instant, suspect: &Suspect) {
        self.fences += 1;
        self.fenced = Some(now);
        if self.holder.as_ref().is_some_and(|holder| holder.lock == suspect.holder.lock) {
            self.holder = None;
        }
        self.unknown = None;
        self.leader = None;
    }

    /// The leader to fence, if it is lost and this kind of fencing permits a replacement.
    pub(crate) fn judge(&self, fencing: Fencing, case: &Case<'_>) -> Option<Suspect> {
        match fencing {
            Fencing::None => None,
            Fencing::ProcessEnd => self.ended(case),
            Fencing::Database => self.suspect(case),
        }
    }

    /// The leader, if it is lost as far as an observer can tell. Used when database fencing is available.
    fn suspect(&self, case: &Case<'_>) -> Option<Suspect> {
        if self.fenced.is_some_and(|since| case.now.duration_since(since) < self.patience()) {
            return None;
        }
        let lock = case.lock?;
        let Some(holder) = self.holder.as_ref().filter(|holder| holder.lock == lock.value) else {
            return self.never_active(case);
        };
        let found = |why: String| Some(Suspect { holder: holder.clone(), why, ended: false });
        let Some(pod) = case.pods.iter().find(|pod| pod.uid().as_ref() == Some(&holder.uid)) else {
            return found("its pod is gone".to_owned());
        };
        if let Some(suspect) = self.ended(case) {
            return Some(suspect);
        }
        let ending = pod.metadata.deletion_timestamp.is_some();
        if self.refusals >= REFUSALS && !ending {
            return found("nothing listens at its address: its process ended".to_owned());
        }
        found(overdue(holder, self.lateness(lock, case.now), case)?)
    }

    /// The leader, if Kubernetes reports that its process ended.
    fn ended(&self, case: &Case<'_>) -> Option<Suspect> {
        let lock = case.lock?;
        let holder = self.holder.as_ref().filter(|holder| holder.lock == lock.value)?;
        let pod = case.pods.iter().find(|pod| pod.uid().as_ref() == Some(&holder.uid))?;
        let known = holder.process.as_deref()?;
        (process(pod) != Some(known)).then(|| Suspect {
            holder: holder.clone(),
            why: "its process ended".to_owned(),
            ended: true,
        })
    }

    /// Returns true if a lock is abandoned: no node leads, and the lock was not renewed since it was acquired. A leader
    /// renews from the start, but a 2.7 node that starts to follow another leader while it acquires the lock forgets
    /// the lock.
    pub(crate) fn is_abandoned(&self, lock: &Lock, detection: Duration, now: Instant) -> bool {
        let known = self.holder.as_ref().is_some_and(|holder| holder.lock == lock.value);
        self.leaderless_since.is_some() && !known && self.lateness(lock, now) >= detection.as_secs_f64()
    }

    /// Any standby, if the lock is held while every node answers and none leads. A node that does not answer may lead
    /// unseen.
    fn never_active(&self, case: &Case<'_>) -> Option<Suspect> {
        let (lock, since) = self.unknown.as_ref()?;
        let leaderless = self.leaderless_since.is_some();
        if !leaderless || case.now.duration_since(*since) < self.patience() {
            return None;
        }
        let heard = case.answers.iter().all(|(_, answer)| matches!(answer, Answer::Health(_)));
        let (pod, _) = case.answers.iter().find(|(_, answer)| heard && answer.is_standby())?;
        Some(Suspect {
            holder: Holder {
                lock: lock.clone(),
                pod: pod.name_any(),
                uid: pod.uid().unwrap_or_default(),
                process: None,
                address: None,
            },
            why: format!("the lock is held and no node leads for {:.0?}", case.now.duration_since(*since)),
            ended: false,
        })
    }

    /// Time that a takeover may need.
    fn patience(&self) -> Duration {
        TAKEOVER.max(self.takeover * 3)
    }
}

/// Text about a lock that has not been renewed for `late` seconds, if that is overdue.
fn overdue(holder: &Holder, late: f64, case: &Case<'_>) -> Option<String> {
    let answer = case.answers.iter().find(|(pod, _)| pod.uid().as_ref() == Some(&holder.uid));
    let is_active = answer.is_some_and(|(_, answer)| answer.is_active());
    // A leader that serves and is only late in renewing gets a little more time.
    let bound = if is_active { case.detection.mul_f64(1.25) } else { case.detection };
    let answers = if is_active { "answers" } else { "does not answer" };
    let text = format!("it {answers} and has not renewed its lock for {late:.0} s");
    (late >= bound.as_secs_f64()).then_some(text)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;
    use steamer_openbao::Health;

    use super::*;

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

    fn lock(value: &str, age: f64) -> Lock {
        Lock { value: value.to_owned(), age }
    }

    /// Node 0 led with lock `a`. Then `answer` and `lock` are observed, with node 0 in state `node`.
    fn after(seconds: u64, last: Option<Lock>, answer: Answer, node: &Arc<Pod>) -> Option<String> {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.learn(start, Some(&lock("a", 1.0)), &[(pod("main-0", "p1"), health(false))]);
        let now = start + Duration::from_secs(seconds);
        let answers = [(node.clone(), answer), (pod("main-1", "q1"), health(true))];
        let pods = [node.clone(), pod("main-1", "q1")];
        memory.learn(now, last.as_ref(), &answers);
        memory.learn(now, last.as_ref(), &answers);
        let detection = Duration::from_secs(6);
        let case = Case { lock: last.as_ref(), answers: &answers, pods: &pods, now, detection };
        memory.suspect(&case).map(|suspect| format!("{}: {}", suspect.holder.pod, suspect.why))
    }

    #[test]
    fn a_leader_that_serves_and_renews_is_not_suspected() {
        assert_eq!(after(1, Some(lock("a", 4.0)), health(false), &pod("main-0", "p1")), None);
        assert_eq!(after(1, Some(lock("a", 7.0)), health(false), &pod("main-0", "p1")), None);
    }

    #[test]
    fn a_silent_leader_is_not_suspected_while_its_lock_is_renewed() {
        assert_eq!(after(4, Some(lock("a", 5.0)), Answer::Silent, &pod("main-0", "p1")), None);
        let lost = after(8, Some(lock("a", 6.5)), Answer::Silent, &pod("main-0", "p1"));
        assert_eq!(lost.unwrap(), "main-0: it does not answer and has not renewed its lock for 6 s");
    }

    #[test]
    fn a_leader_cut_off_from_its_database_is_lost_though_it_answers() {
        assert!(after(9, Some(lock("a", 9.5)), health(false), &pod("main-0", "p1")).is_some());
    }

    #[test]
    fn an_outage_of_the_database_does_not_count_against_the_leader() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let node = pod("main-0", "p1");
        let (mut memory, detection) = (Memory::default(), Duration::from_secs(6));
        memory.learn(start, Some(&lock("a", 1.0)), &[(node.clone(), health(false))]);
        memory.lost_database();
        let mut suspected = |seconds, age, answer| {
            let (held, answers) = (lock("a", age), [(node.clone(), answer)]);
            memory.learn(at(seconds), Some(&held), &answers);
            let (pods, now) = ([node.clone()], at(seconds));
            let case = Case { lock: Some(&held), answers: &answers, pods: &pods, now, detection };
            let abandoned = memory.is_abandoned(&lock("b", age), detection, now);
            (memory.suspect(&case).is_some(), abandoned)
        };
        assert_eq!(suspected(60, 60.0, health(false)), (false, false), "it had no time to renew");
        assert_eq!(suspected(80, 80.0, health(true)), (false, false), "its lock expires first");
        let lost = suspected(82, 82.0, health(true));
        assert_eq!(lost, (true, true), "it does not renew although the database is back");
        assert_eq!(suspected(90, 5.0, health(true)), (false, false), "it has renewed");
        assert_eq!(suspected(92, 7.0, health(true)), (true, true), "the outage is over");
    }

    #[test]
    fn an_ended_process_and_a_deleted_pod_are_detected_immediately() {
        let refused = after(1, Some(lock("a", 1.0)), Answer::Refused, &pod("main-0", "p1"));
        assert!(refused.unwrap().contains("nothing listens"));
        let restarted = after(1, Some(lock("a", 1.0)), Answer::Silent, &pod("main-0", "p2"));
        assert!(restarted.unwrap().contains("its process ended"));
        let gone = after(1, Some(lock("a", 1.0)), Answer::Silent, &pod("main-2", "p1"));
        assert!(gone.unwrap().contains("its pod is gone"));
    }

    #[test]
    fn a_terminating_node_is_not_suspected() {
        let mut ending = (*pod("main-0", "p1")).clone();
        ending.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(after(1, Some(lock("a", 1.0)), Answer::Refused, &Arc::new(ending)), None);
    }

    #[test]
    fn a_missing_lock_or_a_lock_of_another_holder_suspects_no_node() {
        assert_eq!(after(20, None, Answer::Refused, &pod("main-0", "p1")), None);
        assert_eq!(after(1, Some(lock("b", 1.0)), Answer::Refused, &pod("main-0", "p1")), None);
    }

    #[test]
    fn a_lock_without_a_leader_is_fenced_after_the_time_of_a_takeover() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let node = pod("main-1", "q1");
        let answers = [(node.clone(), health(true))];
        let held = lock("c", 1.0);
        memory.learn(start, Some(&held), &answers);
        let mut later = |seconds| {
            let now = start + Duration::from_secs(seconds);
            memory.learn(now, Some(&held), &answers);
            let pods = [node.clone()];
            let detection = Duration::from_secs(6);
            memory.suspect(&Case { lock: Some(&held), answers: &answers, pods: &pods, now, detection })
        };
        assert_eq!(later(29), None);
        assert_eq!(later(31).unwrap().holder.pod, "main-1");
    }

    #[test]
    fn a_lock_without_renewal_and_leader_is_abandoned() {
        let detection = Duration::from_secs(6);
        let mut memory = Memory::default();
        let leads = [(pod("main-0", "p1"), health(false))];
        memory.learn(Instant::now(), Some(&lock("a", 1.0)), &leads);
        assert!(
            !memory.is_abandoned(&lock("a", 20.0), detection, Instant::now()),
            "its holder is known and is judged separately"
        );
        assert!(!memory.is_abandoned(&lock("b", 20.0), detection, Instant::now()), "a node leads");
        memory.learn(Instant::now(), Some(&lock("b", 1.0)), &[(pod("main-0", "p1"), health(true))]);
        assert!(!memory.is_abandoned(&lock("b", 5.0), detection, Instant::now()), "it may still be renewed");
        assert!(memory.is_abandoned(&lock("b", 6.0), detection, Instant::now()));
    }

    #[test]
    fn a_node_without_an_answer_is_not_suspected_of_a_renewed_lock() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let (node, other) = (pod("main-0", "p1"), pod("main-1", "q1"));
        let answers = [(node.clone(), Answer::Silent), (other.clone(), health(true))];
        let held = lock("c", 1.0);
        memory.learn(start, Some(&held), &answers);
        let now = start + Duration::from_secs(300);
        memory.learn(now, Some(&held), &answers);
        let detection = Duration::from_secs(6);
        let pods = [node, other];
        let case = Case { lock: Some(&held), answers: &answers, pods: &pods, now, detection };
        assert_eq!(memory.suspect(&case), None);
    }

    #[test]
    fn no_second_fence_follows_until_a_node_was_active() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let node = pod("main-0", "p1");
        memory.learn(start, Some(&lock("a", 1.0)), &[(node.clone(), health(false))]);
        let holder = memory.holder.clone().unwrap();
        memory.fenced(Instant::now(), &Suspect { holder, why: String::new(), ended: false });
        let answers = [(node.clone(), Answer::Silent)];
        let pods = [node];
        let (held, detection) = (lock("b", 9.0), Duration::from_secs(6));
        memory.learn(start, Some(&held), &answers);
        let now = Instant::now() + Duration::from_secs(10);
        assert_eq!(
            memory.suspect(&Case { lock: Some(&held), answers: &answers, pods: &pods, now, detection }),
            None
        );
    }

    #[test]
    fn a_former_leader_that_still_reports_active_does_not_get_the_lock_of_another() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let old = [(pod("main-0", "p1"), health(false))];
        memory.learn(start, Some(&lock("a", 1.0)), &old);
        memory.learn(start + Duration::from_secs(1), Some(&lock("b", 0.5)), &old);
        assert_eq!(memory.holder.as_ref().unwrap().lock, "a");
        memory.learn(
            start + Duration::from_secs(2),
            Some(&lock("b", 1.5)),
            &[(pod("main-1", "q1"), health(false))],
        );
        assert_eq!(memory.holder.as_ref().unwrap().pod, "main-1");
    }
}
