//! Carries out the decisions of a guard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use steamer_api::OpenBaoCluster;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::Reason;

use crate::children::{ChildApi, Ending};
use crate::database::incarnations::RoleAdmin;
use crate::database::lock::{Attempt, Lock};
use crate::database::roles::{FenceNote, NodeRole};
use crate::guard::case::{Holder, Suspect};
use crate::guard::judge::Verdict;
use crate::guard::memory::Memory;
use crate::guard::target::GuardTarget;

/// Longest time for which a guard waits for the Kubernetes API: it must observe the lock in the meantime.
const API: Duration = Duration::from_secs(3);

/// Permission of a guard to act.
pub(crate) struct Fence<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) target: &'a GuardTarget,
    pub(crate) child_api: &'a ChildApi<'a>,
}

/// Result of a fence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The lock has changed since it was judged.
    Outdated,
    /// The role belongs to another cluster, such as that of a backup.
    Foreign,
}

impl Fence<'_> {
    /// Carries out a decision about the lock.
    pub(super) async fn carry_out(&self, memory: &mut Memory, verdict: Verdict, lock: Option<&Lock>) {
        match (verdict, memory.unfinished.take(), lock) {
            (_, Some(unfinished), _) => self.resume(memory, unfinished).await,
            (Verdict::Fence(suspect) | Verdict::Release(suspect), ..) => self.fence(memory, suspect).await,
            (Verdict::Free, _, Some(lock)) => self.free(lock).await,
            _ => {}
        }
    }

    /// Frees a lock without a leader. Its holder never led, so no write was acknowledged and no node needs a fence.
    async fn free(&self, lock: &Lock) {
        let cluster = &self.target.cluster;
        let patience = cluster.spec.failover.detection.get();
        match self.target.own_links.owner.free_unannounced_lock(&lock.value, patience).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(cluster = %cluster.name, age = lock.age, "an abandoned lock is freed");
                let note = format!(
                    "the leader's lock was freed: it was not renewed for {:.0} s, and its holder never led",
                    lock.age
                );
                self.publish(Reason::NoLeader, &note).await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(cluster = %cluster.name, error, "an abandoned lock is not freed yet");
            }
        }
    }

    /// Fences a lost leader. If that fails, the next round goes on with it.
    async fn fence(&self, memory: &mut Memory, suspect: Suspect) {
        let started = Instant::now();
        let (name, pod) = (&self.target.cluster.name, &suspect.pod);
        tracing::warn!(cluster = %name, pod, why = suspect.why, "leader is lost");
        match self.stop(&suspect).await {
            Ok(Outcome::Done) => {
                tracing::warn!(cluster = %name, pod, took = ?started.elapsed(), "lost leader is fenced");
                memory.fenced();
                self.context.runtime.metrics.fenced(name);
                let note = format!("{pod} was fenced: {}", suspect.why);
                tokio::join!(self.publish(Reason::Fenced, &note), self.replace(&suspect));
            }
            Ok(Outcome::Outdated) => {
                tracing::info!(cluster = %name, pod, "the lock changed in the meantime: no node is fenced");
            }
            Ok(Outcome::Foreign) => memory.disown(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(cluster = %name, pod, error, "lost leader is not fenced yet");
                memory.unfinished = Some(suspect);
            }
        }
    }

    /// Goes on with a fence whose first step succeeded.
    async fn resume(&self, memory: &mut Memory, suspect: Suspect) {
        match self.begun(&suspect).await {
            Ok(true) => self.fence(memory, suspect).await,
            // The next round judges again.
            Ok(false) => {}
            Err(error) => {
                let (cluster, error) = (&self.target.cluster.name, &error as &dyn std::error::Error);
                tracing::debug!(%cluster, error, "cannot read the role of a lost leader");
                memory.unfinished = Some(suspect);
            }
        }
    }

    /// Returns true if the role of a suspect can no longer log in.
    async fn begun(&self, suspect: &Suspect) -> Result<bool, Error> {
        let (Holder::Node { role, .. }, Some(role_admin)) = (&suspect.holder, self.role_admin()) else {
            return Ok(false);
        };
        Ok(self.role(&role_admin, role).await?.is_some_and(|role| !role.can_login))
    }

    /// Publishes an Event of the cluster. A lost Event is acceptable: the status contains the same information.
    async fn publish(&self, reason: Reason, note: &str) {
        if let Some(cluster) = self.context.stores.of::<OpenBaoCluster>().get(&self.target.cluster.name) {
            let published = self.context.urgent.events.warn(&*cluster, reason, note);
            let _ = tokio::time::timeout(API, published).await;
        }
    }

    fn role_admin(&self) -> Option<RoleAdmin<'_>> {
        self.target.own_links.role_admin(&self.target.mark)
    }

    /// Stops the writes of a lost leader, and deletes its lock.
    async fn stop(&self, suspect: &Suspect) -> Result<Outcome, Error> {
        match (&suspect.holder, self.role_admin()) {
            (Holder::Node { role, .. }, Some(role_admin)) => self.shut_out(&role_admin, role, suspect).await,
            _ => self.release(&suspect.lock).await,
        }
    }

    /// Gives a fenced node a new login, and deletes its pod. The next reconcile completes what fails.
    pub(super) async fn replace(&self, suspect: &Suspect) {
        let (Holder::Node { ordinal, .. }, Some(role_admin)) = (&suspect.holder, self.role_admin()) else {
            return;
        };
        let replaced = async {
            self.renew(&role_admin, *ordinal).await?;
            self.end_pod(suspect).await
        };
        let replaced = tokio::time::timeout(API, replaced).await;
        let late = || Error::Waiting(format!("it takes longer than {} s", API.as_secs()));
        if let Err(error) = replaced.unwrap_or_else(|_| Err(late())) {
            let (cluster, pod, error) =
                (&self.target.cluster.name, &suspect.pod, &error as &dyn std::error::Error);
            tracing::warn!(%cluster, pod, error, "a fenced node is not replaced yet; the next reconcile does it");
        }
    }

    /// Disables the login of the node, ends its sessions, and deletes its lock.
    async fn shut_out(
        &self,
        role_admin: &RoleAdmin<'_>,
        role: &str,
        suspect: &Suspect,
    ) -> Result<Outcome, Error> {
        let Some(found) = self.role(role_admin, role).await? else { return Ok(Outcome::Foreign) };
        if !found.can_login {
            role_admin.complete_fence(role, &suspect.lock.value).await?;
            return Ok(Outcome::Done);
        }
        role_admin.admin.check_rights(&found).await?;
        let note = FenceNote {
            since: Timestamp::now().as_second(),
            lock: suspect.lock.value.clone(),
            uid: self.pod(suspect).and_then(|pod| pod.uid()).unwrap_or_default(),
            reason: suspect.why.clone(),
        };
        let is_fenced = role_admin.fence(role, &note, &suspect.lock).await?;
        Ok(if is_fenced { Outcome::Done } else { Outcome::Outdated })
    }

    /// A role of this cluster. Read from the database: a reconcile may have changed it.
    async fn role(&self, role_admin: &RoleAdmin<'_>, name: &str) -> Result<Option<NodeRole>, Error> {
        let roles = role_admin.admin.node_roles(self.target.cluster.name(), role_admin.mark).await?;
        Ok(roles.into_iter().find(|role| role.own && role.name == name))
    }

    async fn renew(&self, role_admin: &RoleAdmin<'_>, ordinal: u32) -> Result<(), Error> {
        let _turn = self.target.lasting.logins.lock().await;
        role_admin.renew(self.child_api, &self.target.cluster, ordinal).await
    }

    /// Pod of the node now. It may be a successor that has mounted the same login.
    fn pod(&self, suspect: &Suspect) -> Option<Arc<Pod>> {
        self.child_api.nodes().into_iter().find(|pod| pod.name_any() == suspect.pod)
    }

    /// Deletes the pod of a fenced node. While the seal does not open, a process that may run keeps its unsealed state:
    /// a new one could not start.
    async fn end_pod(&self, suspect: &Suspect) -> Result<(), Error> {
        let Some(pod) = self.pod(suspect) else { return Ok(()) };
        let has_ended = suspect.has_ended && pod.uid() == suspect.uid;
        if !has_ended && !self.target.seal_opens() {
            tracing::warn!(cluster = %self.target.cluster.name, pod = suspect.pod, "the seal does not open: the pod is kept");
            return Ok(());
        }
        self.child_api.end_pod(&suspect.pod, &pod.uid().unwrap_or_default(), Ending::AtOnce).await
    }

    /// Deletes the lock of an ended process.
    async fn release(&self, lock: &Lock) -> Result<Outcome, Error> {
        match self.target.own_links.owner.hold_lock(lock, "").await? {
            Attempt::Held(row) => row.delete().await.map(|()| Outcome::Done).map_err(Error::from),
            Attempt::Changed => Ok(Outcome::Outdated),
            Attempt::Blocked(_) => Err(Error::Waiting("a session holds the row of the lock".to_owned())),
        }
    }
}
