//! The loop of a guard: observe the lock and the nodes, judge, act, report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_api::Fencing;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_openbao::{Client, Identity};
use tokio::sync::watch;

use crate::children::ChildApi;
use crate::database::DatabaseError;
use crate::database::facts::Lock;
use crate::guard::fence::Fence;
use crate::guard::judge::{Case, Memory, Suspect};
use crate::guard::target::{GuardReport, GuardTarget, GuardedLeader, guard_key};
use crate::nodes::members;
use crate::nodes::members::Answer;

/// Pause between two observations while a leader serves.
const CALM: Duration = Duration::from_secs(1);
/// Age of a lock in seconds after which its renewal is overdue.
const LATE: f64 = 5.5;
/// Pause while no node leads, or while the renewal of the lock is overdue.
const ALERT: Duration = Duration::from_millis(200);

/// Longest time after which an error can be that of one connection. A leader could renew its lock in the meantime.
const QUICK: Duration = Duration::from_secs(1);

/// Guards one cluster until shutdown.
pub(crate) async fn run(
    context: Arc<Context>,
    target: watch::Receiver<Arc<GuardTarget>>,
    report: watch::Sender<GuardReport>,
) {
    let mut memory = Memory::default();
    loop {
        let current = target.borrow().clone();
        let watcher = Watcher { context: &context, target: &current };
        let pause = watcher.round(&mut memory, &report).await;
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
    async fn round(&self, memory: &mut Memory, report: &watch::Sender<GuardReport>) -> Duration {
        let pods = self.child_api().all::<Pod>();
        let (lock, answers) = tokio::join!(self.lock(), self.ask(&pods, memory));
        let mut next = report.borrow().clone();
        self.measure(lock.as_ref());
        match &lock {
            Ok(lock) => {
                next.storage = None;
                self.react(memory, lock.as_ref(), &answers).await;
                next.fences = memory.fences;
            }
            Err(error) => {
                memory.lost_database();
                next.storage = Some(steamer_runtime::describe(error));
            }
        }
        let active = answers.iter().find(|(_, answer)| answer.is_active());
        next.leader = match active {
            Some((pod, _)) => Some(self.leader(pod, next.leader.take()).await),
            None => {
                next.leader.filter(|_| memory.leaderless_since.is_none_or(|since| since.elapsed() < CALM))
            }
        };
        self.publish(report, next);
        let is_late = lock.is_ok_and(|lock| lock.is_some_and(|lock| lock.age > LATE));
        if active.is_some() && !is_late { CALM } else { ALERT }
    }

    /// The lock. The loss of one connection is not an outage of the database: a new one decides.
    async fn lock(&self) -> Result<Option<Lock>, DatabaseError> {
        confirmed(QUICK, || self.target.own_links.owner.lock()).await
    }

    fn measure(&self, lock: Result<&Option<Lock>, &DatabaseError>) {
        let age = lock.ok().and_then(|lock| lock.as_ref()).map(|lock| lock.age);
        self.context.runtime.metrics.lock_age(&self.target.cluster.name, age);
    }

    /// Fences a lost leader, or frees an abandoned lock.
    async fn react(&self, memory: &mut Memory, lock: Option<&Lock>, answers: &[(Arc<Pod>, Answer)]) {
        let cluster = &self.target.cluster.name;
        if let Some(took) = memory.learn(Instant::now(), lock, answers) {
            tracing::info!(%cluster, pod = memory.leader, ?took, "another node leads after a fence");
        }
        let child_api = self.child_api();
        let fence = Fence { context: self.context, target: self.target, child_api: &child_api };
        if let Some(suspect) = self.judge(memory, lock, answers) {
            fence.fence(memory, &suspect).await;
        } else if let Some(lock) = lock.filter(|lock| self.is_abandoned(memory, lock)) {
            fence.free(lock).await;
        }
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
    async fn ask(&self, pods: &[Arc<Pod>], memory: &Memory) -> Vec<(Arc<Pod>, Answer)> {
        let known = memory.leader.as_ref().and_then(|name| pods.iter().find(|pod| pod.name_any() == *name));
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

    fn judge(&self, memory: &Memory, lock: Option<&Lock>, answers: &[(Arc<Pod>, Answer)]) -> Option<Suspect> {
        let pods = self.child_api().all::<Pod>();
        if !self.knows_pods() {
            return None;
        }
        let case = Case { lock, answers, pods: &pods, now: Instant::now(), detection: self.detection() };
        memory.judge(self.target.cluster.fencing, &case)
    }

    fn is_abandoned(&self, memory: &Memory, lock: &Lock) -> bool {
        self.target.cluster.fencing != Fencing::None
            && self.knows_pods()
            && memory.is_abandoned(lock, self.detection(), Instant::now())
    }

    /// Without the right to list pods, a leader whose pod is unknown looks lost.
    fn knows_pods(&self) -> bool {
        self.context.cluster_objects.of::<Pod>().knows(&self.target.cluster.name.namespace)
    }

    fn detection(&self) -> Duration {
        self.target.cluster.spec.failover.detection.get()
    }
}

/// Repeats a query once, if it failed within `quick`.
async fn confirmed<T, E, F>(quick: Duration, query: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let asked = Instant::now();
    match query().await {
        Err(_) if asked.elapsed() < quick => query().await,
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::answer(0, Duration::MAX, Ok(()), 1)]
    #[case::lost_connection(1, Duration::MAX, Ok(()), 2)]
    #[case::outage(2, Duration::MAX, Err(()), 2)]
    #[case::no_answer_in_time(1, Duration::ZERO, Err(()), 1)]
    #[tokio::test]
    async fn one_failed_query_is_no_outage_if_a_new_connection_answers_at_once(
        #[case] failures: u64,
        #[case] quick: Duration,
        #[case] expected: Result<(), ()>,
        #[case] queries: u64,
    ) {
        let asked = AtomicU64::new(0);
        let query =
            || async { if asked.fetch_add(1, Ordering::Relaxed) < failures { Err(()) } else { Ok(()) } };
        assert_eq!(confirmed(quick, query).await, expected);
        assert_eq!(asked.load(Ordering::Relaxed), queries);
    }
}
