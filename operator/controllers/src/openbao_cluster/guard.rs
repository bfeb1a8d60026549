//! Watches the leader of each cluster and replaces a lost one: faster than the lock runs out, and safer than OpenBao's own
//! fence, which is a statement apart from the write that it is to guard.

mod fence;
pub(super) mod judge;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_api::Fencing;
use steamer_openbao::{Identity, Settings};
use steamer_runtime::{Key, Name};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::children::Keeper;
use super::cluster::Cluster;
use super::database::Database;
use super::database::facts::Lock;
use super::members::{self, Ailments, Answer};
use crate::context::Context;
use judge::{Case, Memory, Suspect};

/// How often a leader that serves is looked at.
const CALM: Duration = Duration::from_secs(1);
/// A lock that was not renewed for so many seconds should have been.
const LATE: f64 = 5.5;
/// How often while none serves, or one that does not renew.
const ALERT: Duration = Duration::from_millis(200);

/// What a guard works with.
pub(super) struct Duty {
    pub(super) cluster: Cluster,
    pub(super) mark: String,
    pub(super) owner: Arc<Database>,
    pub(super) admin: Option<Arc<Database>>,
    pub(super) server: Settings,
    /// Held by who gives a node another login: a fence and a pass over the cluster may come to it at once.
    pub(super) logins: Arc<tokio::sync::Mutex<()>>,
    /// What was wrong with nodes when they were asked last.
    pub(super) ailments: Mutex<Ailments>,
    /// Tells one duty from another.
    pub(super) digest: String,
}

/// What a guard has seen last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sight {
    /// Who leads: its pod and uid, and since when.
    pub(crate) leader: Option<(String, String, Timestamp)>,
    /// Why the database does not answer.
    pub(crate) storage: Option<String>,
    /// How often a leader was fenced; more wakes the cluster.
    pub(crate) fences: u32,
}

/// The guards of all clusters.
#[derive(Default)]
pub(crate) struct Guards(Mutex<HashMap<Name, Guard>>);

struct Guard {
    duty: watch::Sender<Arc<Duty>>,
    sight: watch::Receiver<Sight>,
    task: AbortHandle,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The key that a cluster waits for.
pub(super) fn guard_of(cluster: &Name) -> Key {
    Key::new("ClusterGuard", cluster.clone())
}

impl Guards {
    /// The duty that a guard has, if it is this one: its connections are used again.
    pub(super) fn duty(&self, cluster: &Name, digest: &str) -> Option<Arc<Duty>> {
        let guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let duty = guards.get(cluster)?.duty.borrow().clone();
        (duty.digest == digest).then_some(duty)
    }

    /// What the duty before held while a node got another login, for the one that follows it.
    pub(super) fn logins(&self, cluster: &Name) -> Arc<tokio::sync::Mutex<()>> {
        let guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guards.get(cluster).map(|guard| guard.duty.borrow().logins.clone()).unwrap_or_default()
    }

    /// Gives a cluster's guard its duty, and says what it has seen.
    pub(super) fn keep(&self, context: &Arc<Context>, duty: Arc<Duty>) -> Sight {
        let mut guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = duty.cluster.name.clone();
        let guard = guards.entry(name).or_insert_with(|| {
            let (sender, receiver) = watch::channel(duty.clone());
            let (publisher, sight) = watch::channel(Sight::default());
            let task = tokio::spawn(watch_over(context.clone(), receiver, publisher)).abort_handle();
            Guard { duty: sender, sight, task }
        });
        guard.duty.send_if_modified(|held| {
            let other = held.digest != duty.digest;
            if other {
                *held = duty;
            }
            other
        });
        guard.sight.borrow().clone()
    }

    pub(super) fn forget(&self, cluster: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}

async fn watch_over(context: Arc<Context>, duty: watch::Receiver<Arc<Duty>>, sight: watch::Sender<Sight>) {
    let mut memory = Memory::default();
    loop {
        let current = duty.borrow().clone();
        let watcher = Watcher { context: &context, duty: &current };
        let seen = watcher.look(&mut memory, &sight).await;
        let pause = if seen { CALM } else { ALERT };
        tokio::select! {
            () = context.runtime.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Watcher<'a> {
    context: &'a Arc<Context>,
    duty: &'a Arc<Duty>,
}

impl Watcher<'_> {
    fn keeper(&self) -> Keeper<'_> {
        Keeper {
            client: self.context.client.clone(),
            stores: &self.context.stores,
            cluster: self.duty.cluster.name.clone(),
        }
    }

    /// One look; whether a leader serves and renews its lock.
    async fn look(&self, memory: &mut Memory, sight: &watch::Sender<Sight>) -> bool {
        let pods = self.keeper().all::<Pod>();
        let (lock, answers) = tokio::join!(self.duty.owner.lock(), self.ask(&pods, memory));
        let mut next = sight.borrow().clone();
        let mut late = false;
        match lock {
            Ok(lock) => {
                next.storage = None;
                let age = lock.as_ref().map(|lock| lock.age);
                self.context.runtime.metrics.lock_age(&self.duty.cluster.name, age);
                late = lock.as_ref().is_some_and(|lock| lock.age > LATE);
                let now = Instant::now();
                if let Some(took) = memory.learn(now, lock.as_ref(), &answers) {
                    let (cluster, pod) = (&self.duty.cluster.name, &memory.leader);
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
                self.context.runtime.metrics.lock_age(&self.duty.cluster.name, None);
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
        let changed = sight.send_if_modified(|held| {
            let changed = *held != next;
            *held = next;
            changed
        });
        if changed {
            self.context.runtime.index.wake(&[guard_of(&self.duty.cluster.name)], None);
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
            self.duty.cluster.url(&pod.name_any()),
            &self.duty.server,
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
        let url = self.duty.cluster.url(&name);
        let said = match members::client(&self.context.sessions, url, &self.duty.server) {
            Ok(client) => {
                client.session(Identity::Anonymous).leader().await.ok().and_then(|said| said.since())
            }
            Err(_) => None,
        };
        (name, uid, said.unwrap_or_else(Timestamp::now))
    }

    fn judge(&self, memory: &Memory, lock: Option<&Lock>, answers: &[(Arc<Pod>, Answer)]) -> Option<Suspect> {
        let detection = self.duty.cluster.spec.failover.detection.get();
        let pods = self.keeper().all::<Pod>();
        let case = Case { lock, answers, pods: &pods, now: Instant::now(), detection };
        match self.duty.cluster.fencing {
            Fencing::None => None,
            Fencing::ProcessEnd => memory.ended(&case),
            Fencing::Database => memory.suspect(&case),
        }
    }

    fn is_abandoned(&self, memory: &Memory, lock: &Lock) -> bool {
        self.duty.cluster.fencing != Fencing::None
            && memory.is_abandoned(lock, self.duty.cluster.spec.failover.detection.get())
    }
}
