//! Watches the leader of each cluster and replaces a lost one: faster than the lock runs out, and safer than OpenBao's own
//! fence, which is a statement apart from the write that it is to guard.

mod fence;
mod judge;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_api::Fencing;
use steamer_core::context::Context;
use steamer_openbao::{Identity, Settings};
use steamer_runtime::{Key, ObjectName};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::facts::Lock;
use crate::guard::judge::{Case, Memory, Suspect};
use crate::nodes::members;
use crate::nodes::members::{Answer, Unhealthy};

/// How often a leader that serves is looked at.
const CALM: Duration = Duration::from_secs(1);
/// A lock that was not renewed for so many seconds should have been.
const LATE: f64 = 5.5;
/// How often while none serves, or one that does not renew.
const ALERT: Duration = Duration::from_millis(200);

/// What a guard works with.
pub(crate) struct GuardTarget {
    pub(crate) cluster: Cluster,
    pub(crate) mark: String,
    pub(crate) owner: Arc<Database>,
    pub(crate) admin: Option<Arc<Database>>,
    pub(crate) server: Settings,
    /// Held by who gives a node another login: a fence and a pass over the cluster may come to it at once.
    pub(crate) logins: Arc<tokio::sync::Mutex<()>>,
    /// What was wrong with nodes when they were asked last.
    pub(crate) unhealthy: Mutex<Unhealthy>,
    /// Tells one duty from another.
    pub(crate) digest: String,
}

/// What a guard has seen last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GuardReport {
    /// Who leads: its pod and uid, and since when.
    pub(crate) leader: Option<(String, String, Timestamp)>,
    /// Why the database does not answer.
    pub(crate) storage: Option<String>,
    /// How often a leader was fenced; more wakes the cluster.
    pub(crate) fences: u32,
}

/// The guards of all clusters.
#[derive(Default)]
pub(crate) struct Guards(Mutex<HashMap<ObjectName, Guard>>);

struct Guard {
    guard_target: watch::Sender<Arc<GuardTarget>>,
    guard_report: watch::Receiver<GuardReport>,
    task: AbortHandle,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The key that a cluster waits for.
pub(crate) fn guard_of(cluster: &ObjectName) -> Key {
    Key::new("ClusterGuard", cluster.clone())
}

impl Guards {
    /// The duty that a guard has, if it is this one: its connections are used again.
    pub(crate) fn guard_target(&self, cluster: &ObjectName, digest: &str) -> Option<Arc<GuardTarget>> {
        let guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let guard_target = guards.get(cluster)?.guard_target.borrow().clone();
        (guard_target.digest == digest).then_some(guard_target)
    }

    /// What the duty before held while a node got another login, for the one that follows it.
    pub(crate) fn logins(&self, cluster: &ObjectName) -> Arc<tokio::sync::Mutex<()>> {
        let guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guards.get(cluster).map(|guard| guard.guard_target.borrow().logins.clone()).unwrap_or_default()
    }

    /// Gives a cluster's guard its duty, and says what it has seen.
    pub(crate) fn keep(&self, context: &Arc<Context>, guard_target: Arc<GuardTarget>) -> GuardReport {
        let mut guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = guard_target.cluster.name.clone();
        let guard = guards.entry(name).or_insert_with(|| {
            let (sender, receiver) = watch::channel(guard_target.clone());
            let (publisher, guard_report) = watch::channel(GuardReport::default());
            let task = tokio::spawn(watch_over(context.clone(), receiver, publisher)).abort_handle();
            Guard { guard_target: sender, guard_report, task }
        });
        guard.guard_target.send_if_modified(|held| {
            let other = held.digest != guard_target.digest;
            if other {
                *held = guard_target;
            }
            other
        });
        guard.guard_report.borrow().clone()
    }

    pub(crate) fn forget(&self, cluster: &ObjectName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}

async fn watch_over(
    context: Arc<Context>,
    guard_target: watch::Receiver<Arc<GuardTarget>>,
    guard_report: watch::Sender<GuardReport>,
) {
    let mut memory = Memory::default();
    loop {
        let current = guard_target.borrow().clone();
        let watcher = Watcher { context: &context, guard_target: &current };
        let seen = watcher.look(&mut memory, &guard_report).await;
        let pause = if seen { CALM } else { ALERT };
        tokio::select! {
            () = context.runtime.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Watcher<'a> {
    context: &'a Arc<Context>,
    guard_target: &'a Arc<GuardTarget>,
}

impl Watcher<'_> {
    fn child_api(&self) -> ChildApi<'_> {
        ChildApi {
            client: self.context.client.clone(),
            stores: &self.context.cluster_objects,
            cluster: self.guard_target.cluster.name.clone(),
        }
    }

    /// One look; whether a leader serves and renews its lock.
    async fn look(&self, memory: &mut Memory, guard_report: &watch::Sender<GuardReport>) -> bool {
        let pods = self.child_api().all::<Pod>();
        let (lock, answers) = tokio::join!(self.guard_target.owner.lock(), self.ask(&pods, memory));
        let mut next = guard_report.borrow().clone();
        let mut late = false;
        match lock {
            Ok(lock) => {
                next.storage = None;
                let age = lock.as_ref().map(|lock| lock.age);
                self.context.runtime.metrics.lock_age(&self.guard_target.cluster.name, age);
                late = lock.as_ref().is_some_and(|lock| lock.age > LATE);
                let now = Instant::now();
                if let Some(took) = memory.learn(now, lock.as_ref(), &answers) {
                    let (cluster, pod) = (&self.guard_target.cluster.name, &memory.leader);
                    tracing::info!(%cluster, pod, ?took, "another node leads after a fence");
                }
                if let Some(suspect) = self.judge(memory, lock.as_ref(), &answers) {
                    self.act(memory, &suspect).await;
                    next.fences = memory.fences;
                } else if let Some(lock) = lock.filter(|lock| self.is_abandoned(memory, lock)) {
                    self.free(&lock).await;
                }
            }
            Err(error) => {
                next.storage = Some(steamer_runtime::describe(&error));
                self.context.runtime.metrics.lock_age(&self.guard_target.cluster.name, None);
            }
        }
        let active = answers.iter().find(|(_, answer)| answer.is_active());
        next.leader = match active {
            Some((pod, _)) => Some(self.leader(pod, next.leader.take()).await),
            None => {
                next.leader.filter(|_| memory.leaderless_since.is_none_or(|since| since.elapsed() < CALM))
            }
        };
        let calm = active.is_some() && !late;
        let changed = guard_report.send_if_modified(|held| {
            let changed = *held != next;
            *held = next;
            changed
        });
        if changed {
            self.context.runtime.index.wake(&[guard_of(&self.guard_target.cluster.name)], None);
        }
        calm
    }

    /// Asks the leader; and when it does not lead, everyone.
    async fn ask(&self, pods: &[Arc<Pod>], memory: &Memory) -> Vec<(Arc<Pod>, Answer)> {
        let known = memory.leader.as_ref().and_then(|name| pods.iter().find(|pod| pod.name_any() == *name));
        let Some(pod) = known else { return self.ask_all(pods).await };
        let answer = self.ask_one(pod).await;
        if answer.is_active() {
            return vec![(pod.clone(), answer)];
        }
        // The others are asked at once, the leader's answer is kept.
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
        let client = members::client(
            &self.context.sessions,
            self.guard_target.cluster.url(&pod.name_any()),
            &self.guard_target.server,
        );
        members::asked(pod, client).await
    }

    /// Since when a node leads, by its own word; asked once.
    async fn leader(
        &self,
        pod: &Pod,
        known: Option<(String, String, Timestamp)>,
    ) -> (String, String, Timestamp) {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        if let Some(known) = known.filter(|known| known.0 == name && known.1 == uid) {
            return known;
        }
        let url = self.guard_target.cluster.url(&name);
        let said = match members::client(&self.context.sessions, url, &self.guard_target.server) {
            Ok(client) => {
                client.session(Identity::Anonymous).leader().await.ok().and_then(|said| said.since())
            }
            Err(_) => None,
        };
        (name, uid, said.unwrap_or_else(Timestamp::now))
    }

    fn judge(&self, memory: &Memory, lock: Option<&Lock>, answers: &[(Arc<Pod>, Answer)]) -> Option<Suspect> {
        let detection = self.guard_target.cluster.spec.failover.detection.get();
        let pods = self.child_api().all::<Pod>();
        let case = Case { lock, answers, pods: &pods, now: Instant::now(), detection };
        match self.guard_target.cluster.fencing {
            Fencing::None => None,
            Fencing::ProcessEnd => memory.ended(&case),
            Fencing::Database => memory.suspect(&case),
        }
    }

    fn is_abandoned(&self, memory: &Memory, lock: &Lock) -> bool {
        self.guard_target.cluster.fencing != Fencing::None
            && memory.is_abandoned(lock, self.guard_target.cluster.spec.failover.detection.get())
    }
}
