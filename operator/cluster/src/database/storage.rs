//! What there is to know of a cluster's database, and its tables made.

use steamer_api::{DatabaseSchema, Fencing};
use steamer_core::error::Error;
use steamer_runtime::Failure;
use steamer_runtime::describe;

use crate::cluster::RESTORE;
use crate::database::facts::{Contents, Server};
use crate::database::roles::{NodeRole, Obstacle};
use crate::database::schema::Occupant;
use crate::managed::apply::Work;

/// A database that is fit.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) server: Server,
    pub(crate) timeline: Option<i64>,
    pub(crate) contents: Contents,
    /// With fencing: the roles of nodes, and why there can be no fence.
    pub(crate) roles: Option<Vec<NodeRole>>,
    pub(crate) obstacle: Option<Obstacle>,
}

impl Work<'_> {
    /// Looks at the database and makes the tables where they are to be made.
    pub(crate) async fn storage(&self) -> Result<Storage, Error> {
        let owner = &self.guard_target.owner;
        let server = owner.server().await?;
        let connections = self.cluster.spec.storage.postgresql.max_connections_per_pod;
        server.check(self.cluster.spec.replicas, connections)?;
        self.occupy().await?;
        let (contents, timeline) = tokio::join!(owner.contents(), owner.timeline());
        let (roles, obstacle) = self.roles().await?;
        Ok(Storage { server, timeline, contents: contents?, roles, obstacle })
    }

    /// Makes sure that the tables are there and nobody else's.
    async fn occupy(&self) -> Result<(), Error> {
        let (owner, mark) = (&self.guard_target.owner, &self.guard_target.mark);
        let manages = self.cluster.spec.storage.postgresql.schema == DatabaseSchema::Manage;
        let database = &owner.login.database;
        match owner.occupant(mark).await? {
            Occupant::Own => owner.own_tables().await,
            Occupant::NoTables | Occupant::Vacant if manages => {
                owner.create_tables(mark).await?;
                owner.own_tables().await
            }
            Occupant::NoTables => Err(Error::Waiting(format!(
                "database `{database}` has not OpenBao's tables yet, and schema is Existing: waiting for who makes them"
            ))),
            Occupant::Vacant => Ok(()),
            Occupant::Other(whose) => self.take_over(whose.as_deref()).await,
        }
    }

    /// What another cluster has left is taken over only when someone says so, and once its nodes are gone.
    async fn take_over(&self, whose: Option<&str>) -> Result<(), Error> {
        let owner = &self.guard_target.owner;
        let database = &owner.login.database;
        let whose =
            whose.map_or("an OpenBao that Steamer does not run".to_owned(), |mark| format!("`{mark}`"));
        if !self.annotations().contains_key(RESTORE) {
            return Err(Error::Conflict(format!(
                "database `{database}` holds the data of {whose}: use another one, or, to take it over once all its \
                 nodes are stopped, annotate this OpenBaoCluster with {RESTORE}=<today>"
            )));
        }
        if let Some(lock) = owner.lock().await?.filter(|lock| lock.age < 15.0) {
            return Err(Error::Waiting(format!(
                "database `{database}` is still used by {whose}: its leader has renewed its lock {:.0} s ago; stop it",
                lock.age
            )));
        }
        owner.clear_locks().await?;
        Ok(owner.create_tables(&self.guard_target.mark).await?)
    }

    /// The roles of nodes; none where nodes have none of their own.
    async fn roles(&self) -> Result<(Option<Vec<NodeRole>>, Option<Obstacle>), Error> {
        let Some(admin) =
            self.guard_target.admin.as_ref().filter(|_| self.cluster.fencing == Fencing::Database)
        else {
            return Ok((None, None));
        };
        let obstacle = match admin.obstacle().await {
            Ok(obstacle) => obstacle,
            Err(error) if error.stalled() => return Ok((None, Some(Obstacle::Rights(describe(&error))))),
            Err(error) => return Err(error.into()),
        };
        let unable = matches!(obstacle, Some(Obstacle::Rights(_)));
        let roles = admin.node_roles(&self.cluster.name.name, &self.guard_target.mark).await?;
        let used = roles.iter().any(|role| role.own);
        Ok(((!unable || used).then_some(roles), obstacle))
    }
}
