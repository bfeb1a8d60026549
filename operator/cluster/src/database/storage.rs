//! Opens the database of a cluster: checks the server, claims the tables, and reads their state.

use steamer_api::{DatabaseSchema, Fencing};
use steamer_core::error::Error;
use steamer_runtime::Failure;
use steamer_runtime::describe;

use crate::cluster::{Cluster, Mode, RESTORE};
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

/// Opens the database. Creates and marks the tables if they do not exist, unless the cluster is suspended.
pub(crate) async fn open(effects: &Effects<'_>, cluster: &Cluster) -> Result<Storage, Error> {
    let target = effects.guard_target;
    let server = target.links.owner.server().await?;
    server.check(cluster.spec.replicas, cluster.spec.storage.postgresql.max_connections_per_pod)?;
    claim(target, cluster).await?;
    let (contents, timeline) = tokio::join!(target.links.owner.contents(), target.links.owner.timeline());
    let (roles, obstacle) = node_roles(target, cluster).await?;
    Ok(Storage { server, timeline, contents: contents?, roles, obstacle })
}

/// Step that makes the tables belong to a cluster.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    /// They are used as they are.
    Keep,
    /// They are marked. The login must own them.
    CheckOwner,
    Create,
    /// The data is that of another OpenBao.
    TakeOver,
}

/// Ensures that the tables exist and belong to this cluster.
async fn claim(target: &GuardTarget, cluster: &Cluster) -> Result<(), Error> {
    let (owner, mark) = (&target.links.owner, &target.mark);
    let occupant = owner.occupant(mark).await?;
    match plan_claim(cluster, &occupant)? {
        Claim::Keep => Ok(()),
        Claim::CheckOwner => owner.own_tables().await,
        Claim::Create => {
            owner.create_tables(mark).await?;
            owner.own_tables().await
        }
        Claim::TakeOver => take_over(target, &occupant).await,
    }
}

/// The next step. A suspended cluster changes nothing. Data of another OpenBao requires consent.
fn plan_claim(cluster: &Cluster, occupant: &Occupant) -> Result<Claim, Error> {
    let manages = cluster.spec.storage.postgresql.schema == DatabaseSchema::Manage;
    let is_suspended = cluster.mode == Mode::Suspended;
    let database = &cluster.owner.database;
    match occupant {
        Occupant::Own => Ok(Claim::CheckOwner),
        Occupant::Vacant if is_suspended || !manages => Ok(Claim::Keep),
        Occupant::NoTables if !manages => Err(Error::Waiting(format!(
            "database `{database}` does not contain OpenBao's tables, and `schema: Existing` tells Steamer not to \
             create them: create them, or set `schema: Manage`"
        ))),
        Occupant::Other(_) if !cluster.takes_over => Err(Error::Conflict(format!(
            "database `{database}` contains the data of {}: use another database, or, to take it over once all its \
             nodes are stopped, annotate this OpenBaoCluster with {RESTORE}=<today>",
            other(occupant)
        ))),
        Occupant::NoTables if is_suspended => Err(Error::Waiting(format!(
            "database `{database}` does not contain OpenBao's tables: they are created once the cluster is not \
             suspended"
        ))),
        Occupant::Other(_) if is_suspended => Err(Error::Waiting(format!(
            "database `{database}` contains the data of {}: it is taken over once the cluster is not suspended",
            other(occupant)
        ))),
        Occupant::NoTables | Occupant::Vacant => Ok(Claim::Create),
        Occupant::Other(_) => Ok(Claim::TakeOver),
    }
}

fn other(occupant: &Occupant) -> String {
    match occupant {
        Occupant::Other(Some(mark)) => format!("`{mark}`"),
        _ => "an OpenBao that Steamer does not run".to_owned(),
    }
}

/// Takes over the data of another OpenBao. None of its nodes may run.
async fn take_over(target: &GuardTarget, occupant: &Occupant) -> Result<(), Error> {
    let owner = &target.links.owner;
    if let Some(lock) = owner.lock().await?.filter(|lock| lock.age < LOCK_SECONDS) {
        return Err(Error::Waiting(format!(
            "database `{}` is still used by {}: its leader renewed its lock {:.0} s ago; stop it",
            owner.login.database,
            other(occupant),
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
    let Some(admin) = target.links.admin.as_ref().filter(|_| fences) else { return Ok((None, None)) };
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::tests::cluster;

    /// `e` existing schema, `s` suspended, `r` takeover requested.
    #[rstest]
    #[case::own("", Occupant::Own, "CheckOwner")]
    #[case::own_and_suspended("s", Occupant::Own, "CheckOwner")]
    #[case::no_tables("", Occupant::NoTables, "Create")]
    #[case::no_tables_and_suspended(
        "s",
        Occupant::NoTables,
        "they are created once the cluster is not \
             suspended"
    )]
    #[case::no_tables_of_the_user("e", Occupant::NoTables, "set `schema: Manage`")]
    #[case::vacant("", Occupant::Vacant, "Create")]
    #[case::vacant_and_suspended("s", Occupant::Vacant, "Keep")]
    #[case::vacant_tables_of_the_user("e", Occupant::Vacant, "Keep")]
    #[case::other("", Occupant::Other(Some("i/x".to_owned())), "the data of `i/x`: use another database")]
    #[case::other_without_a_mark(
        "s",
        Occupant::Other(None),
        "that Steamer does not run: use another database"
    )]
    #[case::takeover("r", Occupant::Other(None), "TakeOver")]
    #[case::takeover_and_suspended(
        "rs",
        Occupant::Other(None),
        "taken over once the cluster is not suspended"
    )]
    fn tables_are_claimed_unless_the_cluster_is_suspended(
        #[case] state: &str,
        #[case] occupant: Occupant,
        #[case] expected: &str,
    ) {
        let mut cluster = cluster();
        cluster.takes_over = state.contains('r');
        if state.contains('s') {
            cluster.mode = Mode::Suspended;
        }
        if state.contains('e') {
            cluster.spec.storage.postgresql.schema = DatabaseSchema::Existing;
        }
        let text = match plan_claim(&cluster, &occupant) {
            Ok(claim) => format!("{claim:?}"),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(expected), "{text}");
    }
}
