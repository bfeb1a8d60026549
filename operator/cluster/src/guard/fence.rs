//! Fencing of a lost leader, and release of an abandoned lock.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use steamer_api::{Fencing, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::Reason;

use crate::children::{ChildApi, Ending};
use crate::database::facts::Lock;
use crate::database::incarnations::RoleAdmin;
use crate::database::roles::{FenceNote, NodeRole, parse_role};
use crate::guard::judge::{Memory, Suspect};
use crate::guard::target::GuardTarget;

/// Permission of a guard to act.
pub(crate) struct Fence<'a> {
    pub(crate) context: &'a Arc<Context>,
    pub(crate) target: &'a GuardTarget,
    pub(crate) child_api: &'a ChildApi<'a>,
}

impl Fence<'_> {
    /// Frees a lock without a leader. Its holder never led, so no write was acknowledged and no node needs a fence.
    pub(super) async fn free(&self, lock: &Lock) {
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

    /// Fences a lost leader. If that fails, the next round tries again.
    pub(super) async fn fence(&self, memory: &mut Memory, suspect: &Suspect) {
        let started = Instant::now();
        let name = &self.target.cluster.name;
        tracing::warn!(cluster = %name, pod = suspect.holder.pod, why = suspect.why, "leader is lost");
        match self.replace(suspect).await {
            Ok(()) => {
                memory.fenced(Instant::now(), suspect);
                let took = started.elapsed();
                tracing::warn!(cluster = %name, pod = suspect.holder.pod, ?took, "lost leader is fenced");
                let note = format!("{} was fenced: {}", suspect.holder.pod, suspect.why);
                self.publish(Reason::Fenced, &note).await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(cluster = %name, pod = suspect.holder.pod, error, "lost leader is not fenced yet");
            }
        }
    }

    /// Publishes an Event of the cluster.
    async fn publish(&self, reason: Reason, note: &str) {
        if let Some(cluster) = self.context.stores.of::<OpenBaoCluster>().get(&self.target.cluster.name) {
            self.context.urgent.events.warn(&*cluster, reason, note).await;
        }
    }

    async fn replace(&self, suspect: &Suspect) -> Result<(), Error> {
        let ordinal = suspect.ordinal();
        let roles = self.login_roles(ordinal).await?;
        match self.target.own_links.role_admin(&self.target.mark).filter(|_| !roles.is_empty()) {
            Some(role_admin) => self.lock_out(&role_admin, &roles, suspect).await,
            None => self.release_ended(suspect).await,
        }
    }

    /// Takes the logins of the node away, gives it a new one, and deletes its pod.
    async fn lock_out(
        &self,
        role_admin: &RoleAdmin<'_>,
        roles: &[NodeRole],
        suspect: &Suspect,
    ) -> Result<(), Error> {
        let holder = &suspect.holder;
        let note = FenceNote {
            since: Timestamp::now().as_second(),
            lock: holder.lock.clone(),
            uid: holder.uid.clone(),
            reason: suspect.why.clone(),
        };
        for role in roles {
            role_admin.shut_out(&role.name, &note).await?;
        }
        let turn = self.target.logins.lock().await;
        role_admin.renew(self.child_api, &self.target.cluster, suspect.ordinal()).await?;
        drop(turn);
        self.child_api.end_pod(&holder.pod, &holder.uid, Ending::AtOnce).await
    }

    /// Releases the lock of an ended process. A node without a dedicated role cannot be fenced while its process runs.
    async fn release_ended(&self, suspect: &Suspect) -> Result<(), Error> {
        if !suspect.ended {
            return Err(Error::Waiting(
                "its node has no dedicated role, and its process may still run".to_owned(),
            ));
        }
        let owner = &self.target.own_links.owner;
        if let Some(address) = &suspect.holder.address {
            owner.end_sessions_from(address).await?;
        }
        owner.delete_lock(&suspect.holder.lock).await?;
        Ok(())
    }

    /// Every role that a node can log in as now. Read from the database: a watch cache may be stale.
    async fn login_roles(&self, ordinal: u32) -> Result<Vec<NodeRole>, Error> {
        let fences = self.target.cluster.fencing == Fencing::Database;
        let Some(admin) = self.target.own_links.admin.as_ref().filter(|_| fences) else {
            return Ok(Vec::new());
        };
        let mut roles = admin.node_roles(self.target.cluster.name(), &self.target.mark).await?;
        roles.retain(|role| {
            role.own && role.can_login && parse_role(&role.name).is_some_and(|(of, _)| of == ordinal)
        });
        Ok(roles)
    }
}
