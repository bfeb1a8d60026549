//! Writes that precede the observation: the guard, the tables, the seal's key, the leader's label, the certificates.

use std::sync::Arc;

use steamer_core::context::Context;
use steamer_core::error::Error;

use crate::certificates::keep as certificates;
use crate::certificates::keep::Certificate;
use crate::cluster::{Cluster, Mode};
use crate::database::storage;
use crate::database::storage::Storage;
use crate::effects::Effects;
use crate::first_start::Start;
use crate::guard::registry::Guards;
use crate::guard::target::{GuardReport, GuardTarget};
use crate::managed::input::Input;
use crate::nodes::leader;
use crate::restore;
use crate::seal::check::Contents;
use crate::seal::keys;
use crate::seal::migration;
use crate::seal::migration::Migration;

/// Results of the preparation. A failure affects only what depends on it.
pub(crate) struct Prepared {
    pub(crate) storage: Result<Storage, Arc<Error>>,
    /// Result of labeling the leader's pod.
    pub(crate) labeled: Result<(), Arc<Error>>,
    pub(crate) certificate: Result<Certificate, Arc<Error>>,
    pub(crate) migration: Migration,
}

impl Prepared {
    /// Returns true if storage is known to contain an initialized OpenBao.
    pub(crate) fn has_data(&self) -> bool {
        self.storage.as_ref().is_ok_and(|storage| storage.contents.initialized)
    }
}

/// The last report of the guard. It does not run while no node may run.
pub(crate) fn guard(
    context: &Arc<Context>,
    guards: &Guards,
    cluster: &Cluster,
    target: &Arc<GuardTarget>,
) -> GuardReport {
    if cluster.mode.stops_nodes() {
        guards.stop(&cluster.name);
        return GuardReport::default();
    }
    guards.watch(context, target.clone())
}

/// Prepares a cluster. A suspended cluster keeps the label of its leader and its certificates.
///
/// # Errors
/// If the nodes cannot be stopped for a restore, or the key of the seal cannot be created.
pub(crate) async fn prepare(effects: &Effects<'_>, input: Input<'_>) -> Result<Prepared, Error> {
    let cluster = input.cluster;
    let storage = match cluster.mode {
        Mode::Restoring | Mode::Hibernating => Err(restore::stop(effects, cluster).await?),
        Mode::Active | Mode::Suspended => storage::open(effects, cluster).await,
    };
    let migration = match &storage {
        Ok(storage) => migration::state(cluster, &storage.contents).unwrap_or(Migration::None),
        Err(_) => Migration::None,
    };
    if cluster.mode != Mode::Suspended {
        create_key(effects, cluster, storage.as_ref().ok()).await?;
    }
    // Before the nodes are queried: clients of the leader's Service wait for the label.
    let labeled = label(effects, input).await;
    let certificate = match (cluster.mode, input.start()) {
        (Mode::Suspended, Start::First) => certificates::observe(effects, cluster),
        _ => certificates::keep(effects, cluster).await,
    };
    Ok(Prepared {
        storage: storage.map_err(Arc::new),
        labeled: labeled.map_err(Arc::new),
        certificate: certificate.map_err(Arc::new),
        migration,
    })
}

async fn label(effects: &Effects<'_>, input: Input<'_>) -> Result<(), Error> {
    match &input.guard_report.leader {
        Some(leader) => leader::label(effects, &leader.pod, leader.since).await,
        None => Ok(()),
    }
}

/// Creates the key of a static seal, unless storage is unreachable.
async fn create_key(
    effects: &Effects<'_>,
    cluster: &Cluster,
    storage: Option<&Storage>,
) -> Result<(), Error> {
    let Some(storage) = storage.filter(|_| cluster.spec.seal.r#static.is_some()) else { return Ok(()) };
    let is_sealed =
        storage.contents.initialized && migration::state(cluster, &storage.contents)? == Migration::None;
    keys::create(effects, cluster, if is_sealed { Contents::Sealed } else { Contents::Empty }).await
}
