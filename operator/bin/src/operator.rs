//! Process of the operator: logs, admin server, lease, controllers and orderly shutdown.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube::{Client, Config};
use steamer_cluster::Guarding;
use steamer_core::access::consent::Consent;
use steamer_core::cluster_namespaces::ClusterNamespaces;
use steamer_core::urgent::Urgent;
use steamer_openbao::Outgoing;
use steamer_runtime::admin::{self, Admin, Readiness};
use steamer_runtime::logs::Level;
use steamer_runtime::{Coverage, Lease, LeaseSettings, Limits, Metrics, Reviews, kubernetes, on_own_thread};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::args::Run;
use crate::process::prepare;
use crate::start::{Clients, Process, Settings, start};

/// Name of the leader lease.
const LEASE: &str = "steamer";

pub(crate) async fn run(arguments: Run) -> anyhow::Result<()> {
    let (level, shutdown) = prepare(&arguments.log_level, arguments.log_format.into())?;
    let process = Process {
        metrics: Arc::default(),
        readiness: Readiness::default(),
        shutdown,
        last_active: None,
        guarding: Guarding::default(),
    };
    // The admin server answers probes until everything else has ended.
    let ended = CancellationToken::new();
    let result = served(arguments, process, Served { level, ended: ended.clone() }).await;
    if let Err(problem) = &result {
        error!(error = format!("{problem:#}"), "stopping after an error");
    }
    ended.cancel();
    info!("stopped");
    result
}

/// State of the admin servers.
struct Served {
    level: Level,
    ended: CancellationToken,
}

/// Starts the admin servers, and runs the operator beside them.
async fn served(arguments: Run, process: Process, served: Served) -> anyhow::Result<()> {
    let config = Config::infer()
        .await
        .context("no Kubernetes configuration: not running in a cluster and no kubeconfig found")?;
    let api = Api { config, silence: arguments.api_silence, metrics: process.metrics.clone() };
    let reviews = arguments.metrics_authentication.then(|| api.client().map(Reviews::new)).transpose()?;
    let admin = Admin { metrics: process.metrics.clone(), readiness: process.readiness.clone(), reviews };
    let (admin_address, level_address) = (arguments.admin_address, arguments.log_level_address);
    let admin = tokio::spawn(async move {
        let level = admin::serve_level(level_address, served.level, served.ended.clone());
        tokio::try_join!(admin::serve(admin_address, admin, served.ended), level).map(drop)
    });
    elected(arguments, process, Elected { api, admin }).await
}

/// Parts of the process that start before the election.
struct Elected {
    api: Api,
    admin: JoinHandle<std::io::Result<()>>,
}

/// Waits for the leader lease and runs the controllers while the process holds it.
async fn elected(
    arguments: Run,
    mut process: Process,
    Elected { api, admin }: Elected,
) -> anyhow::Result<()> {
    let instance = arguments.instance.clone().unwrap_or_else(|| format!("steamer-{}", std::process::id()));
    let client = api.client()?;
    let holder = lease(&arguments, &instance);
    let mut lease = Lease::new(client.clone(), holder.clone());
    if until(&process.shutdown, lease.acquire()).await.is_none() {
        return Ok(());
    }
    process.metrics.leads();
    process.last_active = lease.last_active();
    let urgent = Urgent::start(|| api.client(), instance.clone())?;
    let (stop, mut lost) = kept(api, holder)?;
    let clients = Clients { client, urgent };
    let (shutdown, guarding) = (process.shutdown.clone(), process.guarding.clone());
    let controllers = start(clients, settings(arguments, instance), process);
    let (is_kept, result) = tokio::select! {
        result = controllers => (true, result.context("cannot start the controllers")),
        _ = &mut lost => (false, Err(anyhow!("lost the leader lease"))),
        ended = admin => (true, Err(anyhow!("the admin server stopped unexpectedly: {ended:?}"))),
    };
    stop.cancel();
    if is_kept {
        // A renewal after the release would acquire the lease again.
        let _ = lost.await;
    } else {
        // While the API server is unreachable, no other process can replace a lost leader: the guards go on. If only
        // this process is cut off, the new holder of the lease waits for their databases until the API server answers.
        guarding.leave_alone();
        until(&shutdown, lease.answered()).await;
    }
    guarding.stop();
    lease.release().await;
    result
}

/// Settings of a client of the Kubernetes API.
struct Api {
    config: Config,
    silence: Duration,
    metrics: Arc<Metrics>,
}

impl Api {
    fn client(&self) -> Result<Client, kube::Error> {
        let counted = self.metrics.clone();
        kubernetes::client(self.config.clone(), self.silence, move || counted.kubernetes_asked())
    }
}

/// Keeps the lease on a thread of its own: work of the controllers must not delay its renewal. The receiver completes
/// when the lease is lost, or after a stop.
fn kept(api: Api, holder: LeaseSettings) -> std::io::Result<(CancellationToken, oneshot::Receiver<()>)> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let lost = on_own_thread("lease", async move {
        match api.client() {
            Ok(client) => drop(until(&stopped, Lease::new(client, holder).keep()).await),
            Err(problem) => error!(error = &problem as &dyn std::error::Error, "cannot keep the lease"),
        }
    })?;
    Ok((stop, lost))
}

fn settings(arguments: Run, instance: String) -> Settings {
    let namespaces = Coverage::of(&arguments.watch_namespaces)
        .with(&arguments.cluster_namespaces)
        .with(std::slice::from_ref(&arguments.namespace));
    let managed_namespaces = match Coverage::of(&arguments.cluster_namespaces) {
        Coverage::All => namespaces.clone(),
        some => some,
    };
    let served = arguments.serve_vso.then(|| steamer_convert::Settings {
        vso_namespace: arguments.vso_namespace,
        exclude_raw: arguments.vso_exclude_raw,
        ..steamer_convert::Settings::default()
    });
    Settings {
        served,
        namespace: arguments.namespace,
        service_account: arguments.service_account,
        instance,
        installation: arguments.installation,
        namespaces,
        managed_namespaces,
        cluster_namespaces: ClusterNamespaces::new(arguments.cluster_namespaces),
        consent: Consent::new(arguments.allowed_audiences),
        drift_interval: arguments.drift_interval,
        request_limit: arguments.request_limit,
        outgoing: Outgoing { loopback: arguments.allow_loopback, proxy: arguments.use_proxy },
        limits: Limits { workers: arguments.workers, ..Limits::default() },
        image: arguments.image.filter(|image| !image.is_empty()),
    }
}

fn lease(arguments: &Run, instance: &str) -> LeaseSettings {
    LeaseSettings {
        namespace: arguments.namespace.clone(),
        name: LEASE.to_owned(),
        holder: format!("{instance}-{}", std::process::id()),
        duration: arguments.lease_duration,
    }
}

async fn until<T>(shutdown: &CancellationToken, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = shutdown.cancelled() => None,
        value = future => Some(value),
    }
}
