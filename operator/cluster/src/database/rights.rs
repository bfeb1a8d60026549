//! Rights of the admin login, and obstacles to a reliable fence.

use steamer_core::error::Error;
use tokio_postgres::Row;

use crate::database::roles::{NodeRole, ROLES, pattern};
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

/// Columns with the rights of the login `u`.
const RIGHTS: &str = "
u.rolsuper OR u.rolcreaterole AS creates, u.rolsuper OR pg_catalog.pg_has_role(u.oid, 'pg_signal_backend', 'USAGE') AS signals";

const ASYNCHRONOUS: &str = "
EXISTS (SELECT 1 FROM pg_stat_replication) AND current_setting('synchronous_standby_names') = '' AS asynchronous";

/// What an admin login may do, and the roles of the nodes.
pub(crate) struct Administration {
    /// Reason why this login cannot fence nodes.
    pub(crate) obstacle: Option<Obstacle>,
    /// The roles with a name of a node of the cluster.
    pub(crate) roles: Vec<NodeRole>,
}

impl Database {
    /// Rights of this login, and the roles of a cluster. One statement: a settled cluster needs no other one of its admin.
    pub(crate) async fn administration(
        &self,
        cluster: &str,
        mark: &str,
    ) -> Result<Administration, DatabaseError> {
        let named = pattern(cluster);
        let sql = format!(
            "SELECT {RIGHTS}, {ASYNCHRONOUS}, r.* FROM pg_roles u LEFT JOIN ({ROLES}) r ON true \
             WHERE u.rolname = current_user ORDER BY r.name"
        );
        let read = self.with(|client| async move { Answer::of(&client.query(&sql, &[&named]).await?, mark) });
        let Answer { rights, asynchronous, roles } = read.await?;
        let missing = self.missing(rights).map(Obstacle::Rights);
        Ok(Administration { obstacle: missing.or(asynchronous.then_some(Obstacle::Replication)), roles })
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
        let sql = format!("SELECT {RIGHTS} FROM pg_roles u WHERE u.rolname = current_user");
        let read = self.with(|client| async move { rights(&client.query_one(&sql, &[]).await?) });
        Ok(self.missing(read.await?))
    }

    /// Text about the first right that this login lacks.
    fn missing(&self, Rights { creates, signals }: Rights) -> Option<String> {
        let user = &self.login.user;
        let statement = match (creates, signals) {
            (true, true) => return None,
            (false, _) => format!("may not create roles: run ALTER ROLE \"{user}\" CREATEROLE"),
            _ => format!("may not end sessions: run GRANT pg_signal_backend TO \"{user}\""),
        };
        Some(format!("login `{user}` {statement}"))
    }
}

/// What a server reports about its administration.
#[derive(Default)]
struct Answer {
    rights: Rights,
    asynchronous: bool,
    roles: Vec<NodeRole>,
}

impl Answer {
    /// Each row has the same rights, and a role unless there is none.
    fn of(rows: &[Row], mark: &str) -> Result<Self, tokio_postgres::Error> {
        let Some(first) = rows.first() else { return Ok(Self::default()) };
        let mut roles = Vec::new();
        for row in rows {
            if row.try_get::<_, Option<String>>("name")?.is_some() {
                roles.push(NodeRole::of(row, mark)?);
            }
        }
        Ok(Self { rights: rights(first)?, asynchronous: first.try_get("asynchronous")?, roles })
    }
}

/// Rights of a login.
#[derive(Clone, Copy, Default)]
struct Rights {
    creates: bool,
    signals: bool,
}

fn rights(row: &Row) -> Result<Rights, tokio_postgres::Error> {
    Ok(Rights { creates: row.try_get("creates")?, signals: row.try_get("signals")? })
}
