//! Prometheus metrics of the operator.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::freshness::{Freshness, Reading};
use crate::{ObjectName, Reason};

/// Metrics of the operator. Labels are names of controllers, reasons and at most 1000 namespaces. OpenBaoClusters are the
/// only objects that appear in labels, because they are few.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    seconds: Family<Controller, Histogram, fn() -> Histogram>,
    failures: Family<Failed, Counter>,
    waiting: Family<Controller, Gauge>,
    panics: Family<Panicking, Counter>,
    logins: Counter,
    reads: Counter,
    delivery: Histogram,
    freshness: Freshness,
    oldest_read: Family<InNamespace, Gauge>,
    next_due: Family<InNamespace, Gauge>,
    kubernetes: Counter,
    openbao: Counter,
    database: Counter,
    lock_age: Family<Cluster, Gauge<f64, AtomicU64>>,
    connections: Family<Cluster, Gauge>,
    certificate: Family<Cluster, Gauge>,
    relays: Family<Cluster, Gauge>,
    writes: Counter,
    lost_writes: Counter,
    woken: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Cluster {
    namespace: String,
    name: String,
}

impl From<&ObjectName> for Cluster {
    fn from(name: &ObjectName) -> Self {
        Self { namespace: name.namespace.clone(), name: name.name.clone() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InNamespace {
    namespace: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failed {
    controller: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Panicking {
    kind: Cow<'static, str>,
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("steamer");
        let reconciles = Family::default();
        let seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let failures = Family::default();
        let waiting = Family::default();
        let panics = Family::default();
        registry.register("panics", "Panics that were caught, by kind of the object", panics.clone());
        let (logins, reads) = (Counter::default(), Counter::default());
        registry.register("reconcile", "Reconciles of objects", reconciles.clone());
        registry.register("reconcile_seconds", "Duration of a reconcile in seconds", seconds.clone());
        registry.register("failures", "Failed reconciles by reason", failures.clone());
        registry.register("queue_waiting", "Objects waiting for a worker", waiting.clone());
        registry.register("serviceaccount_tokens", "Tokens requested for ServiceAccounts", logins.clone());
        registry.register("value_reads", "Values read from OpenBao", reads.clone());
        let delivery = Histogram::new([0.25, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0]);
        let help = "Seconds from the creation of a version in OpenBao to the write of the Secret that contained an earlier one";
        registry.register("secret_delivery_seconds", help, delivery.clone());
        let (oldest_read, next_due) = (Family::default(), Family::default());
        let help = "Time of the oldest last read of the values of a namespace, in seconds since the epoch";
        registry.register("secret_oldest_read_timestamp_seconds", help, oldest_read.clone());
        let help = "Time at which the next value of a namespace is due, in seconds since the epoch";
        registry.register("secret_next_due_timestamp_seconds", help, next_due.clone());
        let (kubernetes, openbao, database) = (Counter::default(), Counter::default(), Counter::default());
        registry.register("kubernetes_requests", "Requests to the Kubernetes API", kubernetes.clone());
        registry.register("openbao_requests", "Requests to OpenBao", openbao.clone());
        registry.register("database_requests", "Requests to PostgreSQL", database.clone());
        let (lock_age, connections, certificate) = (Family::default(), Family::default(), Family::default());
        let help = "Seconds since the leader of a cluster renewed its lock, by the clock of the database";
        registry.register("cluster_lock_age_seconds", help, lock_age.clone());
        let help = "Sessions in the database of a cluster";
        registry.register("cluster_database_connections", help, connections.clone());
        let help = "Expiration time of the certificate of a cluster's nodes, in seconds since the epoch";
        registry.register("cluster_certificate_not_after_seconds", help, certificate.clone());
        let (relays, writes) = (Family::default(), Counter::default());
        let help = "Relays of a cluster that report writes to KV engines";
        registry.register("cluster_relays", help, relays.clone());
        registry.register("relay_writes", "Writes to KV engines that relays reported", writes.clone());
        let (lost_writes, woken) = (Counter::default(), Counter::default());
        let help = "Times that a relay could not report all writes since the last answer";
        registry.register("relay_losses", help, lost_writes.clone());
        registry.register("relay_wakeups", "Objects woken by reported writes", woken.clone());
        Self {
            registry,
            reconciles,
            seconds,
            failures,
            waiting,
            panics,
            logins,
            reads,
            delivery,
            freshness: Freshness::default(),
            oldest_read,
            next_due,
            kubernetes,
            openbao,
            database,
            lock_age,
            connections,
            certificate,
            relays,
            writes,
            lost_writes,
            woken,
        }
    }
}

impl Metrics {
    /// Counts a reconcile and its duration.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Outcome { controller, outcome }).inc();
        self.seconds.get_or_create(&Controller { controller }).observe(took.as_secs_f64());
    }

    /// Counts a failed reconcile.
    pub fn failed(&self, controller: &'static str, reason: Reason) {
        self.failures.get_or_create(&Failed { controller, reason: reason.as_str() }).inc();
    }

    /// Sets the number of objects that wait for a worker.
    pub fn waiting(&self, controller: &'static str, count: usize) {
        self.waiting.get_or_create(&Controller { controller }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a panic in the handling of an object.
    pub fn panicked(&self, kind: impl Into<Cow<'static, str>>) {
        self.panics.get_or_create(&Panicking { kind: kind.into() }).inc();
    }

    /// Counts a token request for a ServiceAccount.
    pub fn token_requested(&self) {
        self.logins.inc();
    }

    /// Counts a value that was read from OpenBao.
    pub fn value_read(&self) {
        self.reads.inc();
    }

    /// Records the time from the creation of a version in OpenBao to the write of its Secret, in seconds.
    pub fn delivered(&self, seconds: f64) {
        self.delivery.observe(seconds);
    }

    /// Records a successful read of the value of an object.
    pub fn value_fresh(&self, controller: &'static str, object: &ObjectName, reading: Reading) {
        self.freshness.record(controller, object, reading);
    }

    /// Records that the value of an object was not read. An earlier successful read is kept.
    pub fn value_unread(&self, controller: &'static str, object: &ObjectName, since: i64) {
        self.freshness.expect(controller, object, Reading { read: since, due: since });
    }

    /// Removes the age of a value that is not read any more.
    pub fn value_ends(&self, controller: &'static str, object: &ObjectName) {
        self.freshness.forget(controller, object);
    }

    /// Counts a request to the Kubernetes API.
    pub fn kubernetes_asked(&self) {
        self.kubernetes.inc();
    }

    /// Counts a request to OpenBao.
    pub fn openbao_asked(&self) {
        self.openbao.inc();
    }

    /// Counts a request to PostgreSQL.
    pub fn database_asked(&self) {
        self.database.inc();
    }

    /// Sets the time in seconds since the leader of a cluster renewed its lock. `None` removes the metric while the
    /// lock is not held.
    pub fn lock_age(&self, cluster: &ObjectName, seconds: Option<f64>) {
        match seconds {
            Some(seconds) => drop(self.lock_age.get_or_create(&cluster.into()).set(seconds)),
            None => drop(self.lock_age.remove(&cluster.into())),
        }
    }

    /// Sets the number of sessions in the database of a cluster.
    pub fn database_connections(&self, cluster: &ObjectName, count: i64) {
        self.connections.get_or_create(&cluster.into()).set(count);
    }

    /// Sets the expiration time of the certificate of a cluster's nodes, in seconds since the epoch.
    pub fn certificate_ends(&self, cluster: &ObjectName, at: i64) {
        self.certificate.get_or_create(&cluster.into()).set(at);
    }

    /// Sets the number of relays of a cluster that report writes.
    pub fn relays(&self, cluster: &ObjectName, count: i64) {
        self.relays.get_or_create(&cluster.into()).set(count);
    }

    /// Removes the metric of a cluster without relays.
    pub fn no_relays(&self, cluster: &ObjectName) {
        self.relays.remove(&cluster.into());
    }

    /// Counts writes that a relay reported.
    pub fn writes_reported(&self, count: u64) {
        self.writes.inc_by(count);
    }

    /// Counts an answer of a relay that does not contain all writes.
    pub fn writes_lost(&self) {
        self.lost_writes.inc();
    }

    /// Counts objects that reported writes woke.
    pub fn readers_woken(&self, count: u64) {
        self.woken.inc_by(count);
    }

    /// Removes the metrics of a deleted cluster.
    pub fn forget_cluster(&self, cluster: &ObjectName) {
        let labels = cluster.into();
        self.lock_age.remove(&labels);
        self.connections.remove(&labels);
        self.certificate.remove(&labels);
        self.relays.remove(&labels);
    }

    /// Returns all metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        self.oldest_read.clear();
        self.next_due.clear();
        for (namespace, Reading { read, due }) in self.freshness.by_namespace() {
            let labels = InNamespace { namespace };
            self.oldest_read.get_or_create(&labels).set(read);
            self.next_due.get_or_create(&labels).set(due);
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
