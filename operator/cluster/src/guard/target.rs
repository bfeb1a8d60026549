//! Input and output of the guard of one cluster.

use std::sync::Arc;

use jiff::Timestamp;
use steamer_openbao::Settings;
use steamer_runtime::{Key, Locked, ObjectName};

use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::incarnations::RoleAdmin;
use crate::nodes::health::Unhealthy;
use crate::nodes::standby_mark::StandbyMark;

/// The cluster that a guard watches, and its connections.
pub(crate) struct GuardTarget {
    pub(crate) cluster: Cluster,
    /// Mark of the cluster on its database and its roles.
    pub(crate) mark: String,
    pub(crate) owner: Arc<Database>,
    pub(crate) admin: Option<Arc<Database>>,
    /// Settings of a client of a node, without its address.
    pub(crate) server: Settings,
    /// Serializes login changes: a fence and a reconcile may race.
    pub(crate) logins: Arc<tokio::sync::Mutex<()>>,
    /// Unhealthy nodes of the last reconcile.
    pub(crate) unhealthy: Locked<Unhealthy>,
    /// Last mark that was written at the leader.
    pub(crate) standby_mark: Locked<Option<StandbyMark>>,
    /// Digest of the settings: a target with another digest replaces this one.
    pub(crate) digest: String,
}

impl GuardTarget {
    /// The logins that manage node roles, if an admin login exists.
    pub(crate) fn role_admin(&self) -> Option<RoleAdmin<'_>> {
        let admin = self.admin.as_ref()?;
        Some(RoleAdmin { owner: &self.owner, admin, mark: &self.mark })
    }
}

/// Last observation of a guard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GuardReport {
    pub(crate) leader: Option<GuardedLeader>,
    /// Error of the database, if it does not answer.
    pub(crate) storage: Option<String>,
    /// Number of fenced leaders. A change requeues the cluster.
    pub(crate) fences: u32,
}

/// The leader of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GuardedLeader {
    pub(crate) pod: String,
    pub(crate) uid: String,
    pub(crate) since: Timestamp,
}

/// The key of a guard: a new report requeues the cluster.
pub(crate) fn guard_key(cluster: &ObjectName) -> Key {
    Key::new("ClusterGuard", cluster.clone())
}
