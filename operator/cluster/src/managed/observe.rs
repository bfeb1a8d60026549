//! Reads the state of a cluster and of its nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use steamer_core::error::Error;

use crate::break_glass;
use crate::break_glass::Live;
use crate::certificates::keep::Certificate;
use crate::cluster::{Cluster, Mode};
use crate::database::facts::Server as DatabaseServer;
use crate::database::logins;
use crate::database::storage::Storage;
use crate::effects::Sources;
use crate::first_start::Start;
use crate::jobs;
use crate::managed::input::Input;
use crate::managed::prepare::Prepared;
use crate::nodes::members::Member;
use crate::nodes::start::StartInputs;
use crate::nodes::{configuration, fence_request, health, observation, standby_mark, start, stateful_set};
use crate::objects::configuration::Headers;
use crate::objects::validation_job;
use crate::restore_drill;
use crate::seal::check::{Contents, SealCheck, Sealed};
use crate::seal::keys::StaticKeys;
use crate::seal::migration::Migration;
use crate::seal::recovery::RecoveryKeys;
use crate::seal::{check, keys, migration};
use crate::waits::Waits;

/// Observed state of a cluster. A failure affects only what depends on it.
pub(crate) struct Observed {
    pub(crate) storage: Result<Storage, Arc<Error>>,
    /// Result of labeling the leader's pod.
    pub(crate) labeled: Result<(), Arc<Error>>,
    pub(crate) certificate: Result<Certificate, Arc<Error>>,
    pub(crate) migration: Migration,
    pub(crate) seal: SealCheck,
    /// The keys of a static seal, if storage is sealed with them.
    pub(crate) keys: Result<Option<StaticKeys>, Arc<Error>>,
    pub(crate) members: Vec<Member>,
    /// The live StatefulSet, or the one before while it is being recreated.
    pub(crate) live: Option<Arc<StatefulSet>>,
    pub(crate) config_maps: Vec<Arc<ConfigMap>>,
    /// The objects of break-glass.
    pub(crate) break_glass: Live,
    /// Secret with the logins of the nodes.
    pub(crate) logins: Option<Arc<Secret>>,
    /// Name of the Secret with the recovery keys in force.
    pub(crate) recovery_secret: Option<String>,
    /// Headers of the audit devices.
    pub(crate) headers: Result<BTreeMap<String, Headers>, Arc<Error>>,
    /// Digest of everything that a node reads only when it starts.
    pub(crate) start_digest: Result<String, Arc<Error>>,
    /// Longest measured takeover.
    pub(crate) longest_takeover: Duration,
    /// Waiting times that derive from the duration of a takeover.
    pub(crate) waits: Waits,
    /// Text about a takeover that takes long.
    pub(crate) takeover: Option<String>,
    /// The objects of a restore drill.
    pub(crate) drill: restore_drill::Live,
    /// Jobs that check rollouts, if a check is configured.
    pub(crate) jobs: Result<Vec<Job>, Arc<Error>>,
    /// Its pods may be replaced for a change now: not too many other clusters are being changed.
    pub(crate) has_turn: bool,
}

impl Observed {
    /// Returns true if storage is known to contain an initialized OpenBao.
    pub(crate) fn has_data(&self) -> bool {
        self.storage.as_ref().is_ok_and(|storage| storage.contents.initialized)
    }

    /// Returns true if storage is sealed with the previous seal.
    pub(crate) fn is_migrating(&self) -> bool {
        self.migration == Migration::InProgress
    }

    /// First error of the preparation that prevents no change.
    pub(crate) fn contested(&self) -> Option<Arc<Error>> {
        let certificate = self.certificate.as_ref().ok();
        let of_certificate = || certificate.and_then(|certificate| certificate.contested.clone());
        self.labeled.as_ref().err().cloned().or_else(of_certificate)
    }

    /// Returns true if a node that starts can read its storage.
    pub(crate) fn can_start(&self) -> bool {
        self.storage.is_ok() && self.seal.opens()
    }
}

pub(crate) async fn observe(sources: &Sources<'_>, input: Input<'_>, prepared: Prepared) -> Observed {
    let cluster = input.cluster;
    let live = stateful_set::live(sources.child_api, &cluster.uid);
    let logins = sources.child_api.get::<Secret>(&cluster.logins_secret());
    let seal = check::observe(sources, cluster, sealed(input, &prepared), prepared.migration).await;
    sources.guard_target.set_seal_opens(seal.opens());
    let mut members = members(sources, input, prepared.migration).await;
    let seal = check::judged(seal, &members);
    if let Ok(Storage { roles: Some(roles), .. }) = &prepared.storage {
        fence_request::mark(&mut members, roles, logins.as_deref());
    }
    if prepared.storage.is_err() || !seal.opens() {
        health::forget(&mut members, &sources.guard_target.unhealthy, prepared.storage.is_ok());
    }
    let keys = static_keys(sources, input, &prepared).await;
    let headers = configuration::headers(sources, cluster).await;
    let start_digest = start_digest(sources, cluster, &prepared, logins.as_deref()).await;
    measure(sources, &prepared);
    let (takeovers, takeover) =
        (&sources.guard_target.lasting.takeovers, input.guard_report.takeover.as_ref());
    let Prepared { storage, labeled, certificate, migration } = prepared;
    Observed {
        storage,
        labeled,
        certificate,
        migration,
        seal,
        keys: keys.map_err(Arc::new),
        members,
        live,
        config_maps: sources.child_api.all(),
        break_glass: break_glass::objects::live(sources.child_api),
        logins,
        recovery_secret: RecoveryKeys::last(cluster).secret_name(&sources.child_api.all()),
        headers: headers.map_err(Arc::new),
        start_digest,
        longest_takeover: takeovers.longest(),
        waits: takeovers.waits(),
        takeover: takeover.and_then(|takeover| takeovers.text(takeover, Instant::now())),
        drill: restore_drill::observe(sources).await,
        jobs: checks(sources, cluster).await.map_err(Arc::new),
        has_turn: sources.turns.is_free(&cluster.name, Instant::now()),
    }
}

/// Storage, with regard to its seal. The last status counts while storage is unreachable.
fn sealed<'a>(input: Input<'_>, prepared: &'a Prepared) -> Sealed<'a> {
    let has_data = prepared.has_data() || input.start() == Start::Completed;
    let keys = prepared.storage.as_ref().ok().and_then(|storage| storage.wrapping_keys.as_deref());
    Sealed {
        contents: if has_data { Contents::Sealed } else { Contents::Empty },
        keys: keys.unwrap_or_default(),
    }
}

/// The Jobs that check rollouts. They are not watched: their pods are.
async fn checks(sources: &Sources<'_>, cluster: &Cluster) -> Result<Vec<Job>, Error> {
    if cluster.spec.upgrade.validation.is_none() {
        return Ok(Vec::new());
    }
    jobs::all(sources, validation_job::APP).await
}

async fn members(sources: &Sources<'_>, input: Input<'_>, migration: Migration) -> Vec<Member> {
    let cluster = input.cluster;
    let mut members = observation::observe(sources, cluster).await;
    if migration == Migration::InProgress {
        migration::recognize(sources, cluster, &mut members).await;
    }
    if cluster.spec.standby_reads {
        observe_mark(sources, input, &mut members).await;
    }
    members
}

async fn observe_mark(sources: &Sources<'_>, input: Input<'_>, members: &mut [Member]) {
    let client = |pod: &str| sources.node(input.cluster, pod).ok();
    let session = sources.context.operator_session(sources.dependencies, input.object).await;
    if let Ok(session) = session {
        let mark = &sources.guard_target.standby_mark;
        standby_mark::observe(members, mark, session.identity(), client).await;
    }
}

async fn static_keys(
    sources: &Sources<'_>,
    input: Input<'_>,
    prepared: &Prepared,
) -> Result<Option<StaticKeys>, Error> {
    let cluster = input.cluster;
    let are_used = prepared.has_data() && prepared.migration == Migration::None;
    let storage = prepared.storage.as_ref().ok().filter(|_| cluster.mode != Mode::Suspended && are_used);
    let Some(storage) = storage else { return Ok(None) };
    let recorded = keys::recorded(cluster, input.found.last.seal.as_ref());
    keys::observe(sources, cluster, (&recorded, storage.wrapping_keys.as_deref())).await
}

async fn start_digest(
    sources: &Sources<'_>,
    cluster: &Cluster,
    prepared: &Prepared,
    logins: Option<&Secret>,
) -> Result<String, Arc<Error>> {
    let storage = prepared.storage.as_ref().map_err(Arc::clone)?;
    let certificate = prepared.certificate.as_ref().map_err(Arc::clone)?;
    let inputs = StartInputs {
        cluster,
        has_roles: logins::have_roles(cluster, storage, logins),
        certificate: &certificate.issued,
        read_at_start: &migration::settings(cluster, None, prepared.migration)?.read_at_start,
    };
    Ok(start::digest(sources, &inputs).await?)
}

fn measure(sources: &Sources<'_>, prepared: &Prepared) {
    let (metrics, name) = (&sources.context.runtime.metrics, &sources.child_api.cluster);
    if let Ok(storage) = &prepared.storage {
        let DatabaseServer { connections, max_connections, .. } = storage.server;
        metrics.database_connections(name, connections, max_connections.into());
    }
    if let Ok(Certificate { ends: Some(ends), .. }) = &prepared.certificate {
        metrics.certificate_ends(name, *ends);
    }
}
