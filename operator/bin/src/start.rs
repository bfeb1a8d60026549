//! Wiring: the shared state, and one line for each family of controllers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use steamer_cluster::Guarding;
use steamer_core::access::api_audiences::ApiAudiences;
use steamer_core::access::consent::Consent;
use steamer_core::access::named_objects::NamedObjects;
use steamer_core::access::service_accounts::{ApiIssuerSource, TokenSource};
use steamer_core::access::sessions::Sessions;
use steamer_core::census;
use steamer_core::cluster_namespaces::ClusterNamespaces;
use steamer_core::generated_policy::GeneratedPolicy;
use steamer_core::mac::Mac;
use steamer_core::ownership::claims::Claims;
use steamer_core::ownership::installation::installation;
use steamer_core::ownership::removers::Removers;
use steamer_core::served::{Installed, configure, translation};
use steamer_core::tasks::Tasks;
use steamer_core::urgent::Urgent;
use steamer_core::writes::ReportedWrites;
use steamer_core::{Context, Error, Stores};
use steamer_openbao::Outgoing;
use steamer_runtime::admin::Readiness;
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Coverage, Events, Index, Limits, Metrics, ObjectName, Released, Runtime, Statuses};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Settings of the process.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Namespace of the operator.
    pub(crate) namespace: String,
    /// ServiceAccount of the operator.
    pub(crate) service_account: String,
    /// Name of this process in Events.
    pub(crate) instance: String,
    /// ID of this installation. Default: the uid of the `kube-system` namespace.
    pub(crate) installation: Option<String>,
    /// Namespaces of the kinds that decide about servers and trusted keys.
    pub(crate) cluster_namespaces: ClusterNamespaces,
    /// Namespaces to reconcile.
    pub(crate) namespaces: Coverage,
    /// Namespaces of managed clusters.
    pub(crate) managed_namespaces: Coverage,
    /// Audiences that every ServiceAccount allows.
    pub(crate) consent: Consent,
    /// How often state without a watch (OpenBao) is re-read.
    pub(crate) drift_interval: Duration,
    /// Longest duration of a request in OpenBao.
    pub(crate) request_limit: Duration,
    /// Rules for outgoing connections.
    pub(crate) outgoing: Outgoing,
    /// Limits of each controller.
    pub(crate) limits: Limits,
    /// Image of the operator.
    pub(crate) image: Option<String>,
    /// Settings of Vault Secrets Operator, if its objects are served.
    pub(crate) served: Option<steamer_convert::Settings>,
}

/// Parts of the process that outlive the controllers.
pub(crate) struct Process {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: CancellationToken,
    /// When the previous process was active last.
    pub(crate) last_active: Option<Timestamp>,
    /// Guards of managed clusters.
    pub(crate) guarding: Guarding,
}

/// Clients of the Kubernetes API.
pub(crate) struct Clients {
    pub(crate) client: Client,
    /// Client and thread of the failover.
    pub(crate) urgent: Urgent,
}

/// Runs all controllers until shutdown. The end of one of them ends all.
///
/// # Errors
/// When the API server does not provide the required objects at the start.
pub(crate) async fn start(clients: Clients, settings: Settings, process: Process) -> Result<(), Error> {
    let (readiness, guarding) = (process.readiness.clone(), process.guarding.clone());
    let installed = served(&clients.client, settings.served.clone()).await?;
    let context = Arc::new(context(clients, settings, process).await?);
    let mut tasks = Tasks::new(context.clone(), readiness);
    census::register(&context);
    steamer_cluster::register(&mut tasks, &guarding);
    steamer_provisioning::register(&mut tasks);
    steamer_delivery::register(&mut tasks, &installed);
    tasks.run().await;
    context.sessions.revoke_all().await;
    Ok(())
}

/// The kinds of Vault Secrets Operator to serve.
async fn served(client: &Client, settings: Option<steamer_convert::Settings>) -> Result<Installed, Error> {
    let Some(settings) = settings else { return Ok(Installed::default()) };
    configure(settings);
    let installed = Installed::of(client).await?;
    if installed.is_empty() {
        warn!(
            "no CustomResourceDefinition of secrets.hashicorp.com/v1beta1 is installed: install them, and restart the operator"
        );
    }
    Ok(installed)
}

async fn context(clients: Clients, settings: Settings, process: Process) -> Result<Context, Error> {
    let Clients { client, urgent } = clients;
    let Process { metrics, readiness: _, shutdown, last_active, guarding: _ } = process;
    let Settings {
        namespace,
        service_account,
        instance,
        installation: chosen,
        cluster_namespaces,
        namespaces,
        managed_namespaces,
        consent,
        drift_interval,
        request_limit,
        outgoing,
        limits,
        image,
        served: _,
    } = settings;
    let index = Arc::new(Index::default());
    let operator = ObjectName::new(&namespace, service_account);
    let api_audiences = Arc::new(ApiAudiences::read(client.clone(), operator.clone()).await?);
    let tokens = TokenSource {
        client: client.clone(),
        metrics: metrics.clone(),
        api_audiences: api_audiences.clone(),
    };
    Ok(Context {
        sessions: Sessions::new(tokens, outgoing, index.clone()),
        writes: ReportedWrites::new(index.clone(), metrics.clone()),
        image,
        secrets: Arc::new(NamedObjects::new(client.clone(), index.clone())),
        accounts: Arc::new(NamedObjects::new(client.clone(), index.clone())),
        mac: Mac::load(&client, &namespace).await?,
        installation: installation(&client, &namespace, chosen.as_deref()).await?,
        api_audiences,
        namespaces,
        managed_namespaces,
        consent,
        api_issuer: ApiIssuerSource::default(),
        operator,
        runtime: Arc::new(Runtime {
            statuses: Statuses::new(client.clone()).translated(translation()),
            events: Events::new(client.clone(), instance),
            released: Released::default(),
            metrics,
            index,
            shutdown,
            limits,
        }),
        stores: Stores::new(cluster_namespaces),
        removers: Removers::default(),
        claims: Claims::default(),
        handovers: Mutex::default(),
        generated: GeneratedPolicy::default(),
        cluster_objects: Stores::default(),
        cluster_writes: WriteLimit::default(),
        urgent,
        drift_interval,
        request_limit,
        started: Instant::now(),
        last_active,
        client,
    })
}
