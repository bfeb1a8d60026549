//! The guards of all clusters: one background task per managed cluster, on the thread of the failover.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steamer_api::{Kind, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::digest::digest;
use steamer_core::ownership::Owner;
use steamer_openbao::Settings;
use steamer_runtime::{Locked, ObjectName, caught_future};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::Cluster;
use crate::database::availability::Servers;
use crate::guard::target::{GuardReport, GuardTarget, Links};
use crate::guard::watcher;

/// The guards of all clusters.
#[derive(Default)]
pub(crate) struct Guards {
    guards: Locked<HashMap<ObjectName, Guard>>,
    /// The PostgreSQL servers of all clusters.
    servers: Servers,
    /// The controllers have ended.
    is_alone: Arc<AtomicBool>,
}

struct Guard {
    target: watch::Sender<Arc<GuardTarget>>,
    report: watch::Receiver<GuardReport>,
    _task: AbortOnDropHandle<()>,
}

impl Guards {
    /// Target for a cluster with a CA. A target with the same settings is reused, together with its connections. Without
    /// a CA, that of the known target stays in force.
    pub(crate) fn target(
        &self,
        context: &Context,
        ca: Option<Vec<u8>>,
        cluster: &Cluster,
    ) -> Arc<GuardTarget> {
        let known = self.known(&cluster.name);
        let ca = ca.or_else(|| known.as_ref().map(|known| known.server.ca.clone()));
        let server = node_settings(context, ca.unwrap_or_default());
        let digest = settings_digest(cluster, &server);
        if let Some(known) = known.as_ref().filter(|known| known.digest == digest) {
            return known.clone();
        }
        let new_links = || Links::new(cluster, &self.servers, &context.runtime.metrics);
        let links = new_links();
        Arc::new(GuardTarget {
            cluster: cluster.clone(),
            mark: context.mark(Owner::Object(OpenBaoCluster::ID), cluster.name.clone()).to_string(),
            fence_links: links.clone().urgent(),
            links,
            own_links: new_links().urgent(),
            own_clients: Locked::default(),
            server,
            is_alone: self.is_alone.clone(),
            lasting: known.map(|known| known.lasting.clone()).unwrap_or_default(),
            unhealthy: Locked::default(),
            standby_mark: Locked::default(),
            unrecorded: Locked::default(),
            digest,
        })
    }

    /// Starts or updates the guard of a cluster. Returns its last report.
    pub(crate) fn watch(&self, context: &Arc<Context>, target: Arc<GuardTarget>) -> GuardReport {
        let mut guards = self.guards.lock();
        let guard = guards.entry(target.cluster.name.clone()).or_insert_with(|| {
            let (sender, receiver) = watch::channel(target.clone());
            let (publisher, report) = watch::channel(GuardReport::default());
            let running = restarted(context.clone(), receiver, publisher);
            Guard { target: sender, report, _task: context.urgent.thread.spawn(running) }
        });
        guard.target.send_if_modified(|held| {
            let differs = held.digest != target.digest;
            if differs {
                *held = target;
            }
            differs
        });
        guard.report.borrow().clone()
    }

    /// Stops the guard of a cluster.
    pub(crate) fn stop(&self, cluster: &ObjectName) {
        self.guards.lock().remove(cluster);
    }

    /// Records that the controllers have ended, and with them the watches.
    pub(crate) fn leave_alone(&self) {
        self.is_alone.store(true, Ordering::Relaxed);
    }

    /// Stops all guards.
    pub(crate) fn stop_all(&self) {
        self.guards.lock().clear();
    }

    /// Target of the guard of a cluster. `None` if the cluster has no guard.
    pub(super) fn known(&self, cluster: &ObjectName) -> Option<Arc<GuardTarget>> {
        self.guards.lock().get(cluster).map(|guard| guard.target.borrow().clone())
    }
}

/// Runs a guard until shutdown. After a panic, it starts again: without it, there is no failover.
async fn restarted(
    context: Arc<Context>,
    target: watch::Receiver<Arc<GuardTarget>>,
    report: watch::Sender<GuardReport>,
) {
    while caught_future(watcher::run(context.clone(), target.clone(), report.clone())).await.is_err() {
        let cluster = target.borrow().cluster.name.clone();
        context.runtime.metrics.panicked(OpenBaoCluster::KIND);
        tracing::error!(%cluster, "a panic in the failover guard; it starts again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn settings_digest(cluster: &Cluster, server: &Settings) -> String {
    let admin = cluster.admin.as_ref().map(|admin| admin.service_file("")).unwrap_or_default();
    let text = format!(
        "{} {admin} {:?} {:?} {} {}",
        cluster.owner.service_file(""),
        cluster.fencing,
        cluster.spec.failover,
        cluster.owner.ca,
        String::from_utf8_lossy(&server.ca),
    );
    digest(text.as_bytes())
}

/// Nodes are reached by their stable names at the addresses of their pods.
fn node_settings(context: &Context, ca: Vec<u8>) -> Settings {
    Settings { ca, resolver: Some(context.node_resolver()), ..Settings::default() }
}
