//! How nodes log in to the database, and the roles they have there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;

use steamer_api::OpenBaoClusterStatus;

use super::apply::Work;
use super::database::Storage;
use crate::error::Error;
use crate::openbao_cluster::children::Ending;
use crate::openbao_cluster::database::Database;
use crate::openbao_cluster::database::login::{password_of, user_of};
use crate::openbao_cluster::database::roles::{FenceNote, NodeRole, parse_role};
use crate::openbao_cluster::incarnations::{self, Hands};

/// How long an incarnation that was fenced is remembered after its pod is gone, beyond the server's own bound.
const REMEMBERED: i64 = 60;

impl Work<'_> {
    /// How each node logs in to the database; a fence that another process began is brought to its end.
    pub(super) async fn logins(&self, storage: &Storage) -> Result<(), Error> {
        let name = self.cluster.child("-postgresql");
        let held = self.keeper.read::<Secret>(&name).await?;
        let Some((roles, hands)) = storage.roles.as_deref().zip(self.hands()) else {
            // Who makes roles cannot be asked now: nodes keep those they have.
            if self.own_roles(storage) {
                return Ok(());
            }
            let entries = incarnations::entries(self.cluster, held.as_deref(), None)?;
            self.keeper.keep::<Secret>(&incarnations::secret(self.cluster, &entries)).await?;
            return Ok(());
        };
        self.assert_fences(&hands, roles).await?;
        for role in roles.iter().filter(|role| role.own) {
            self.finish_fence(&hands, role, held.as_deref()).await?;
        }
        let entries = self.given_logins(&hands, (held.as_deref(), roles)).await?;
        self.retire_roles(&hands, roles, &entries).await
    }

    /// Sees to it that every node has a login, and returns them. A fence gives one too: in its own turn, and what was seen
    /// before is looked at again.
    async fn given_logins(
        &self,
        hands: &Hands<'_>,
        (held, roles): (Option<&Secret>, &[NodeRole]),
    ) -> Result<BTreeMap<String, String>, Error> {
        let _turn = self.duty.logins.lock().await;
        let mut entries = incarnations::entries(self.cluster, held, Some(roles))?;
        let mut known = roles.to_vec();
        if !incarnations::in_force(&entries, held, roles) {
            known = hands.admin.node_roles(&self.cluster.name.name, hands.mark).await?;
            let now = self.keeper.api::<Secret>().get_opt(&self.cluster.child("-postgresql")).await?;
            entries = incarnations::entries(self.cluster, now.as_ref(), Some(&known))?;
        }
        self.keeper.keep::<Secret>(&incarnations::secret(self.cluster, &entries)).await?;
        hands.make_roles(&entries, &known).await?;
        Ok(entries)
    }

    /// Gives a node another login if the one that its Secret holds is refused: someone has changed one of them.
    pub(super) async fn login_again(&self, pod: &str, uid: &str) -> Result<(), Error> {
        let held = self.keeper.read::<Secret>(&self.cluster.child("-postgresql")).await?;
        let entry = incarnations::entry(held.as_deref(), pod).unwrap_or_default();
        let (Some(hands), Some(user), Some(password)) = (self.hands(), user_of(&entry), password_of(&entry))
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
        let _turn = self.duty.logins.lock().await;
        tracing::warn!(cluster = %self.cluster.name, pod, role = user, "the login of a node is refused: it gets another");
        let note = FenceNote {
            since: Timestamp::now().as_second(),
            lock: String::new(),
            uid: uid.to_owned(),
            reason: "its login was refused".to_owned(),
        };
        hands.shut_out(user, &note).await?;
        hands.renew(self.keeper, self.cluster, ordinal).await
    }

    /// Whether nodes log in as roles of their own.
    pub(super) fn own_roles(&self, storage: &Storage) -> bool {
        let held = self.keeper.get::<Secret>(&self.cluster.child("-postgresql"));
        let own = |pod| {
            let entry = incarnations::entry(held.as_deref(), &self.cluster.pod(pod));
            entry.as_deref().and_then(user_of).is_some_and(|user| user != self.cluster.owner.user)
        };
        let fences = self.cluster.fencing == steamer_api::Fencing::Database && self.hands().is_some();
        fences && (storage.roles.is_some() || (0..self.cluster.spec.replicas).any(own))
    }

    fn hands(&self) -> Option<Hands<'_>> {
        let admin = self.duty.admin.as_ref()?;
        Some(Hands { owner: &self.duty.owner, admin, mark: &self.duty.mark })
    }

    /// A promoted server may know nothing of a fence: what the status tells of is asserted again before anything else.
    async fn assert_fences(&self, hands: &Hands<'_>, roles: &[NodeRole]) -> Result<(), Error> {
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
                hands.shut_out(&role.name, &note).await?;
            }
        }
        Ok(())
    }

    /// A role that was fenced and is still what its node is told to use: the process that fenced it has died.
    async fn finish_fence(
        &self,
        hands: &Hands<'_>,
        role: &NodeRole,
        held: Option<&Secret>,
    ) -> Result<(), Error> {
        let Some(note) = &role.note else { return Ok(()) };
        if role.can_login {
            // A promoted server may have missed it.
            hands.shut_out(&role.name, note).await?;
        }
        let pods = self.keeper.all::<Pod>();
        let pod = pods.iter().find(|pod| pod.uid().as_ref() == Some(&note.uid));
        let entry = |pod: &Pod| incarnations::entry(held, &pod.name_any());
        if let Some(pod) = pod {
            if entry(pod).as_deref().and_then(user_of) == Some(&role.name) {
                hands.carry_on(&role.name, &note.lock).await?;
            } else {
                self.keeper.end_pod(&pod.name_any(), &note.uid, Ending::AtOnce).await?;
            }
        }
        Ok(())
    }

    /// Drops roles of incarnations that are gone for longer than a login can take, and of nodes that are no more.
    async fn retire_roles(
        &self,
        hands: &Hands<'_>,
        roles: &[NodeRole],
        entries: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let used = |role: &NodeRole| entries.values().any(|entry| user_of(entry) == Some(&role.name));
        let pods = self.keeper.all::<Pod>();
        let unused: Vec<&NodeRole> = roles.iter().filter(|role| role.own && !used(role)).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let bound = hands.admin.authentication_timeout().await? + REMEMBERED;
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
                hands.admin.end_sessions(&role.name).await?;
                hands.forget(&role.name).await?;
            }
        }
        Ok(())
    }
}
