//! Input and output of the guard of one cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use steamer_core::access::sessions::Sessions;
use steamer_core::error::Error;
use steamer_openbao::{Client, Settings};
use steamer_runtime::{Key, Locked, Metrics, ObjectName};

use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::availability::Servers;
use crate::database::incarnations::RoleAdmin;
use crate::database::login::Login;
use crate::database::operator_lock::OperatorLock;
use crate::database::survey::Known;
use crate::guard::takeover::{Takeover, Takeovers};
use crate::nodes::health::Unhealthy;
use crate::nodes::members;
use crate::nodes::standby_mark::StandbyMark;

/// Connections to the database of a cluster. Those of a guard are separate: each connection belongs to the runtime that
/// opened it, and reconciles must not delay a guard. A clone shares the connections.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) owner: Database,
    pub(crate) admin: Option<Database>,
}

impl Links {
    pub(crate) fn new(cluster: &Cluster, servers: &Servers, metrics: &Arc<Metrics>) -> Self {
        let database = |login: Login| {
            let server = servers.at(&login.address());
            Database::new(login, server, metrics.clone())
        };
        Self { owner: database(cluster.owner.clone()), admin: cluster.admin.clone().map(database) }
    }

    /// The same for guards, fences, restores and deletions: what is known about the servers does not delay them.
    pub(crate) fn urgent(self) -> Self {
        Self { owner: self.owner.urgent(), admin: self.admin.map(Database::urgent) }
    }

    /// The logins that manage node roles, if an admin login exists.
    pub(crate) fn role_admin<'a>(&'a self, mark: &'a str) -> Option<RoleAdmin<'a>> {
        Some(RoleAdmin { owner: &self.owner, admin: self.admin.as_ref()?, mark })
    }
}

/// State of a cluster that outlives a change of its settings.
#[derive(Default)]
pub(crate) struct Lasting {
    /// Serializes login changes: a fence and a reconcile may race.
    pub(crate) logins: tokio::sync::Mutex<()>,
    /// Which operator uses the database.
    pub(crate) operator_lock: OperatorLock,
    /// Duration of takeovers.
    pub(crate) takeovers: Takeovers,
    /// Parts of the database that its survey can read.
    pub(crate) known: Known,
    /// Admin login that has been permitted to lock the row of the leader's lock, as far as PostgreSQL allows it.
    pub(crate) lock_admin: Locked<String>,
    /// The seal opened in the last reconcile.
    seal: AtomicBool,
}

/// The cluster that a guard watches, and its connections.
pub(crate) struct GuardTarget {
    pub(crate) cluster: Cluster,
    /// Mark of the cluster on its database and its roles.
    pub(crate) mark: String,
    /// Connections of reconciles.
    pub(crate) links: Links,
    /// The connections of reconciles, for fences, restores and deletions: none of their steps is refused because another cluster
    /// got no answer.
    pub(crate) fence_links: Links,
    /// Connections of the guard.
    pub(crate) own_links: Links,
    /// Clients of the guard, by pod.
    pub(crate) own_clients: Locked<HashMap<String, Client>>,
    /// Settings of a client of a node, without its address.
    pub(crate) server: Settings,
    /// The controllers, and with them all watches, have ended.
    pub(crate) is_alone: Arc<AtomicBool>,
    /// State that a target with other settings keeps.
    pub(crate) lasting: Arc<Lasting>,
    /// Unhealthy nodes of the last reconcile.
    pub(crate) unhealthy: Locked<Unhealthy>,
    /// Last mark that was written at the leader.
    pub(crate) standby_mark: Locked<Option<StandbyMark>>,
    /// The last error of recording the ID of OpenBao.
    pub(crate) unrecorded: Locked<Option<String>>,
    /// Digest of the settings: a target with another digest replaces this one.
    pub(crate) digest: String,
}

impl GuardTarget {
    /// The logins that manage node roles, if an admin login exists. They are used also while the server is known not to
    /// answer.
    pub(crate) fn role_admin(&self) -> Option<RoleAdmin<'_>> {
        self.fence_links.role_admin(&self.mark)
    }

    /// Returns true if the seal is known to open: a node that starts now can unseal itself.
    pub(crate) fn seal_opens(&self) -> bool {
        self.lasting.seal.load(Ordering::Relaxed)
    }

    /// Returns true while the pods are watched.
    pub(crate) fn pods_are_live(&self) -> bool {
        !self.is_alone.load(Ordering::Relaxed)
    }

    /// Records whether the seal opens.
    pub(crate) fn set_seal_opens(&self, opens: bool) {
        self.lasting.seal.store(opens, Ordering::Relaxed);
    }

    /// Client of the guard for the node in a pod.
    pub(crate) fn own_client(&self, sessions: &Sessions, pod: &str) -> Result<Client, Error> {
        let mut clients = self.own_clients.lock();
        if let Some(client) = clients.get(pod) {
            return Ok(client.clone());
        }
        let client = sessions.separate(&members::settings(self.cluster.url(pod), &self.server))?;
        clients.insert(pod.to_owned(), client.clone());
        Ok(client)
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
    /// Time since when no node leads.
    pub(crate) leaderless_since: Option<Instant>,
    pub(crate) takeover: Option<Takeover>,
}

impl GuardReport {
    /// Time for which no node has led.
    pub(crate) fn leaderless_for(&self) -> Duration {
        self.leaderless_since.map(|since| since.elapsed()).unwrap_or_default()
    }
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
