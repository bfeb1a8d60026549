//! How nodes log in to the database, and the roles they have there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use steamer_api::OpenBaoClusterStatus;
use steamer_core::error::Error;

use crate::children::Ending;
use crate::database::incarnations::RoleAdmin;
use crate::database::login::{password_of, user_of};
use crate::database::roles::{FenceNote, NodeRole, parse_role};
use crate::database::storage::Storage;
use crate::database::{Database, incarnations};
use crate::managed::apply::Work;

/// How long an incarnation that was fenced is remembered after its pod is gone, beyond the server's own bound.
const REMEMBERED: i64 = 60;

impl Work<'_> {
    /// How each node logs in to the database; a fence that another process began is brought to its end.
    pub(crate) async fn logins(&self, storage: &Storage) -> Result<(), Error> {
        let name = self.cluster.child("-postgresql");
        let held = self.child_api.read::<Secret>(&name).await?;
        let Some((roles, role_admin)) = storage.roles.as_deref().zip(self.role_admin()) else {
            // Who makes roles cannot be asked now: nodes keep those they have.
            if self.own_roles(storage) {
                return Ok(());
            }
            let entries = incarnations::entries(self.cluster, held.as_deref(), None)?;
            self.child_api.keep::<Secret>(&incarnations::secret(self.cluster, &entries)).await?;
            return Ok(());
        };
        self.assert_fences(&role_admin, roles).await?;
        for role in roles.iter().filter(|role| role.own) {
            self.finish_fence(&role_admin, role, held.as_deref()).await?;
        }
        let entries = self.given_logins(&role_admin, (held.as_deref(), roles)).await?;
        self.retire_roles(&role_admin, roles, &entries).await
    }

    /// Sees to it that every node has a login, and returns them. A fence gives one too: in its own turn, and what was seen
    /// before is looked at again.
    async fn given_logins(
        &self,
        role_admin: &RoleAdmin<'_>,
        (held, roles): (Option<&Secret>, &[NodeRole]),
    ) -> Result<BTreeMap<String, String>, Error> {
        let _turn = self.guard_target.logins.lock().await;
        let mut entries = incarnations::entries(self.cluster, held, Some(roles))?;
        let mut known = roles.to_vec();
        if !incarnations::in_force(&entries, held, roles) {
            known = role_admin.admin.node_roles(&self.cluster.name.name, role_admin.mark).await?;
            let now = self.child_api.api::<Secret>().get_opt(&self.cluster.child("-postgresql")).await?;
            entries = incarnations::entries(self.cluster, now.as_ref(), Some(&known))?;
        }
        self.child_api.keep::<Secret>(&incarnations::secret(self.cluster, &entries)).await?;
        role_admin.make_roles(&entries, &known).await?;
        Ok(entries)
    }

    /// Gives a node another login if the one that its Secret holds is refused: someone has changed one of them.
    pub(crate) async fn login_again(&self, pod: &str, uid: &str) -> Result<(), Error> {
        let held = self.child_api.read::<Secret>(&self.cluster.child("-postgresql")).await?;
        let entry = incarnations::entry(held.as_deref(), pod).unwrap_or_default();
        let (Some(role_admin), Some(user), Some(password)) =
            (self.role_admin(), user_of(&entry), password_of(&entry))
        else {
            return Ok(());
        };
        let (Some((ordinal, _)), true) = (parse_role(user), user != self.cluster.owner.user) else {
            return Ok(());
        };
        let login = self.cluster.owner.as_role(user, password.to_owned().into());
        if Database::new(login, self.context.runtime.metrics.clone()).opens().await? {
            return Ok(());
        }
        let _turn = self.guard_target.logins.lock().await;
        tracing::warn!(cluster = %self.cluster.name, pod, role = user, "the login of a node is refused: it gets another");
        let note = FenceNote {
            since: Timestamp::now().as_second(),
            lock: String::new(),
            uid: uid.to_owned(),
            reason: "its login was refused".to_owned(),
        };
        role_admin.shut_out(user, &note).await?;
        role_admin.renew(self.child_api, self.cluster, ordinal).await
    }

    /// Whether nodes log in as roles of their own.
    pub(crate) fn own_roles(&self, storage: &Storage) -> bool {
        let held = self.child_api.get::<Secret>(&self.cluster.child("-postgresql"));
        let own = |pod| {
            let entry = incarnations::entry(held.as_deref(), &self.cluster.pod(pod));
            entry.as_deref().and_then(user_of).is_some_and(|user| user != self.cluster.owner.user)
        };
        let fences = self.cluster.fencing == steamer_api::Fencing::Database && self.role_admin().is_some();
        fences && (storage.roles.is_some() || (0..self.cluster.spec.replicas).any(own))
    }

    fn role_admin(&self) -> Option<RoleAdmin<'_>> {
        let admin = self.guard_target.admin.as_ref()?;
        Some(RoleAdmin { owner: &self.guard_target.owner, admin, mark: &self.guard_target.mark })
    }

    /// A promoted server may know nothing of a fence: what the status tells of is asserted again before anything else.
    async fn assert_fences(&self, role_admin: &RoleAdmin<'_>, roles: &[NodeRole]) -> Result<(), Error> {
        let last: OpenBaoClusterStatus = self.context.last(self.object);
        for fenced in last.fenced {
            let missed =
                |role: &&NodeRole| role.own && role.can_login && fenced.role.as_ref() == Some(&role.name);
            if let Some(role) = roles.iter().find(missed) {
                tracing::warn!(cluster = %self.cluster.name, role = role.name, "the database has lost a fence");
                let note = FenceNote {
                    since: fenced.since.0.as_second(),
                    lock: String::new(),
                    uid: fenced.uid.clone(),
                    reason: fenced.reason.clone(),
                };
                role_admin.shut_out(&role.name, &note).await?;
            }
        }
        Ok(())
    }

    /// A role that was fenced and is still what its node is told to use: the process that fenced it has died.
    async fn finish_fence(
        &self,
        role_admin: &RoleAdmin<'_>,
        role: &NodeRole,
        held: Option<&Secret>,
    ) -> Result<(), Error> {
        let Some(note) = &role.note else { return Ok(()) };
        if role.can_login {
            // A promoted server may have missed it.
            role_admin.shut_out(&role.name, note).await?;
        }
        let pods = self.child_api.all::<Pod>();
        let pod = pods.iter().find(|pod| pod.uid().as_ref() == Some(&note.uid));
        let entry = |pod: &Pod| incarnations::entry(held, &pod.name_any());
        if let Some(pod) = pod {
            if entry(pod).as_deref().and_then(user_of) == Some(&role.name) {
                role_admin.carry_on(&role.name, &note.lock).await?;
            } else {
                self.child_api.end_pod(&pod.name_any(), &note.uid, Ending::AtOnce).await?;
            }
        }
        Ok(())
    }

    /// Drops roles of incarnations that are gone for longer than a login can take, and of nodes that are no more.
    async fn retire_roles(
        &self,
        role_admin: &RoleAdmin<'_>,
        roles: &[NodeRole],
        entries: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let used = |role: &NodeRole| entries.values().any(|entry| user_of(entry) == Some(&role.name));
        let pods = self.child_api.all::<Pod>();
        let unused: Vec<&NodeRole> = roles.iter().filter(|role| role.own && !used(role)).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let bound = role_admin.admin.authentication_timeout().await? + REMEMBERED;
        let now = Timestamp::now().as_second();
        for role in unused {
            let node_is_there = |role: &NodeRole| {
                let ordinal = parse_role(&role.name).map(|(ordinal, _)| ordinal);
                let of_node = |pod: &Pod| {
                    Some(pod.name_any()) == ordinal.map(|n| format!("{}-{n}", self.cluster.name.name))
                };
                pods.iter().any(|pod| of_node(pod))
            };
            let gone = match &role.note {
                Some(note) => {
                    now > note.since + bound && !pods.iter().any(|pod| pod.uid().as_ref() == Some(&note.uid))
                }
                None => !node_is_there(role),
            };
            if gone {
                role_admin.admin.end_sessions(&role.name).await?;
                role_admin.forget(&role.name).await?;
            }
        }
        Ok(())
    }
}
