//! The loop of a guard: observe the lock and the nodes, judge, act, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::{Client, Identity};
use steamer_runtime::describe;
use tokio::sync::watch;

use crate::children::ChildApi;
use crate::database::DatabaseError;
use crate::database::lock::Lock;
use crate::database::operator_lock::{Claim, Operator, in_use};
use crate::guard::case::Case;
use crate::guard::fence::Fence;
use crate::guard::memory::Memory;
use crate::guard::target::{GuardReport, GuardTarget, GuardedLeader, guard_key};
use crate::nodes::members;
use crate::nodes::members::Answer;

/// Pause between two observations while a leader serves.
const CALM: Duration = Duration::from_secs(1);
/// Pause while no node leads, or while the renewal of the lock is overdue.
const ALERT: Duration = Duration::from_millis(200);
/// Time after which an alert is a state that lasts, and its pause.
const LASTING: Duration = Duration::from_secs(30);
const LONG_ALERT: Duration = Duration::from_secs(1);

/// Pause between two counts of the namespaces, and after one that failed.
const RECOUNT: Duration = Duration::from_secs(3600);
const RETRY: Duration = Duration::from_secs(60);

/// Longest time after which an error can be that of one connection. A leader could renew its lock in the meantime.
const QUICK: Duration = Duration::from_secs(1);

/// State of a guard between observations.
#[derive(Default)]
struct State {
    memory: Memory,
    claim: Claim,
    /// Begin of the present alert.
    alert_since: Option<Instant>,
    /// When the number of namespaces is read next. None: at once.
    next_count: Option<Instant>,
}

/// Guards one cluster until shutdown.
pub(crate) async fn run(
    context: Arc<Context>,
    target: watch::Receiver<Arc<GuardTarget>>,
    report: watch::Sender<GuardReport>,
) {
    let mut state = State::default();
    let mut digest = target.borrow().digest.clone();
    loop {
        let current = target.borrow().clone();
        if current.digest != digest {
            // Its connections are others.
            digest.clone_from(&current.digest);
            state.claim = Claim::default();
        }
        let watcher = Watcher { context: &context, target: &current };
        let pause = watcher.round(&mut state, &report).await;
        tokio::select! {
            () = context.runtime.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Watcher<'a> {
    context: &'a Arc<Context>,
    target: &'a GuardTarget,
}

impl State {
    /// Pause until the next observation. A state that lasts is observed less often: its cause recovers no faster.
    fn pause(&mut self, now: Instant, is_calm: bool) -> Duration {
        if is_calm {
            self.alert_since = None;
            return CALM;
        }
        let since = *self.alert_since.get_or_insert(now);
        if now.saturating_duration_since(since) < LASTING { ALERT } else { LONG_ALERT }
    }
}

impl Watcher<'_> {
    fn child_api(&self) -> ChildApi<'_> {
        ChildApi {
            client: self.context.urgent.client.clone(),
            stores: &self.context.cluster_objects,
            cluster: self.target.cluster.name.clone(),
            limit: &self.context.cluster_writes,
        }
    }

    /// One observation and its consequences. Returns the pause until the next one.
    async fn round(&self, state: &mut State, report: &watch::Sender<GuardReport>) -> Duration {
        let pods = self.child_api().nodes();
        let State { memory, claim, .. } = state;
        let leader = memory.known_leader();
        let (lock, answers) = tokio::join!(self.lock(claim), self.ask(&pods, leader.as_deref()));
        let mut next = report.borrow().clone();
        self.measure(lock.as_ref().ok().and_then(Option::as_ref));
        let observed = match lock {
            Ok(lock) => self.react(state, lock.as_ref(), &answers).await.map(|()| lock),
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let memory = &mut state.memory;
        next.storage = observed.as_ref().err().cloned();
        if next.storage.is_some() {
            memory.renewals.interrupt();
        }
        let lock = observed.ok().flatten();
        let case = self.case(lock.as_ref(), &answers, &pods);
        let active = memory.active(&case).cloned();
        next.fences = memory.fences;
        next.takeover = memory.takeover();
        next.leaderless_since = memory.leaderless_since;
        next.leader = match &active {
            Some(pod) => Some(self.leader(pod, next.leader.take()).await),
            None => {
                next.leader.filter(|_| memory.leaderless_since.is_none_or(|since| since.elapsed() < CALM))
            }
        };
        self.publish(report, next);
        let is_overdue = lock.is_some_and(|lock| memory.renewals.is_overdue(now, &lock));
        state.pause(now, active.is_some() && !is_overdue)
    }

    fn case<'a>(
        &self,
        lock: Option<&'a Lock>,
        answers: &'a [(Arc<Pod>, Answer)],
        pods: &'a [Arc<Pod>],
    ) -> Case<'a> {
        let detection = self.target.cluster.spec.failover.detection.get();
        let (patience, pods_are_live) =
            (self.target.lasting.takeovers.waits().failed(), self.target.pods_are_live());
        Case { lock, answers, pods, pods_are_live, now: Instant::now(), detection, patience }
    }

    /// The lock. The loss of one connection is not an outage of the database: a new one decides. The error is a text.
    async fn lock(&self, claim: &mut Claim) -> Result<Option<Lock>, String> {
        let asked = Instant::now();
        match self.read(claim).await {
            Err(_) if asked.elapsed() < QUICK => self.read(claim).await,
            answer => answer,
        }
    }

    /// The lock, if no other operator uses the database.
    async fn read(&self, claim: &mut Claim) -> Result<Option<Lock>, String> {
        let owner = &self.target.own_links.owner;
        let operator = claim.take(owner, &self.target.mark).await;
        self.target.lasting.operator_lock.set(operator.as_ref().ok().cloned().unwrap_or_default());
        match operator.map_err(|error| describe(&error))? {
            Operator::This => {}
            Operator::Other(session) => return Err(in_use(&session)),
            Operator::Unknown => return Err("another session of Steamer uses the database".to_owned()),
        }
        let lock = owner.lock().await.map_err(|error| describe(&error))?;
        if claim.holds(owner) {
            return Ok(lock);
        }
        self.target.lasting.operator_lock.set(Operator::Unknown);
        Err("the connection to PostgreSQL was lost".to_owned())
    }

    fn measure(&self, lock: Option<&Lock>) {
        self.context.runtime.metrics.lock_age(&self.target.cluster.name, lock.map(|lock| lock.age));
    }

    /// Learns from an observation, and acts on it. The error is a text.
    async fn react(
        &self,
        state: &mut State,
        lock: Option<&Lock>,
        answers: &[(Arc<Pod>, Answer)],
    ) -> Result<(), String> {
        let memory = &mut state.memory;
        if state.claim.take_gap() {
            memory.renewals.interrupt();
        }
        memory.read(Instant::now(), lock);
        self.identify(memory, lock).await.map_err(|error| describe(&error))?;
        self.estimate(&mut state.next_count).await;
        let pods = self.child_api().nodes();
        let case = self.case(lock, answers, &pods);
        if let Some(took) = memory.learn(&case) {
            tracing::info!(cluster = %self.target.cluster.name, pod = memory.leader, ?took, "another node leads");
            self.target.lasting.takeovers.measured(took);
            self.context.runtime.metrics.took_over(&self.target.cluster.name, took);
        }
        self.prove(memory, &case).await.map_err(|error| describe(&error))?;
        if self.knows_pods() {
            let case = self.case(lock, answers, &pods);
            let child_api = self.child_api();
            let fence = Fence { context: self.context, target: self.target, child_api: &child_api };
            let verdict = memory.judge(self.target.cluster.fencing, &case);
            fence.carry_out(memory, verdict, lock).await;
        }
        Ok(())
    }

    /// Reads which login holds a lock that is new.
    async fn identify(&self, memory: &mut Memory, lock: Option<&Lock>) -> Result<(), DatabaseError> {
        let Some(lock) = lock.filter(|lock| lock.is_recorded && memory.lacks_holder()) else { return Ok(()) };
        let login = self.target.own_links.owner.holder(&lock.value).await?;
        memory.identify(&self.target.cluster.name, login);
        Ok(())
    }

    /// Derives the start value of the takeover from the number of namespaces, once an hour. If this fails, the next observation must
    /// not wait for it either: it is tried again after a minute.
    async fn estimate(&self, next: &mut Option<Instant>) {
        if next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        let counted = self.target.own_links.owner.namespaces().await;
        *next = Some(Instant::now() + if counted.is_ok() { RECOUNT } else { RETRY });
        if let Ok(namespaces) = counted {
            self.target.lasting.takeovers.estimate(namespaces);
        }
    }

    /// Proves that the database accepts writes, if the lock is nearly late.
    async fn prove(&self, memory: &mut Memory, case: &Case<'_>) -> Result<(), DatabaseError> {
        let needed =
            |lock: &&Lock| lock.is_recorded && memory.renewals.needs_write(case.now, lock, case.detection);
        let Some(lock) = case.lock.filter(needed) else { return Ok(()) };
        let is_announced = self.target.own_links.owner.pulse(&lock.value).await?;
        memory.renewals.wrote(Instant::now(), is_announced);
        Ok(())
    }

    fn publish(&self, report: &watch::Sender<GuardReport>, next: GuardReport) {
        let changed = report.send_if_modified(|held| {
            let changed = *held != next;
            *held = next;
            changed
        });
        if changed {
            self.context.runtime.index.wake(&[guard_key(&self.target.cluster.name)], None);
        }
    }

    /// Asks the known leader. Asks all nodes if it does not lead.
    async fn ask(&self, pods: &[Arc<Pod>], leader: Option<&str>) -> Vec<(Arc<Pod>, Answer)> {
        let known = leader.and_then(|name| pods.iter().find(|pod| pod.name_any() == *name));
        let Some(pod) = known else { return self.ask_all(pods).await };
        let answer = self.ask_one(pod).await;
        if answer.is_active() {
            return vec![(pod.clone(), answer)];
        }
        let others: Vec<Arc<Pod>> = pods.iter().filter(|other| other.uid() != pod.uid()).cloned().collect();
        let mut answers = self.ask_all(&others).await;
        answers.push((pod.clone(), answer));
        answers
    }

    async fn ask_all(&self, pods: &[Arc<Pod>]) -> Vec<(Arc<Pod>, Answer)> {
        let asked = pods.iter().map(|pod| async move { (pod.clone(), self.ask_one(pod).await) });
        futures::future::join_all(asked).await
    }

    async fn ask_one(&self, pod: &Pod) -> Answer {
        members::ask(pod, self.client(&pod.name_any())).await
    }

    fn client(&self, pod: &str) -> Result<Client, Error> {
        self.target.own_client(&self.context.sessions, pod)
    }

    /// The leader, and the time since when it leads as the node itself reports it. Each leader is asked once.
    async fn leader(&self, pod: &Pod, known: Option<GuardedLeader>) -> GuardedLeader {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        if let Some(known) = known.filter(|known| known.pod == name && known.uid == uid) {
            return known;
        }
        let answer = match self.client(&name) {
            Ok(client) => client.session(Identity::Anonymous).leader().await.ok(),
            Err(_) => None,
        };
        let since = answer.and_then(|leader| leader.since()).unwrap_or_else(Timestamp::now);
        GuardedLeader { pod: name, uid, since }
    }

    /// Without the right to list pods, a leader whose pod is unknown looks lost.
    fn knows_pods(&self) -> bool {
        self.context.cluster_objects.of::<Pod>().knows(&self.target.cluster.name.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses at these seconds. `true`: a leader serves and renews its lock.
    fn pauses(observations: &[(u64, bool)]) -> Vec<Duration> {
        let (start, mut state) = (Instant::now(), State::default());
        let pause =
            |(second, is_calm): &(u64, bool)| state.pause(start + Duration::from_secs(*second), *is_calm);
        observations.iter().map(pause).collect()
    }

    #[test]
    fn an_alert_is_observed_every_200_ms_for_30_s_and_then_every_second() {
        let alert = [(0, false), (15, false), (29, false), (30, false), (3600, false)];
        assert_eq!(pauses(&alert), [ALERT, ALERT, ALERT, LONG_ALERT, LONG_ALERT]);
        assert_eq!((ALERT.as_millis(), LASTING.as_secs()), (200, 30));
        assert!(LONG_ALERT >= 5 * ALERT);
    }

    #[test]
    fn each_alert_begins_with_short_pauses() {
        let twice = [(0, false), (40, false), (41, true), (42, false), (43, false)];
        assert_eq!(pauses(&twice), [ALERT, LONG_ALERT, CALM, ALERT, ALERT]);
    }
}
