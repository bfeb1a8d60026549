//! Rights of the admin login, and obstacles to a reliable fence.

use steamer_core::error::Error;

use crate::database::roles::NodeRole;
use crate::database::{Database, DatabaseError};

/// Reason why fencing is not possible or not reliable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The login lacks a right that role changes need.
    Rights(String),
    /// The database does not record which login holds the leader's lock.
    Unrecorded(String),
    /// Nodes still log in as the owner of the tables.
    OwnerLogin(String),
    /// A promoted replica may lack the fence.
    Replication,
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rights(why) | Self::OwnerLogin(why) => f.write_str(why),
            Self::Unrecorded(why) => write!(
                f,
                "only a leader whose process has ended is replaced before its lock expires, because the database does not \
                 record which node holds the lock: {why}"
            ),
            Self::Replication => f.write_str(
                "PostgreSQL replicates asynchronously: a promoted replica may lack acknowledged writes and fences; set \
                 synchronous_standby_names",
            ),
        }
    }
}

const RIGHTS: &str = "
SELECT rolsuper OR rolcreaterole, rolsuper OR pg_has_role(oid, 'pg_signal_backend', 'USAGE')
FROM pg_roles WHERE rolname = current_user";

const ASYNCHRONOUS: &str = "
SELECT EXISTS (SELECT 1 FROM pg_stat_replication) AND current_setting('synchronous_standby_names') = ''";

impl Database {
    /// Reason why this login cannot fence nodes.
    pub(crate) async fn obstacle(&self) -> Result<Option<Obstacle>, DatabaseError> {
        if let Some(missing) = self.missing_right().await? {
            return Ok(Some(Obstacle::Rights(missing)));
        }
        let asynchronous: bool = self.value(ASYNCHRONOUS).await?;
        Ok(asynchronous.then_some(Obstacle::Replication))
    }

    /// Refuses a fence of which only a part would succeed.
    pub(crate) async fn check_rights(&self, role: &NodeRole) -> Result<(), Error> {
        let missing = match self.not_changeable(role) {
            None => self.missing_right().await?,
            some => some,
        };
        missing.map_or(Ok(()), |missing| Err(Error::Waiting(missing)))
    }

    /// Text about a role that this login may not change.
    pub(crate) fn not_changeable(&self, role: &NodeRole) -> Option<String> {
        let (name, user) = (&role.name, &self.login.user);
        (!role.may_change).then(|| {
            format!(
                "login `{user}` may not change role `{name}`, which another login created: run GRANT \"{name}\" TO \"{user}\" \
                 WITH ADMIN OPTION"
            )
        })
    }

    async fn missing_right(&self) -> Result<Option<String>, DatabaseError> {
        let rights = self.with(|client| async move {
            let row = client.query_one(RIGHTS, &[]).await?;
            Ok((row.try_get(0)?, row.try_get(1)?))
        });
        let (creates, signals): (bool, bool) = rights.await?;
        let user = &self.login.user;
        let statement = match (creates, signals) {
            (true, true) => return Ok(None),
            (false, _) => format!("may not create roles: run ALTER ROLE \"{user}\" CREATEROLE"),
            _ => format!("may not end sessions: run GRANT pg_signal_backend TO \"{user}\""),
        };
        Ok(Some(format!("login `{user}` {statement}")))
    }
}
