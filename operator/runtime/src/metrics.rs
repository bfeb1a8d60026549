//! Prometheus metrics of the operator.

mod clusters;
mod labels;
mod process;
mod reconciles;
mod registration;
mod relays;
mod requests;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::freshness::{Freshness, Reading};
use crate::{Locked, ObjectName, Reason};

use clusters::Clusters;
use labels::{Build, Class, Controller, Failed, InNamespace, Outcome, Panicking};
use process::Process;
use reconciles::Reconciles;
use registration::Registration;
use relays::Relays;
use requests::Requests;
use values::Values;

pub use clusters::{ClusterState, NodeCounts};
pub use labels::ObjectState;
pub use registration::Description;

/// Metrics of the operator. Labels are names of controllers, reasons and at most 1000 namespaces. OpenBaoClusters are the
/// only objects that appear in labels, because they are few.
pub struct Metrics {
    registry: Registry,
    descriptions: Vec<Description>,
    updates: Locked<Vec<Update>>,
    freshness: Freshness,
    process: Process,
    reconciles: Reconciles,
    values: Values,
    requests: Requests,
    clusters: Clusters,
    relays: Relays,
}

/// Sets metrics from state that changes without a call of [`Metrics`].
type Update = Box<dyn Fn(&Metrics) + Send>;

impl Default for Metrics {
    fn default() -> Self {
        let mut to = Registration::default();
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        to.add("steamer_build_info", &["version"], "1, with the version of the operator", build);
        let reconciles = Reconciles::register(&mut to);
        let values = Values::register(&mut to);
        let requests = Requests::register(&mut to);
        let clusters = Clusters::register(&mut to);
        let relays = Relays::register(&mut to);
        let process = Process::register(&mut to);
        let (registry, descriptions) = to.complete();
        let (updates, freshness) = (Locked::default(), Freshness::default());
        Self {
            registry,
            descriptions,
            updates,
            freshness,
            process,
            reconciles,
            values,
            requests,
            clusters,
            relays,
        }
    }
}

impl Metrics {
    /// Returns a description of every metric, in the order of the export.
    #[must_use]
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }

    /// Adds a function that sets metrics before each export.
    pub fn before_export(&self, update: impl Fn(&Self) + Send + 'static) {
        self.updates.lock().push(Box::new(update));
    }

    /// Records that this process holds the leader lease.
    pub fn leads(&self) {
        self.reconciles.leader.set(1);
    }

    /// Replaces the numbers of objects by state.
    pub fn objects(&self, counts: BTreeMap<ObjectState, i64>) {
        self.reconciles.objects.clear();
        for (state, count) in counts {
            self.reconciles.objects.get_or_create(&state).set(count);
        }
    }

    /// Replaces the states of all OpenBaoClusters.
    pub fn clusters(&self, clusters: Vec<ClusterState>) {
        self.clusters.set(clusters);
    }

    /// Counts a lost leader that was fenced.
    pub fn fenced(&self, cluster: &ObjectName) {
        self.clusters.fences.get_or_create(&cluster.into()).inc();
    }

    /// Records the time from the acquisition of the leader lock until the node leads.
    pub fn took_over(&self, cluster: &ObjectName, took: Duration) {
        self.clusters.takeovers.get_or_create(&cluster.into()).observe(took.as_secs_f64());
    }

    /// Records for how long an object waited for a worker.
    pub fn waited(&self, controller: &'static str, time: Duration) {
        self.reconciles.queue_wait.get_or_create(&Controller { controller }).observe(time.as_secs_f64());
    }

    /// Records the duration of a request to OpenBao.
    pub fn openbao_answered(&self, class: &'static str, took: Duration) {
        self.requests.openbao_seconds.get_or_create(&Class { class }).observe(took.as_secs_f64());
    }

    /// Counts a reconcile and its duration.
    pub fn reconciled(&self, controller: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.reconciles.get_or_create(&Outcome { controller, outcome }).inc();
        self.reconciles.seconds.get_or_create(&Controller { controller }).observe(took.as_secs_f64());
    }

    /// Counts a failed reconcile.
    pub fn failed(&self, controller: &'static str, reason: Reason) {
        self.reconciles.failures.get_or_create(&Failed { controller, reason: reason.as_str() }).inc();
    }

    /// Sets the number of objects that wait for a worker.
    pub fn waiting(&self, controller: &'static str, count: usize) {
        self.reconciles
            .waiting
            .get_or_create(&Controller { controller })
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a panic in the handling of an object.
    pub fn panicked(&self, kind: impl Into<Cow<'static, str>>) {
        self.reconciles.panics.get_or_create(&Panicking { kind: kind.into() }).inc();
    }

    /// Counts a token request for a ServiceAccount.
    pub fn token_requested(&self) {
        self.requests.logins.inc();
    }

    /// Counts a value that was read from OpenBao.
    pub fn value_read(&self) {
        self.values.reads.inc();
    }

    /// Records the time from the creation of a version in OpenBao to the write of its Secret, in seconds.
    pub fn delivered(&self, seconds: f64) {
        self.values.delivery.observe(seconds);
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
        self.requests.kubernetes.inc();
    }

    /// Counts a request to OpenBao.
    pub fn openbao_asked(&self) {
        self.requests.openbao.inc();
    }

    /// Counts a request to PostgreSQL.
    pub fn database_asked(&self) {
        self.requests.database.inc();
    }

    /// Sets the time in seconds since the leader of a cluster renewed its lock. `None` removes the metric while the
    /// lock is not held.
    pub fn lock_age(&self, cluster: &ObjectName, seconds: Option<f64>) {
        match seconds {
            Some(seconds) => drop(self.clusters.lock_age.get_or_create(&cluster.into()).set(seconds)),
            None => drop(self.clusters.lock_age.remove(&cluster.into())),
        }
    }

    /// Sets the number of sessions in the database of a cluster, and the most that the server permits.
    pub fn database_connections(&self, cluster: &ObjectName, count: i64, most: i64) {
        self.clusters.connections.get_or_create(&cluster.into()).set(count);
        self.clusters.max_connections.get_or_create(&cluster.into()).set(most);
    }

    /// Sets the expiration time of the certificate of a cluster's nodes, in seconds since the epoch.
    pub fn certificate_ends(&self, cluster: &ObjectName, at: i64) {
        self.clusters.certificate.get_or_create(&cluster.into()).set(at);
    }

    /// Sets the number of relays of a cluster that report writes.
    pub fn relays(&self, cluster: &ObjectName, count: i64) {
        self.clusters.relays.get_or_create(&cluster.into()).set(count);
    }

    /// Removes the metric of a cluster without relays.
    pub fn no_relays(&self, cluster: &ObjectName) {
        self.clusters.relays.remove(&cluster.into());
    }

    /// Sets the result of the last restore drill of a cluster, and the time of the last one that succeeded, in seconds since
    /// the epoch.
    pub fn restore_drill(&self, cluster: &ObjectName, is_success: bool, last_success: Option<i64>) {
        self.clusters.drill_success.get_or_create(&cluster.into()).set(is_success.into());
        if let Some(at) = last_success {
            self.clusters.drill_time.get_or_create(&cluster.into()).set(at);
        }
    }

    /// Counts writes that a relay reported.
    pub fn writes_reported(&self, count: u64) {
        self.relays.writes.inc_by(count);
    }

    /// Counts an answer of a relay that does not contain all writes.
    pub fn writes_lost(&self) {
        self.relays.lost_writes.inc();
    }

    /// Counts objects that reported writes woke.
    pub fn readers_woken(&self, count: u64) {
        self.relays.woken.inc_by(count);
    }

    /// Removes the metrics of a deleted cluster.
    pub fn forget_cluster(&self, cluster: &ObjectName) {
        self.clusters.forget(cluster);
    }

    /// Returns all metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        // Until the end: an export at the same time must not find metrics that are being replaced.
        let updates = self.updates.lock();
        self.process.measure();
        updates.iter().for_each(|update| update(self));
        self.update_freshness();
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn update_freshness(&self) {
        self.values.oldest_read.clear();
        self.values.next_due.clear();
        let now = jiff::Timestamp::now().as_second();
        for (namespace, Reading { read, due }) in self.freshness.by_namespace() {
            let labels = InNamespace { namespace };
            self.values.oldest_read.get_or_create(&labels).set(read.min(now));
            self.values.next_due.get_or_create(&labels).set(due);
        }
    }
}
