//! Opens the database of a cluster: checks the server, claims the tables, and reads their state.

use steamer_api::{DatabaseSchema, Fencing};
use steamer_core::error::Error;
use steamer_runtime::Failure;
use steamer_runtime::describe;

use crate::cluster::{Cluster, RESTORE};
use crate::database::facts::{Contents, LOCK_SECONDS, Server};
use crate::database::roles::{NodeRole, Obstacle};
use crate::database::schema::Occupant;
use crate::effects::Effects;
use crate::guard::target::GuardTarget;

/// State of a database that OpenBao can use.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) server: Server,
    pub(crate) timeline: Option<i64>,
    pub(crate) contents: Contents,
    /// Roles of the nodes. None without database fencing, or if the admin login cannot manage roles.
    pub(crate) roles: Option<Vec<NodeRole>>,
    /// Reason why fencing is not possible or not reliable.
    pub(crate) obstacle: Option<Obstacle>,
}

/// Opens the database. Creates and marks the tables if they do not exist.
pub(crate) async fn open(effects: &Effects<'_>, cluster: &Cluster) -> Result<Storage, Error> {
    let target = effects.guard_target;
    let server = target.owner.server().await?;
    server.check(cluster.spec.replicas, cluster.spec.storage.postgresql.max_connections_per_pod)?;
    claim(target, cluster).await?;
    let (contents, timeline) = tokio::join!(target.owner.contents(), target.owner.timeline());
    let (roles, obstacle) = node_roles(target, cluster).await?;
    Ok(Storage { server, timeline, contents: contents?, roles, obstacle })
}

/// Ensures that the tables exist and belong to this cluster.
async fn claim(target: &GuardTarget, cluster: &Cluster) -> Result<(), Error> {
    let (owner, mark) = (&target.owner, &target.mark);
    let manages = cluster.spec.storage.postgresql.schema == DatabaseSchema::Manage;
    let database = &owner.login.database;
    match owner.occupant(mark).await? {
        Occupant::Own => owner.own_tables().await,
        Occupant::NoTables | Occupant::Vacant if manages => {
            owner.create_tables(mark).await?;
            owner.own_tables().await
        }
        Occupant::NoTables => Err(Error::Waiting(format!(
            "database `{database}` does not contain OpenBao's tables, and `schema: Existing` tells Steamer not to create \
             them: create them, or set `schema: Manage`"
        ))),
        Occupant::Vacant => Ok(()),
        Occupant::Other(mark) => take_over(target, cluster, mark.as_deref()).await,
    }
}

/// Takes over the data of another cluster. It requires consent, and that no node of the other cluster runs.
async fn take_over(target: &GuardTarget, cluster: &Cluster, mark: Option<&str>) -> Result<(), Error> {
    let owner = &target.owner;
    let database = &owner.login.database;
    let other = mark.map_or("an OpenBao that Steamer does not run".to_owned(), |mark| format!("`{mark}`"));
    if !cluster.takes_over {
        return Err(Error::Conflict(format!(
            "database `{database}` contains the data of {other}: use another database, or, to take it over once all its \
             nodes are stopped, annotate this OpenBaoCluster with {RESTORE}=<today>"
        )));
    }
    if let Some(lock) = owner.lock().await?.filter(|lock| lock.age < LOCK_SECONDS) {
        return Err(Error::Waiting(format!(
            "database `{database}` is still used by {other}: its leader renewed its lock {:.0} s ago; stop it",
            lock.age
        )));
    }
    owner.clear_locks().await?;
    Ok(owner.create_tables(&target.mark).await?)
}

async fn node_roles(
    target: &GuardTarget,
    cluster: &Cluster,
) -> Result<(Option<Vec<NodeRole>>, Option<Obstacle>), Error> {
    let fences = cluster.fencing == Fencing::Database;
    let Some(admin) = target.admin.as_ref().filter(|_| fences) else { return Ok((None, None)) };
    let obstacle = match admin.obstacle().await {
        Ok(obstacle) => obstacle,
        Err(error) if error.stalled() => return Ok((None, Some(Obstacle::Rights(describe(&error))))),
        Err(error) => return Err(error.into()),
    };
    let lacks_rights = matches!(obstacle, Some(Obstacle::Rights(_)));
    let roles = admin.node_roles(cluster.name(), &target.mark).await?;
    let are_used = roles.iter().any(|role| role.own);
    Ok(((!lacks_rights || are_used).then_some(roles), obstacle))
}
