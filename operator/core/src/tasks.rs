//! Everything that runs until shutdown: watches, controllers and other tasks.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, ListSemantic};
use serde::de::DeserializeOwned;
use steamer_runtime::admin::Readiness;
use steamer_runtime::{
    Coverage, Edges, Guarded, Part, Reconcile, Scope, Store, Trigger, Watch, run, trigger,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::references::namespace_edges;

/// Start of the names of the annotations that Steamer reads.
const OWN_ANNOTATIONS: &str = "steamer.dev/";

/// The tasks of the operator. The end of any of them ends the process.
pub struct Tasks {
    set: JoinSet<()>,
    context: Arc<Context>,
    readiness: Readiness,
    caches: Vec<Cache>,
    started: watch::Sender<bool>,
}

/// Completes when a cache contains all objects.
type Cache = Box<dyn Future<Output = ()> + Send>;

/// A watch that fills a store.
pub struct Watched<K> {
    store: Store<K>,
    config: watcher::Config,
    controller: Option<(&'static str, Trigger)>,
    edges: fn(&K) -> Edges,
    scope: Option<Scope<K>>,
    /// Default: the namespaces of Steamer's kinds.
    namespaces: Option<Coverage>,
    is_urgent: bool,
}

/// Number of objects in one page of a list with a scope. A page can contain large objects that are dropped.
const PAGE: u32 = 16;

impl<K> Watched<K> {
    /// A watch of all objects of a type.
    pub fn new(store: Store<K>, edges: fn(&K) -> Edges) -> Self {
        let config = watcher::Config::default().any_semantic();
        Self { store, config, controller: None, edges, scope: None, namespaces: None, is_urgent: false }
    }

    /// Limits the watch to namespaces.
    #[must_use]
    pub fn within(mut self, namespaces: Coverage) -> Self {
        self.namespaces = Some(namespaces);
        self
    }

    /// Runs the watch on the thread of the failover.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.is_urgent = true;
        self
    }

    /// Limits the watch to objects with a label.
    #[must_use]
    pub fn labelled(mut self, selector: &str) -> Self {
        self.config = self.config.labels(selector);
        self
    }

    /// Keeps only the objects in a scope. The API server returns pages only of the most recent state.
    #[must_use]
    pub fn scoped(mut self, scope: Scope<K>) -> Self {
        self.config = self.config.list_semantic(ListSemantic::MostRecent).page_size(PAGE);
        self.scope = Some(scope);
        self
    }
}

impl Tasks {
    /// The watch of Namespaces: the labels that `allowedNamespaces` selects.
    #[must_use]
    pub fn new(context: Arc<Context>, readiness: Readiness) -> Self {
        let (started, _) = watch::channel(false);
        let namespaces = context.stores.of::<Namespace>();
        let mut tasks = Self { set: JoinSet::new(), context, readiness, caches: Vec::new(), started };
        let all = Part::of_all(Api::all(tasks.context.client.clone()));
        tasks.watch_parts(Watched::new(namespaces, namespace_edges), vec![all]);
        tasks
    }

    /// The shared state.
    #[must_use]
    pub fn context(&self) -> Arc<Context> {
        self.context.clone()
    }

    /// Adds a controller and the watch of its kind. It starts when every cache contains all objects.
    pub fn controller<R>(&mut self, reconciler: R)
    where
        R: Reconcile<Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>>,
    {
        let parts = self.context.namespaces.parts(&self.context.client);
        self.reconciled(reconciler, parts);
    }

    /// Adds the controller of a cluster-scoped kind and the watch of its kind, as [`Self::controller`].
    pub fn cluster_controller<R>(&mut self, reconciler: R)
    where
        R: Reconcile<Object: Resource<DynamicType = (), Scope = ClusterResourceScope>>,
    {
        let all = Part::of_all(Api::all(self.context.client.clone()));
        self.reconciled(reconciler, vec![all]);
    }

    fn reconciled<R: Reconcile>(&mut self, reconciler: R, parts: Vec<Part<Guarded<R::Object>>>) {
        let (trigger, requests) = trigger();
        self.context.runtime.index.register(R::NAME, trigger.clone());
        let store = self.context.stores.of::<R::Object>();
        let controller = Some((R::NAME, trigger));
        self.watch_parts(Watched { controller, ..Watched::new(store.clone(), R::edges) }, parts);
        let (context, mut started) = (self.context.clone(), self.started.subscribe());
        self.set.spawn(async move {
            tokio::select! {
                () = context.runtime.shutdown.cancelled() => return,
                _ = started.wait_for(|started| *started) => {}
            }
            run(context.runtime.clone(), Arc::new(reconciler), store, requests).await;
        });
    }

    /// Adds a watch.
    pub fn watch<K>(&mut self, watched: Watched<K>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K: Send + Sync + 'static,
    {
        let namespaces = watched.namespaces.as_ref().unwrap_or(&self.context.namespaces);
        let Context { client, urgent, .. } = &*self.context;
        let parts = namespaces.parts(if watched.is_urgent { &urgent.client } else { client });
        self.watch_parts(watched, parts);
    }

    fn watch_parts<K>(&mut self, watched: Watched<K>, parts: Vec<Part<Guarded<K>>>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let Watched { store, config, controller, edges, scope, namespaces: _, is_urgent } = watched;
        let watch = Watch {
            parts,
            config,
            store: store.clone(),
            controller,
            index: self.context.runtime.index.clone(),
            edges,
            nudge: OWN_ANNOTATIONS,
            metrics: self.context.runtime.metrics.clone(),
            scope,
        };
        let seen = store.clone();
        self.readiness.require(format!("the watch of {}", K::plural(&())), move || seen.is_synced());
        self.cache(async move { store.synced().await });
        if is_urgent {
            let running = self.context.urgent.thread.spawn(watch.run());
            self.until_shutdown(async move { drop(running.await) });
        } else {
            self.until_shutdown(watch.run());
        }
    }

    /// Adds a cache that controllers wait for.
    pub fn cache(&mut self, synced: impl Future<Output = ()> + Send + 'static) {
        self.caches.push(Box::new(synced));
    }

    /// Adds a condition to the readiness of the operator.
    pub fn require(&self, what: &str, holds: impl Fn() -> bool + Send + Sync + 'static) {
        self.readiness.require(what, holds);
    }

    /// Runs a task until shutdown.
    pub fn until_shutdown(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.context.runtime.shutdown.clone();
        self.set.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Starts the controllers when all caches are complete. Returns when every task has ended; the end of one ends all.
    pub async fn run(mut self) {
        let caches = std::mem::take(&mut self.caches).into_iter().map(Box::into_pin);
        let started = self.started.clone();
        self.until_shutdown(async move {
            futures::future::join_all(caches).await;
            started.send_replace(true);
            std::future::pending::<()>().await;
        });
        let ended = self.set.join_next().await;
        self.context.runtime.shutdown.cancel();
        if let Some(Err(error)) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        while self.set.join_next().await.is_some() {}
    }
}
