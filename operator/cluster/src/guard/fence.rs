//! What a guard does about a leader that is lost, and about a lock that nobody leads with.

use std::time::Instant;

use jiff::Timestamp;
use steamer_api::Fencing;
use steamer_core::error::Error;
use steamer_runtime::Reason;

use crate::children::Ending;
use crate::database::facts::Lock;
use crate::database::incarnations::RoleAdmin;
use crate::database::roles::{FenceNote, NodeRole, parse_role};
use crate::guard::Watcher;
use crate::guard::judge::{Holder, Memory, Suspect};

impl Watcher<'_> {
    /// Frees a lock that nobody leads with: no write can have been acknowledged under it, so there is nobody to fence.
    pub(crate) async fn free(&self, lock: &Lock) {
        let (name, patience) =
            (&self.guard_target.cluster.name, self.guard_target.cluster.spec.failover.detection.get());
        match self.guard_target.owner.free_unannounced_lock(&lock.value, patience).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(cluster = %name, age = lock.age, "an abandoned lock is freed");
                let note = format!(
                    "the leader's lock was freed: nobody has renewed it for {:.0} s, and who took it never led",
                    lock.age
                );
                self.tell(Reason::NoLeader, &note).await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(cluster = %name, error, "an abandoned lock is not freed yet");
            }
        }
    }

    pub(crate) async fn act(&self, memory: &mut Memory, suspect: &Suspect) {
        let started = Instant::now();
        let name = &self.guard_target.cluster.name;
        tracing::warn!(cluster = %name, pod = suspect.holder.pod, why = suspect.why, "leader is lost");
        match self.replace(suspect).await {
            Ok(()) => {
                memory.fenced(suspect);
                let took = started.elapsed();
                tracing::warn!(cluster = %name, pod = suspect.holder.pod, ?took, "lost leader is fenced");
                let note = format!("{} was fenced: {}", suspect.holder.pod, suspect.why);
                self.tell(Reason::Fenced, &note).await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(cluster = %name, pod = suspect.holder.pod, error, "lost leader is not fenced yet");
            }
        }
    }

    /// An Event of the cluster.
    async fn tell(&self, reason: Reason, note: &str) {
        if let Some(cluster) =
            self.context.stores.of::<steamer_api::OpenBaoCluster>().get(&self.guard_target.cluster.name)
        {
            self.context.runtime.events.warn(&*cluster, reason, note).await;
        }
    }

    async fn replace(&self, suspect: &Suspect) -> Result<(), Error> {
        let Holder { pod, uid, lock, address, .. } = &suspect.holder;
        let ordinal = pod.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok()).unwrap_or(0);
        let (owner, cluster) = (&self.guard_target.owner, &self.guard_target.cluster);
        let roles = self.logins_of(ordinal).await?;
        let Some(admin) = self.guard_target.admin.as_ref().filter(|_| !roles.is_empty()) else {
            if !suspect.ended {
                return Err(Error::Waiting(
                    "its node has no role of its own, and its process may go on".to_owned(),
                ));
            }
            if let Some(address) = address {
                owner.end_sessions_from(address).await?;
            }
            return Ok(owner.delete_lock(lock).await.map(drop)?);
        };
        let role_admin = RoleAdmin { owner, admin, mark: &self.guard_target.mark };
        let note = FenceNote {
            since: Timestamp::now().as_second(),
            lock: lock.clone(),
            uid: uid.clone(),
            reason: suspect.why.clone(),
        };
        for role in roles {
            role_admin.shut_out(&role.name, &note).await?;
        }
        let child_api = self.child_api();
        let turn = self.guard_target.logins.lock().await;
        role_admin.renew(&child_api, cluster, ordinal).await?;
        drop(turn);
        child_api.end_pod(pod, uid, Ending::AtOnce).await
    }

    /// Every role that a node may log in as now, by the database's own word: what a watch has seen may be older.
    async fn logins_of(&self, ordinal: u32) -> Result<Vec<NodeRole>, Error> {
        let fences = self.guard_target.cluster.fencing == Fencing::Database;
        let Some(admin) = self.guard_target.admin.as_ref().filter(|_| fences) else { return Ok(Vec::new()) };
        let mut roles =
            admin.node_roles(&self.guard_target.cluster.name.name, &self.guard_target.mark).await?;
        roles.retain(|role| {
            role.own && role.can_login && parse_role(&role.name).is_some_and(|(of, _)| of == ordinal)
        });
        Ok(roles)
    }
}
