//! Metrics of OpenBaoClusters.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::{Cluster, ClusterCondition, ClusterVersion};
use super::registration::Registration;
use crate::ObjectName;

/// State of an OpenBaoCluster, from its spec and status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// Namespace and name of the object.
    pub name: ObjectName,
    /// Version that OpenBao reports.
    pub version: Option<String>,
    /// Type, status and reason of each condition.
    pub conditions: Vec<[String; 3]>,
    /// Number of resources that deleted objects left in OpenBao.
    pub orphans: usize,
    /// Nodes of a managed cluster.
    pub nodes: Option<NodeCounts>,
}

/// Nodes of a managed cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Number of nodes in the spec. 0 while the cluster hibernates.
    pub desired: i64,
    /// Number of nodes that serve.
    pub serving: i64,
    /// Number of leader changes.
    pub leader_changes: u64,
}

pub(super) struct Clusters {
    version: Family<ClusterVersion, Gauge>,
    condition: Family<ClusterCondition, Gauge>,
    orphans: Family<Cluster, Gauge>,
    desired: Family<Cluster, Gauge>,
    serving: Family<Cluster, Gauge>,
    leader_changes: Family<Cluster, Counter>,
    pub(super) fences: Family<Cluster, Counter>,
    pub(super) takeovers: Family<Cluster, Histogram, fn() -> Histogram>,
    pub(super) lock_age: Family<Cluster, Gauge<f64, AtomicU64>>,
    pub(super) connections: Family<Cluster, Gauge>,
    pub(super) max_connections: Family<Cluster, Gauge>,
    pub(super) certificate: Family<Cluster, Gauge>,
    pub(super) relays: Family<Cluster, Gauge>,
    pub(super) drill_success: Family<Cluster, Gauge>,
    pub(super) drill_time: Family<Cluster, Gauge>,
}

/// Labels of the metrics of a cluster.
const LABELS: &[&str] = &["namespace", "name"];

fn takeovers() -> Histogram {
    Histogram::new([0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0])
}

impl Clusters {
    pub(super) fn register(to: &mut Registration) -> Self {
        let takeovers = Family::new_with_constructor(takeovers as fn() -> Histogram);
        let (condition, version) =
            (&["namespace", "name", "condition", "status", "reason"], &["namespace", "name", "version"]);
        Self {
            version: to.add(
                "steamer_cluster_info",
                version,
                "1, with the OpenBao version of the cluster",
                Family::default(),
            ),
            condition: to.add(
                "steamer_cluster_condition",
                condition,
                "1 for the current status (True, False or Unknown) of each condition of the cluster",
                Family::default(),
            ),
            orphans: to.add(
                "steamer_cluster_orphans",
                LABELS,
                "Resources that deleted objects left in OpenBao, because it was unreachable",
                Family::default(),
            ),
            desired: to.add(
                "steamer_cluster_nodes",
                LABELS,
                "Nodes in the spec of a managed cluster, 0 while it hibernates",
                Family::default(),
            ),
            serving: to.add(
                "steamer_cluster_nodes_serving",
                LABELS,
                "Nodes of a managed cluster that serve",
                Family::default(),
            ),
            leader_changes: to.add(
                "steamer_cluster_leader_changes",
                LABELS,
                "Leader changes of a managed cluster",
                Family::default(),
            ),
            fences: to.add(
                "steamer_cluster_fences",
                LABELS,
                "Lost leaders that this process fenced",
                Family::default(),
            ),
            takeovers: to.add(
                "steamer_cluster_takeover_seconds",
                LABELS,
                "Seconds from the acquisition of the leader lock until the node leads",
                takeovers,
            ),
            lock_age: to.add(
                "steamer_cluster_lock_age_seconds",
                LABELS,
                "Seconds since the leader renewed its lock, by the clock of the database. Up to 5 is \
normal. Absent while the lock is free",
                Family::default(),
            ),
            connections: to.add(
                "steamer_cluster_database_connections",
                LABELS,
                "Sessions in the database of a managed cluster",
                Family::default(),
            ),
            max_connections: to.add(
                "steamer_cluster_database_max_connections",
                LABELS,
                "Most sessions that the database server of a managed cluster permits",
                Family::default(),
            ),
            certificate: to.add(
                "steamer_cluster_certificate_not_after_seconds",
                LABELS,
                "Expiration time of the certificate of a managed cluster's nodes, in seconds since \
the epoch",
                Family::default(),
            ),
            relays: to.add(
                "steamer_cluster_relays",
                LABELS,
                "Relays of a cluster that report writes to KV engines",
                Family::default(),
            ),
            drill_success: to.add(
                "steamer_cluster_restore_drill_success",
                LABELS,
                "1 if the last restore drill of a cluster succeeded, otherwise 0",
                Family::default(),
            ),
            drill_time: to.add(
                "steamer_cluster_restore_drill_last_success_timestamp_seconds",
                LABELS,
                "Start of the last restore drill of a cluster that succeeded, in seconds since the epoch",
                Family::default(),
            ),
        }
    }

    /// Replaces the metrics that come from specs and statuses.
    pub(super) fn set(&self, clusters: Vec<ClusterState>) {
        self.version.clear();
        self.condition.clear();
        for family in [&self.orphans, &self.desired, &self.serving] {
            family.clear();
        }
        self.leader_changes.clear();
        for cluster in clusters {
            self.set_one(cluster);
        }
    }

    fn set_one(&self, ClusterState { name, version, conditions, orphans, nodes }: ClusterState) {
        let cluster = Cluster::from(&name);
        let Cluster { namespace, name } = cluster.clone();
        for [condition, status, reason] in conditions {
            let labels = ClusterCondition {
                namespace: namespace.clone(),
                name: name.clone(),
                condition,
                status,
                reason,
            };
            self.condition.get_or_create(&labels).set(1);
        }
        if let Some(version) = version {
            self.version.get_or_create(&ClusterVersion { namespace, name, version }).set(1);
        }
        self.orphans.get_or_create(&cluster).set(i64::try_from(orphans).unwrap_or(i64::MAX));
        if let Some(NodeCounts { desired, serving, leader_changes }) = nodes {
            self.desired.get_or_create(&cluster).set(desired);
            self.serving.get_or_create(&cluster).set(serving);
            self.leader_changes.get_or_create(&cluster).inner().store(leader_changes, Ordering::Relaxed);
            // Present from the start, so that the first fence is an increase.
            drop(self.fences.get_or_create(&cluster));
        }
    }

    /// Removes the metrics of a deleted cluster.
    pub(super) fn forget(&self, cluster: &ObjectName) {
        let labels = cluster.into();
        self.fences.remove(&labels);
        self.takeovers.remove(&labels);
        self.lock_age.remove(&labels);
        self.connections.remove(&labels);
        self.max_connections.remove(&labels);
        self.certificate.remove(&labels);
        self.relays.remove(&labels);
        self.drill_success.remove(&labels);
        self.drill_time.remove(&labels);
    }
}
