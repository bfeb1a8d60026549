//! Wiring: stores, watches, controllers.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use steamer_api::{PipelinePolicy, RECONCILE_ANNOTATION, SecretsProject, SecretsTenant};
use steamer_runtime::admin::Readiness;
use steamer_runtime::{
    Edges, Events, Index, Key, Limits, Metrics, Name, Reconcile, Runtime, Statuses, Store, Trigger, Watch,
    run, trigger,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, InForce, Stores};
use crate::installation::installation;
use crate::named_secrets::NamedSecrets;
use crate::openbao_cluster::children::{Children, config_map_edges, edges};
use crate::openbao_cluster::cluster::CLUSTER_LABEL;
use crate::openbao_cluster::guard::Guards;
use crate::service_accounts::api_audiences;
use crate::sessions::Sessions;
use crate::sync::destination::Destinations;
use crate::sync::mac::Mac;
use crate::sync::observed::ObservedSecrets;
use crate::sync::readings::Readings;
use crate::{
    bao_auth, bao_connection, bao_static_secret, jwt_issuer, openbao_cluster, pipeline_policy,
    secrets_project, secrets_tenant,
};

/// What the process was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace.
    pub namespace: String,
    /// The operator's own ServiceAccount.
    pub service_account: String,
    /// Names this process in Events.
    pub instance: String,
    /// Tells this installation from others at the same OpenBao. Default: the uid of `kube-system`.
    pub installation: Option<String>,
    /// How often OpenBao is compared with what should be there.
    pub drift_interval: Duration,
    /// Bounds of each controller.
    pub limits: Limits,
}

/// Runs all controllers until `shutdown`; the end of any of them ends all.
///
/// # Errors
/// When what is needed at the start cannot be had from the API server.
pub async fn start(
    client: Client,
    settings: Settings,
    (metrics, readiness): (Arc<Metrics>, Readiness),
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let index = Arc::new(Index::default());
    let operator = Name::new(&settings.namespace, &settings.service_account);
    let named = Arc::new(NamedSecrets::new(client.clone(), index.clone()));
    let runtime = Arc::new(Runtime {
        statuses: Statuses::new(client.clone()),
        events: Events::new(client.clone(), settings.instance.clone()),
        metrics: metrics.clone(),
        index: index.clone(),
        shutdown: shutdown.clone(),
        limits: settings.limits,
    });
    let (mac, stores) = (Mac::load(&client, &settings.namespace).await?, Stores::default());
    let whose = (operator.clone(), stores.children.clone());
    let context = Arc::new(Context {
        sessions: Sessions::new(client.clone(), metrics.clone(), named.clone(), whose),
        installation: installation(&client, &settings).await?,
        api_audiences: api_audiences(&client, &operator).await?,
        operator,
        client: client.clone(),
        runtime,
        stores,
        mac: mac.clone(),
        guards: Guards::default(),
        api_issuer: crate::service_accounts::ApiIssuerSource::default(),
        in_force: InForce::default(),
        drift_interval: settings.drift_interval,
    });
    let observed = Arc::new(ObservedSecrets::new(mac, index));
    let mut tasks = Tasks { set: JoinSet::new(), context: context.clone(), readiness };
    tasks.all(&observed, named);
    let ended = tasks.set.join_next().await;
    shutdown.cancel();
    if let Some(Err(error)) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
    while tasks.set.join_next().await.is_some() {}
    context.sessions.revoke_all().await;
    Ok(())
}

/// Everything that runs for ever.
struct Tasks {
    set: JoinSet<()>,
    context: Arc<Context>,
    readiness: Readiness,
}

impl Tasks {
    fn all(&mut self, observed: &Arc<ObservedSecrets>, named: Arc<NamedSecrets>) {
        let (context, stores) = (self.context.clone(), self.context.stores.clone());
        let shared = || context.clone();
        self.watch_only(&stores.namespaces, |namespace: &Namespace| Edges::of_self("Namespace", namespace));
        self.children(&stores.children);
        self.controller(openbao_cluster::Controller(shared()), &stores.clusters, observed, |cluster| {
            Edges::of_self("OpenBaoCluster", cluster)
        });
        self.controller(jwt_issuer::Controller(shared()), &stores.issuers, observed, |issuer| {
            Edges::of_self("JWTIssuer", issuer)
        });
        self.controller(secrets_tenant::Controller(shared()), &stores.tenants, observed, tenant_edges);
        self.controller(secrets_project::Controller(shared()), &stores.projects, observed, project_edges);
        self.controller(pipeline_policy::Controller(shared()), &stores.policies, observed, policy_edges);
        self.controller(bao_connection::Controller(shared()), &stores.connections, observed, |connection| {
            Edges::of_self("BaoConnection", connection)
        });
        self.controller(bao_auth::Controller(shared()), &stores.auths, observed, |auth| {
            Edges::of_self("BaoAuth", auth)
        });
        let secrets = bao_static_secret::Controller {
            readings: Readings::new(context.runtime.metrics.clone()),
            destinations: Destinations { client: context.client.clone(), observed: observed.clone(), named },
            context: context.clone(),
            records: Mutex::new(HashMap::new()),
        };
        self.controller(secrets, &stores.static_secrets, observed, |secret| {
            Edges::of_self("BaoStaticSecret", secret)
        });
        let (seen, client) = (observed.clone(), context.client.clone());
        self.readiness.require("the watch of Secrets", move || seen.is_synced());
        self.until_shutdown(observed.clone().run(client));
    }

    /// What is made for managed clusters.
    fn children(&mut self, children: &Children) {
        let Children { pods, sets, services, config_maps, secrets, accounts, budgets, policies } = children;
        self.labelled(pods, edges);
        self.labelled(sets, edges);
        self.labelled(services, edges);
        self.labelled(config_maps, config_map_edges);
        self.labelled(secrets, edges);
        self.labelled(accounts, edges);
        self.labelled(budgets, edges);
        self.labelled(policies, edges);
    }

    /// Of a kind only what carries the label of a cluster.
    fn labelled<K>(&mut self, store: &Store<K>, edges: fn(&K) -> Edges)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.watch_chosen(store, None, (watcher::Config::default().labels(CLUSTER_LABEL), edges));
    }

    /// A kind that is only referred to.
    fn watch_only<K>(&mut self, store: &Store<K>, edges: fn(&K) -> Edges)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.watch(store, None, edges);
    }

    /// A kind with its controller, which begins when everything it may look at has been seen.
    fn controller<R: Reconcile>(
        &mut self,
        reconciler: R,
        store: &Store<R::Object>,
        observed: &Arc<ObservedSecrets>,
        edges: fn(&R::Object) -> Edges,
    ) {
        let (trigger, asked) = trigger();
        self.context.runtime.index.register(R::NAME, trigger.clone());
        self.watch(store, Some((R::NAME, trigger)), edges);
        let (context, store, observed) = (self.context.clone(), store.clone(), observed.clone());
        self.set.spawn(async move {
            tokio::select! {
                () = context.runtime.shutdown.cancelled() => return,
                () = synced(&context.stores) => {}
            }
            tokio::select! {
                () = context.runtime.shutdown.cancelled() => return,
                () = observed.synced() => {}
            }
            run(context.runtime.clone(), Arc::new(reconciler), store, asked).await;
        });
    }

    fn watch<K>(
        &mut self,
        store: &Store<K>,
        controller: Option<(&'static str, Trigger)>,
        edges: fn(&K) -> Edges,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.watch_chosen(store, controller, (watcher::Config::default(), edges));
    }

    fn watch_chosen<K>(
        &mut self,
        store: &Store<K>,
        controller: Option<(&'static str, Trigger)>,
        (config, edges): (watcher::Config, fn(&K) -> Edges),
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let watch = Watch {
            api: Api::<DeserializeGuard<K>>::all(self.context.client.clone()),
            config: config.any_semantic(),
            store: store.clone(),
            controller,
            index: self.context.runtime.index.clone(),
            edges,
            nudge: RECONCILE_ANNOTATION,
        };
        let seen = store.clone();
        self.readiness.require(format!("the watch of {}", K::plural(&())), move || seen.is_synced());
        self.until_shutdown(watch.run());
    }

    fn until_shutdown(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.context.runtime.shutdown.clone();
        self.set.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        });
    }
}

async fn synced(stores: &Stores) {
    let Stores {
        clusters,
        issuers,
        tenants,
        projects,
        policies,
        connections,
        auths,
        static_secrets,
        namespaces,
        children,
    } = stores;
    clusters.synced().await;
    issuers.synced().await;
    tenants.synced().await;
    projects.synced().await;
    policies.synced().await;
    connections.synced().await;
    auths.synced().await;
    static_secrets.synced().await;
    namespaces.synced().await;
    let Children { pods, sets, services, config_maps, secrets, accounts, budgets, policies } = children;
    pods.synced().await;
    sets.synced().await;
    services.synced().await;
    config_maps.synced().await;
    secrets.synced().await;
    accounts.synced().await;
    budgets.synced().await;
    policies.synced().await;
}

fn tenant_edges(tenant: &SecretsTenant) -> Edges {
    let own = Key::new("SecretsTenant", Name::of(tenant));
    Edges { by_any_change: vec![own, secrets_tenant::tenant_claim(tenant)], by_spec: Vec::new() }
}

fn project_edges(project: &SecretsProject) -> Edges {
    let own = Key::new("SecretsProject", Name::of(project));
    let of_tenant = secrets_tenant::projects_of(secrets_project::tenant_of(project));
    Edges { by_any_change: vec![own, secrets_project::project_claim(project)], by_spec: vec![of_tenant] }
}

fn policy_edges(policy: &PipelinePolicy) -> Edges {
    let own = Key::new("PipelinePolicy", Name::of(policy));
    let of_project = pipeline_policy::policies_of(pipeline_policy::project_of(policy));
    Edges { by_any_change: vec![own], by_spec: vec![of_project] }
}
