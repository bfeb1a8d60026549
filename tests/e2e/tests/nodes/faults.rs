//! A fault of the leader, and everything that a test expects afterwards: a short gap, a fence of the right node, one change
//! of the leader, and a condition that reports the fault.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use steamer_api::OpenBaoCluster;
use steamer_runtime::Locked;
use steamer_testing::wait::eventually;
use tokio::task::JoinHandle;

use crate::bao::{Bao, Leads};
use crate::registers::Registers;

/// Longest gap after the end of a process: twice the target. OpenBao alone needs at least 11 seconds.
pub const ENDED: Duration = Duration::from_secs(10);
/// Longest gap after a leader hangs: twice the target, which is the detection, the fence and the takeover. OpenBao alone
/// needs at least 15 seconds, and never takes over while a write of the leader is under way.
pub const HUNG: Duration = Duration::from_secs(20);

/// A condition: its type and its status.
type Seen = Arc<Locked<BTreeSet<(String, String)>>>;

/// The conditions of a cluster since a moment.
pub struct Conditions {
    seen: Seen,
    task: JoinHandle<()>,
}

impl Conditions {
    /// Records the conditions from now on.
    pub fn record(bao: &Bao) -> Self {
        let seen = Seen::default();
        let task = tokio::spawn(follow(Api::namespaced(bao.kube.clone(), &bao.namespace), seen.clone()));
        Self { seen, task }
    }

    /// Waits until a condition was seen.
    pub async fn had(&self, kind: &str, status: &str) -> Result<()> {
        let wanted = (kind.to_owned(), status.to_owned());
        eventually(&format!("{kind}={status} is reported"), || async {
            let seen = self.seen.lock();
            if seen.contains(&wanted) { Ok(()) } else { Err(seen.clone()) }
        })
        .await
    }
}

impl Drop for Conditions {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(api: Api<OpenBaoCluster>, seen: Seen) {
    let mut objects = pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
    while let Some(object) = objects.next().await {
        let conditions = object.ok().and_then(|object| object.status).map(|status| status.common.conditions);
        let conditions = conditions.into_iter().flatten();
        seen.lock().extend(conditions.map(|condition| (condition.type_, condition.status)));
    }
}

/// UIDs of the pods that the status lists as fenced.
pub fn fenced(object: &OpenBaoCluster) -> BTreeSet<String> {
    let fenced = object.status.iter().flat_map(|status| &status.fenced);
    fenced.map(|fenced| fenced.uid.clone()).collect()
}

/// Returns true in `make faults`, which repeats faults and lets them last longer.
pub fn are_requested() -> bool {
    std::env::var("STEAMER_FAILOVERS").is_ok()
}

/// Checks the longest time without an acknowledged write. Only `make faults` has the machine to itself: other runs share the
/// processor with further tests, and have three times the bound.
pub fn within(gap: Duration, bound: Duration) -> Result<()> {
    let bound = if are_requested() { bound } else { bound * 3 };
    ensure!(gap < bound, "no write was acknowledged for {gap:.1?}, and {bound:?} is the bound");
    Ok(())
}

/// A fault of the leader.
pub struct Fault<'a> {
    bao: &'a Bao,
    registers: &'a Registers,
    /// The leader before the fault.
    pub leader: Leads,
    uid: String,
    fenced: BTreeSet<String>,
    terms: usize,
    conditions: Conditions,
    since: Instant,
}

impl<'a> Fault<'a> {
    /// Records the state before the fault, which the caller causes next.
    pub async fn begin(bao: &'a Bao, registers: &'a Registers) -> Result<Self> {
        let conditions = Conditions::record(bao);
        let leader = bao.leader().await?;
        let uid = bao.uids().await?.remove(&*leader).context("the leader has no pod")?;
        let (fenced, terms) = (fenced(&bao.object().await?), bao.terms()?);
        Ok(Self { bao, registers, leader, uid, fenced, terms, conditions, since: Instant::now() })
    }

    /// Records the conditions again, after an outage of the API server: the present watch would continue only later.
    pub fn watch_again(&mut self) {
        self.conditions = Conditions::record(self.bao);
    }

    /// Waits until all writers write. Returns the longest gap since the fault.
    pub async fn gap(&self) -> Result<Duration> {
        self.registers.gap_since(self.since).await
    }

    /// Waits until another node leads and all writers write. Returns the longest gap.
    pub async fn taken_over(&self) -> Result<Duration> {
        self.bao.leads_after(&self.leader).await?;
        self.gap().await
    }

    /// Waits until a condition was reported since the fault.
    pub async fn reported(&self, kind: &str, status: &str) -> Result<()> {
        self.conditions.had(kind, status).await.with_context(|| self.bao.story())
    }

    /// UIDs of the pods that were fenced since the fault.
    pub async fn fences(&self) -> Result<BTreeSet<String>> {
        let now = fenced(&self.bao.object().await?);
        Ok(now.difference(&self.fenced).cloned().collect())
    }

    /// Waits until the leader before the fault is fenced, and checks that it alone is.
    pub async fn leader_is_fenced(&self) -> Result<()> {
        let is_fenced = |object: &OpenBaoCluster| fenced(object).contains(&self.uid);
        let object = self.bao.until("the status lists the fence of the leader", is_fenced).await?;
        self.is_only_fence(&fenced(&object).difference(&self.fenced).cloned().collect())
    }

    /// Checks that no other node than the leader is among the fenced ones.
    fn is_only_fence(&self, fences: &BTreeSet<String>) -> Result<()> {
        let is_leader = |uid: &String| *uid == self.uid;
        ensure!(
            fences.iter().all(is_leader),
            "another node than the leader {} was fenced: {fences:?}",
            self.uid
        );
        Ok(())
    }

    /// Checks the number of changes of the leader since the fault, as the database counts them.
    pub fn changed_leader(&self, expected: usize) -> Result<()> {
        let terms = self.bao.terms()? - self.terms;
        ensure!(terms == expected, "the leader changed {terms} times, and {expected} is expected");
        Ok(())
    }

    /// Checks the reaction to the fault, once the caller has ended it, and waits until the cluster is Ready.
    pub async fn reacted(self, gap: Duration, bound: Duration) -> Result<()> {
        within(gap, bound)?;
        self.leader_is_fenced().await?;
        // A request to a leader that hangs delays the status. The node can be replaced before it answers.
        if bound == ENDED {
            self.reported("Degraded", "True").await?;
        }
        self.bao.ready().await?;
        self.changed_leader(1)
    }

    /// Same as [`Self::reacted`] for a fault that can end before the leader has to be fenced.
    pub async fn recovered(self, gap: Duration, bound: Duration) -> Result<()> {
        within(gap, bound)?;
        self.reported("Degraded", "True").await?;
        self.bao.ready().await?;
        self.is_only_fence(&self.fences().await?)?;
        self.changed_leader(1)
    }

    /// Checks a fault of another node than the leader. Its process can return before the status reports it.
    pub async fn spared_the_leader(self) -> Result<()> {
        within(self.gap().await?, ENDED)?;
        let fences = self.fences().await?;
        ensure!(fences.is_empty(), "a node was fenced: {fences:?}");
        self.changed_leader(0)
    }
}

/// Pods, restarts of their containers, and fences: a fault that restarts no pod changes none of them.
#[derive(Debug)]
pub struct Pods {
    /// Name, UID, and number of restarts.
    pods: BTreeSet<(String, String, i32)>,
    fenced: BTreeSet<String>,
}

impl Pods {
    /// The present pods.
    pub async fn of(bao: &Bao) -> Result<Self> {
        let restarts = bao.restarts().await?;
        let pods = bao.uids().await?.into_iter();
        let pods = pods.map(|(pod, uid)| (restarts.get(&pod).copied().unwrap_or_default(), pod, uid));
        Ok(Self {
            pods: pods.map(|(restarts, pod, uid)| (pod, uid, restarts)).collect(),
            fenced: fenced(&bao.object().await?),
        })
    }

    /// Checks that no pod was replaced, no container restarted, and no node fenced since. The record of an earlier fence can
    /// have ended.
    pub async fn unchanged(self, bao: &Bao) -> Result<()> {
        let now = Self::of(bao).await?;
        let is_unchanged = now.pods == self.pods && now.fenced.is_subset(&self.fenced);
        ensure!(is_unchanged, "a pod was replaced, restarted or fenced: before {self:?}, now {now:?}");
        Ok(())
    }
}
