//! The PostgreSQL logins of the nodes: with fencing one role per node, otherwise the owner's login for all.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use steamer_api::{Fenced, Fencing};
use steamer_core::error::Error;
use tokio_postgres::error::SqlState;

use crate::cluster::Cluster;
use crate::database::DatabaseError;
use crate::database::fences::{self, LostFence};
use crate::database::incarnations;
use crate::database::incarnations::RoleAdmin;
use crate::database::login::user_of;
use crate::database::roles::{NodeRole, parse_role};
use crate::database::storage::Storage;
use crate::effects::Effects;

/// Time in seconds for which a fenced role is kept after its pod is gone, in addition to PostgreSQL's login timeout.
const RETENTION: i64 = 60;

/// Kind of the nodes' logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logins {
    /// PostgreSQL does not permit role changes now: nodes keep their roles.
    Unchanged,
    /// All nodes use the owner's login.
    Shared,
    /// Every node has its own role.
    PerNode {
        roles: Vec<NodeRole>,
        /// Roles that lack a right of a node.
        ungranted: Vec<String>,
        /// Fences that the database lost.
        lost_fences: Vec<LostFence>,
    },
}

/// Decides the kind of the nodes' logins. `held` is the Secret with their logins.
pub(crate) fn plan(cluster: &Cluster, storage: &Storage, held: Option<&Secret>, fenced: &[Fenced]) -> Logins {
    match &storage.roles {
        Some(roles) if cluster.admin.is_some() => Logins::PerNode {
            roles: roles.clone(),
            ungranted: storage.ungranted.clone(),
            lost_fences: fences::lost(fenced, roles),
        },
        _ if have_roles(cluster, storage, held) => Logins::Unchanged,
        _ => Logins::Shared,
    }
}

/// Returns true if the nodes log in as roles of their own.
pub(crate) fn have_roles(cluster: &Cluster, storage: &Storage, held: Option<&Secret>) -> bool {
    let has_role = |ordinal| {
        let entry = incarnations::entry(held, &cluster.pod(ordinal));
        entry.as_deref().and_then(user_of).is_some_and(|user| user != cluster.owner.user)
    };
    let fences = cluster.fencing == Fencing::Database && cluster.admin.is_some();
    fences && (storage.roles.is_some() || (0..cluster.spec.replicas).any(has_role))
}

/// Gives every node its login. Interrupted fences are completed first.
pub(crate) async fn apply(effects: &Effects<'_>, cluster: &Cluster, logins: &Logins) -> Result<(), Error> {
    match (logins, effects.guard_target.role_admin()) {
        (Logins::PerNode { roles, ungranted, .. }, Some(role_admin)) => {
            finish(effects, cluster, logins).await?;
            let held = effects.child_api.read::<Secret>(&cluster.logins_secret()).await?;
            let assignment = Assignment { effects, cluster, role_admin };
            let entries = assignment.assign(held.as_deref(), (roles, ungranted)).await?;
            retire(effects, &role_admin, roles, &entries).await
        }
        (Logins::Shared, _) => {
            let entries = incarnations::entries(cluster, None, None)?;
            effects.child_api.keep(&incarnations::secret(cluster, &entries)).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// Completes interrupted fences, and restores those that the database lost.
pub(crate) async fn finish(effects: &Effects<'_>, cluster: &Cluster, logins: &Logins) -> Result<(), Error> {
    let (Logins::PerNode { roles, lost_fences, .. }, Some(role_admin)) =
        (logins, effects.guard_target.role_admin())
    else {
        return Ok(());
    };
    let held = effects.child_api.read::<Secret>(&cluster.logins_secret()).await?;
    fences::restore(&role_admin, cluster, lost_fences).await?;
    for role in roles.iter().filter(|role| role.own) {
        fences::finish(effects, &role_admin, role, held.as_deref()).await?;
    }
    Ok(())
}

/// Assigns a role to every node.
struct Assignment<'a> {
    effects: &'a Effects<'a>,
    cluster: &'a Cluster,
    role_admin: RoleAdmin<'a>,
}

impl Assignment<'_> {
    /// Ensures that every node has a role. Returns the entries of the Secret. A fence assigns roles, too: the lock
    /// serializes both, and outdated state is read again.
    async fn assign(
        &self,
        held: Option<&Secret>,
        (roles, ungranted): (&[NodeRole], &[String]),
    ) -> Result<BTreeMap<String, String>, Error> {
        let Self { effects, cluster, role_admin } = self;
        let _turn = effects.guard_target.lasting.logins.lock().await;
        let entries = incarnations::entries(cluster, held, Some(roles))?;
        if !incarnations::in_force(&entries, held, roles) {
            return self.renew().await;
        }
        effects.child_api.keep(&incarnations::secret(cluster, &entries)).await?;
        role_admin.set_timeouts(roles).await?;
        let ungranted = incarnations::users_among(&entries, ungranted);
        role_admin.grant(&ungranted).await?;
        self.permit_locks(!ungranted.is_empty()).await;
        Ok(entries)
    }

    /// Permits the admin to lock the row of the leader's lock: once, and after the tables were restored. A failure must not block
    /// a reconcile: a fence works without this right.
    async fn permit_locks(&self, are_restored: bool) {
        let RoleAdmin { owner, admin, .. } = self.role_admin;
        let permitted = &self.effects.guard_target.lasting.lock_admin;
        if !are_restored && *permitted.lock() == admin.login.user {
            return;
        }
        let granted = owner.permit_locks(&admin.login).await;
        if let Err(error) = &granted {
            let error = error as &dyn std::error::Error;
            tracing::warn!(cluster = %self.cluster.name, error, "the admin is not permitted to lock the row of the leader's lock");
        }
        if is_final(&granted) {
            permitted.lock().clone_from(&admin.login.user);
        }
    }

    /// Gives a role to every node that lacks one, according to the present state.
    async fn renew(&self) -> Result<BTreeMap<String, String>, Error> {
        let Self { effects, cluster, role_admin } = self;
        let roles = role_admin.admin.node_roles(cluster.name(), role_admin.mark).await?;
        let held = effects.child_api.api::<Secret>().get_opt(&cluster.logins_secret()).await?;
        let entries = incarnations::entries(cluster, held.as_ref(), Some(&roles))?;
        effects.child_api.keep(&incarnations::secret(cluster, &entries)).await?;
        role_admin.create_roles(&entries, &roles).await?;
        self.permit_locks(true).await;
        Ok(entries)
    }
}

/// Returns true unless another attempt to grant a right can succeed.
fn is_final(granted: &Result<(), DatabaseError>) -> bool {
    match granted {
        Ok(()) => true,
        Err(error) => error.code().is_some_and(|code| *code != SqlState::LOCK_NOT_AVAILABLE),
    }
}

/// Drops the roles of removed nodes, and those of fenced incarnations that can no longer complete a login.
async fn retire(
    effects: &Effects<'_>,
    role_admin: &RoleAdmin<'_>,
    roles: &[NodeRole],
    entries: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let is_used = |role: &NodeRole| entries.values().any(|entry| user_of(entry) == Some(&role.name));
    let unused: Vec<&NodeRole> = roles.iter().filter(|role| role.own && !is_used(role)).collect();
    if unused.is_empty() {
        return Ok(());
    }
    let pods: Vec<(String, Option<String>)> =
        effects.child_api.nodes().iter().map(|pod| (pod.name_any(), pod.uid())).collect();
    let retention = role_admin.admin.authentication_timeout().await? + RETENTION;
    let oldest = Timestamp::now().as_second() - retention;
    let cluster = &effects.child_api.cluster.name;
    for role in unused.into_iter().filter(|role| is_obsolete(cluster, role, &pods, oldest)) {
        role_admin.drop_role(&role.name).await?;
    }
    Ok(())
}

/// Returns true if an unused role can be dropped. `pods` are names and UIDs; fences before `oldest` are old enough.
fn is_obsolete(cluster: &str, role: &NodeRole, pods: &[(String, Option<String>)], oldest: i64) -> bool {
    match &role.note {
        Some(note) => note.since < oldest && !pods.iter().any(|(_, uid)| uid.as_ref() == Some(&note.uid)),
        None => {
            let pod = parse_role(&role.name).map(|(ordinal, _)| format!("{cluster}-{ordinal}"));
            !pods.iter().any(|(name, _)| Some(name) == pod.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::database::roles::FenceNote;
    use crate::tests::{admin_login, cluster, storage};

    fn fenced(since: i64) -> Option<FenceNote> {
        Some(FenceNote { since, lock: "l".into(), uid: "uid-0".into(), reason: "r".into() })
    }

    #[rstest]
    #[case::fenced_long_ago("main_0_1", fenced(10), &[("main-0", "uid-1")], true)]
    #[case::fenced_recently("main_0_1", fenced(100), &[("main-0", "uid-1")], false)]
    #[case::fenced_and_still_present("main_0_1", fenced(10), &[("main-0", "uid-0")], false)]
    #[case::node_removed("main_4_1", None, &[("main-0", "uid-0")], true)]
    #[case::node_present("main_0_2", None, &[("main-0", "uid-0")], false)]
    fn a_role_is_dropped_when_its_incarnation_cannot_return(
        #[case] name: &str,
        #[case] note: Option<FenceNote>,
        #[case] pods: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let role = NodeRole {
            name: name.to_owned(),
            own: true,
            may_change: true,
            has_timeouts: true,
            can_login: note.is_none(),
            note,
        };
        let pods: Vec<_> =
            pods.iter().map(|(name, uid)| ((*name).to_owned(), Some((*uid).to_owned()))).collect();
        assert_eq!(is_obsolete("main", &role, &pods, 50), expected);
    }

    #[rstest]
    #[case::no_fencing(Fencing::ProcessEnd, Some(vec![]), Logins::Shared)]
    #[case::roles_unreadable(Fencing::Database, None, Logins::Shared)]
    #[case::roles_readable(
        Fencing::Database,
        Some(vec![]),
        Logins::PerNode { roles: vec![], ungranted: vec![], lost_fences: vec![] }
    )]
    fn nodes_have_roles_where_the_database_can_fence(
        #[case] fencing: Fencing,
        #[case] roles: Option<Vec<NodeRole>>,
        #[case] expected: Logins,
    ) {
        let admin = (fencing == Fencing::Database).then(admin_login);
        let cluster = Cluster { fencing, admin, ..cluster() };
        let storage = Storage { roles, ..storage() };
        assert_eq!(plan(&cluster, &storage, None, &[]), expected);
    }

    #[test]
    fn nodes_keep_their_roles_while_roles_are_unreadable() {
        let cluster = Cluster { fencing: Fencing::Database, admin: Some(admin_login()), ..cluster() };
        let entries = incarnations::entries(&cluster, None, Some(&[])).unwrap();
        let data = entries.into_iter().map(|(pod, text)| (pod, k8s_openapi::ByteString(text.into_bytes())));
        let held = Secret { data: Some(data.collect()), ..Secret::default() };
        let storage = Storage { roles: None, ..storage() };
        assert_eq!(plan(&cluster, &storage, Some(&held), &[]), Logins::Unchanged);
    }
}
