//! Watch of a kind: fills its store, and requeues the objects of its controller and dependent objects.

mod mark;

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::{error, warn};

use self::mark::Mark;
use crate::guarded::{Cause, Guarded};
use crate::listing::{Part, is_refused_watch};
use crate::panic::caught;
use crate::{Index, Key, Lane, Metrics, ObjectName, Scope, Store, Trigger, Waiter};

/// A watch of a kind.
pub struct Watch<K> {
    /// Parts of the watch: one for all namespaces, or one for each.
    pub parts: Vec<Part<Guarded<K>>>,
    /// Selection of the objects.
    pub config: watcher::Config,
    /// Store to fill.
    pub store: Store<K>,
    /// Controller of the kind, if any.
    pub controller: Option<(&'static str, Trigger)>,
    /// Dependencies between objects.
    pub index: Arc<Index>,
    /// Returns the keys whose waiters are requeued when an object changes.
    pub edges: fn(&K) -> Edges,
    /// Start of the names of the annotations that requeue their object when they change.
    pub nudge: &'static str,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Objects to keep in memory. Default: all.
    pub scope: Option<Scope<K>>,
}

/// Keys whose waiters are requeued when an object changes.
pub struct Edges {
    /// Keys for any change, including the status: the object's own name.
    pub by_any_change: Vec<Key>,
    /// Keys for creation, deletion and changes of the spec: relations such as "policies of a project".
    pub by_spec: Vec<Key>,
}

impl Edges {
    /// Only the object's own key.
    pub fn of_self<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self { by_any_change: vec![Key::of(object)], by_spec: Vec::new() }
    }
}

/// Annotation of kubectl with a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Pause before the list that follows a refused watch.
const AFTER_REFUSAL: Duration = Duration::from_secs(3);

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Watches without end. Errors of the API server are retried with a backoff.
    pub async fn run(self) {
        self.store.expect(&self.parts);
        let mut parts: FuturesUnordered<_> = self.parts.iter().map(|part| self.follow(part)).collect();
        let _ = parts.next().await;
    }

    async fn follow(&self, part: &Part<Guarded<K>>) {
        let mut seen = Seen { namespace: part.namespace.clone(), ..Seen::default() };
        let mut scope = self.scope.clone();
        if let Some(scope) = &mut scope {
            scope.ready().await;
        }
        loop {
            seen.owners = scope.as_mut().map_or(0, Scope::owners);
            seen.listed = Some(HashSet::new());
            let mut events = pin!(watcher::watcher(part.api.clone(), self.config.clone()).default_backoff());
            let is_refused = loop {
                tokio::select! {
                    biased;
                    event = events.next() => match event {
                        Some(event) => if self.handled(&mut seen, event) { break true },
                        None => return,
                    },
                    // A list is never interrupted: new owners without end must not keep it from completing.
                    () = grown(&mut scope), if seen.listed.is_none() => break false,
                }
            };
            if is_refused {
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }

    /// Returns true if the API server refuses to continue the watch, and a new list must tell whether the objects of the
    /// namespace are still known.
    fn handled(&self, seen: &mut Seen, event: Result<Event<Guarded<K>>, watcher::Error>) -> bool {
        match event {
            Ok(Event::Init) => seen.listed = Some(HashSet::new()),
            Ok(Event::InitApply(object) | Event::Apply(object)) => self.isolated(seen, object),
            Ok(Event::InitDone) => self.listed(seen),
            Ok(Event::Delete(object)) => self.gone(&ObjectName::of(&object)),
            Err(error) => {
                if self.store.failed(seen.namespace.as_deref(), &error) {
                    self.lost(seen);
                }
                let text = &error as &dyn std::error::Error;
                warn!(kind = %K::kind(&()), namespace = seen.namespace, error = text, "watch failed");
                return seen.namespace.is_some() && is_refused_watch(&error);
            }
        }
        false
    }

    /// Removes the objects of a namespace that may no longer be listed: they must not be reconciled from an old state. Objects
    /// of other kinds stay in the cache, because a running reconcile would take an empty cache for deleted objects.
    fn lost(&self, seen: &mut Seen) {
        if self.controller.is_none() {
            return;
        }
        for name in self.store.names() {
            if seen.covers(&name) {
                self.gone(&name);
                seen.lost.insert(name);
            }
        }
    }

    /// Handles an object. A panic concerns only this object.
    fn isolated(&self, seen: &mut Seen, object: Guarded<K>) {
        let name = ObjectName::of(&object);
        if caught(|| self.applied(seen, object)).is_err() {
            self.metrics.panicked(K::kind(&()));
            error!(kind = %K::kind(&()), object = %name, "a panic in the watch; the object is not reconciled");
        }
    }

    fn applied(&self, seen: &mut Seen, object: Guarded<K>) {
        let name = ObjectName::of(&object);
        if let Some(listed) = &mut seen.listed {
            listed.insert(name.clone());
        }
        let mut object = match object.0 {
            Ok(object) => object,
            Err(unreadable) => {
                // The last version that could be parsed stays in force: an object that exists must not count as deleted.
                self.unreadable(&name, &unreadable.cause);
                return self.store.set_unreadable(&name, true);
            }
        };
        if self.scope.as_ref().is_some_and(|scope| !scope.keeps(&object)) {
            return self.gone(&name);
        }
        self.store.set_unreadable(&name, false);
        prune(object.meta_mut());
        let last = self.store.get(&name);
        let fresh = last.as_ref().is_none_or(|last| last.resource_version() != object.resource_version());
        let (mark, last) = (Mark::of(&object, self.nudge), last.map(|last| Mark::of(&*last, self.nudge)));
        let changed = last.as_ref().is_none_or(|last| mark.asks_for_a_pass_after(last));
        let lane = last.map_or(Lane::Changed, |last| mark.lane_after(&last));
        let edges = (self.edges)(&object);
        // During the initial list, old objects are queued behind new ones.
        let lane = if seen.started || !settled(&object) { lane } else { Lane::Background };
        self.store.insert(name.clone(), Arc::new(object));
        if fresh {
            self.wake(&edges.by_any_change, &name);
        }
        if changed {
            self.wake(&edges.by_spec, &name);
            self.tell(name, lane);
        }
    }

    fn unreadable(&self, name: &ObjectName, cause: &Cause) {
        match cause {
            Cause::Invalid(error) => {
                warn!(kind = %K::kind(&()), object = %name, error, "cannot parse the object")
            }
            Cause::Panicked => {
                self.metrics.panicked(K::kind(&()));
                error!(kind = %K::kind(&()), object = %name, "a panic in the parser of the object");
            }
        }
    }

    fn gone(&self, name: &ObjectName) {
        let was_unreadable = self.store.is_unreadable(name);
        self.store.set_unreadable(name, false);
        if let Some(object) = self.store.remove(name) {
            let Edges { by_any_change, by_spec } = (self.edges)(&object);
            self.wake(&by_any_change, name);
            self.wake(&by_spec, name);
            self.tell(name.clone(), Lane::Changed);
        } else if was_unreadable {
            self.tell(name.clone(), Lane::Changed);
        }
    }

    /// Handles the end of a list: objects that are missing from it were deleted.
    fn listed(&self, seen: &mut Seen) {
        let listed = seen.listed.take().unwrap_or_default();
        for name in self.store.names() {
            if seen.covers(&name) && !listed.contains(&name) {
                self.gone(&name);
            }
        }
        seen.started = true;
        self.store.listed(seen.namespace.as_deref(), seen.owners);
        self.known_again(seen, &listed);
    }

    /// Requeues the waiters of the list, and the objects that were deleted while the list was refused: their in-memory
    /// state is discarded only now.
    fn known_again(&self, seen: &mut Seen, listed: &HashSet<ObjectName>) {
        for name in std::mem::take(&mut seen.lost) {
            if !listed.contains(&name) {
                self.tell(name, Lane::Changed);
            }
        }
        if let Some(namespace) = &seen.namespace {
            self.index.wake(&[Key::of_list(&K::kind(&()), namespace)], None);
        }
    }

    /// Requeues the waiters of the keys, except the object itself, which wrote its own status.
    fn wake(&self, keys: &[Key], own: &ObjectName) {
        let own = self.controller.as_ref().map(|(controller, _)| Waiter { controller, name: own.clone() });
        self.index.wake(keys, own.as_ref());
    }

    fn tell(&self, name: ObjectName, lane: Lane) {
        if let Some((_, trigger)) = &self.controller {
            trigger.send(name, lane);
        }
    }
}

/// State of the watch of one part.
#[derive(Default)]
struct Seen {
    /// `None`: all namespaces.
    namespace: Option<String>,
    listed: Option<HashSet<ObjectName>>,
    /// Objects that were removed from the cache because the list was refused.
    lost: HashSet<ObjectName>,
    started: bool,
    /// Number of owners at the start of the last list.
    owners: u64,
}

impl Seen {
    fn covers(&self, name: &ObjectName) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == name.namespace)
    }
}

/// Removes copies of the object that its metadata can contain: `managedFields` and the annotation of `kubectl apply`. Nothing
/// reads them in a cache, and each is often larger than the rest of the object.
pub fn prune(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

async fn grown<K>(scope: &mut Option<Scope<K>>) {
    match scope {
        Some(scope) => scope.grown().await,
        None => std::future::pending().await,
    }
}

/// Returns whether the object is older than 60 s and not being deleted: it was probably reconciled before a restart.
fn settled<K: Resource>(object: &K) -> bool {
    let age = object
        .meta()
        .creation_timestamp
        .as_ref()
        .map(|at| jiff::Timestamp::now().as_second() - at.0.as_second());
    object.meta().deletion_timestamp.is_none() && age.is_some_and(|seconds| seconds > 60)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use k8s_openapi::api::core::v1::{ConfigMap, Service};
    use kube::api::Api;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{Fake, Received};

    const OWNER: &str = "owner";

    fn owned(namespace: &str, owner: &str) -> Value {
        json!({
            "metadata": {"name": owner, "namespace": namespace, "labels": {OWNER: owner}, "resourceVersion": "1"},
            "data": {"key": "x".repeat(1 << 20)},
        })
    }

    /// A server with a large ConfigMap in each of two namespaces.
    fn answer(request: &Received) -> (u16, Value) {
        if request.query.contains("watch=") {
            return (
                410,
                json!({"status": "Failure", "reason": "Expired", "code": 410, "message": "expired"}),
            );
        }
        let items = [owned("foreign", "main"), owned("own", "main"), owned("own", "other")];
        (200, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
    }

    fn watch(fake: &Fake, owners: &Store<Service>) -> Watch<ConfigMap> {
        let known = owners.clone();
        let keeps = move |object: &ConfigMap| {
            let owner = object.labels().get(OWNER).cloned().unwrap_or_default();
            known.get(&ObjectName::new(object.namespace().unwrap_or_default(), owner)).is_some()
        };
        Watch {
            parts: vec![Part::of_all(Api::all(fake.client()))],
            config: watcher::Config::default(),
            store: Store::default(),
            controller: None,
            index: Arc::default(),
            edges: Edges::of_self,
            nudge: "nudge",
            metrics: Arc::default(),
            scope: Some(Scope::new(owners, keeps)),
        }
    }

    #[test]
    fn copies_of_an_object_in_its_metadata_are_not_kept() {
        let metadata = json!({
            "name": "a", "managedFields": [{"manager": "x"}], "annotations": {LAST_APPLIED: "{}", "note": "y"},
        });
        let mut object: ConfigMap = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        prune(object.meta_mut());
        let expected = json!({"name": "a", "annotations": {"note": "y"}});
        assert_eq!(serde_json::to_value(&object.metadata).unwrap(), expected);
    }

    async fn retained(store: &Store<ConfigMap>, expected: &[&str]) {
        let namespaces = || {
            let mut names: Vec<String> = store.names().into_iter().map(|name| name.namespace).collect();
            names.sort();
            names
        };
        let reached = async {
            while !store.is_synced() || namespaces() != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.unwrap();
    }

    fn owner(namespace: &str) -> (ObjectName, Arc<Service>) {
        (ObjectName::new(namespace, "main"), Arc::new(Service::default()))
    }

    #[tokio::test]
    async fn an_object_without_an_owner_is_not_retained_until_its_owner_exists() {
        let (fake, owners) = (Fake::answering(answer), Store::default());
        let (name, service) = owner("own");
        owners.insert(name, service);
        let watch = watch(&fake, &owners);
        let store = watch.store.clone();
        let running = tokio::spawn(watch.run());
        tokio::task::yield_now().await;
        assert!(!store.is_synced(), "the watch waits until all owners are known");
        owners.listed(None, 0);
        retained(&store, &["own"]).await;
        let (name, service) = owner("foreign");
        owners.insert(name, service);
        store.covers(2).await;
        retained(&store, &["foreign", "own"]).await;
        running.abort();
    }

    /// A server that refuses lists of namespace `refused`, and expires every watch.
    fn by_namespace(request: &Received) -> (u16, Value) {
        let namespace = request.path.split('/').nth(4).unwrap_or_default().to_owned();
        if namespace == "refused" {
            let status = json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
            return (403, status);
        }
        if request.query.contains("watch=") {
            let status = json!({"status": "Failure", "reason": "Expired", "code": 410, "message": "expired"});
            return (200, json!({"type": "ERROR", "object": status}));
        }
        let items = [owned(&namespace, "main")];
        (200, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
    }

    fn in_namespaces(fake: &Fake, namespaces: &[&str]) -> Watch<ConfigMap> {
        let names: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let parts = crate::Coverage::of(&names).parts(&fake.client());
        Watch { parts, scope: None, ..watch(fake, &Store::default()) }
    }

    #[tokio::test]
    async fn a_list_of_one_namespace_removes_no_object_of_another() {
        let fake = Fake::answering(by_namespace);
        let watch = in_namespaces(&fake, &["a", "b"]);
        let store = watch.store.clone();
        let running = tokio::spawn(watch.run());
        retained(&store, &["a", "b"]).await;
        let lists = || fake.requests().iter().filter(|request| !request.query.contains("watch=")).count();
        let listed_again = async {
            while lists() < 4 {
                assert_eq!(store.len(), 2);
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), listed_again).await.unwrap();
        running.abort();
    }

    /// Refuses the lists of namespace `b` after a while. A watch expires, or is refused as well.
    #[rstest]
    #[case::expired_watch(410)]
    #[case::refused_watch(403)]
    #[tokio::test]
    async fn objects_of_a_namespace_that_is_refused_later_become_unknown_until_it_is_listed_again(
        #[case] watch_code: u16,
    ) {
        let is_refused = Arc::<AtomicBool>::default();
        let refused = is_refused.clone();
        let fake = Fake::answering(move |request| {
            let is_watch = request.query.contains("watch=");
            let of_refused = request.path.contains("/namespaces/b/");
            if of_refused && (if is_watch { watch_code == 403 } else { refused.load(Ordering::SeqCst) }) {
                let status =
                    json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
                return (403, status);
            }
            by_namespace(request)
        });
        let (trigger, mut requeued) = crate::trigger();
        let controller = Some(("test", trigger));
        let watch = Watch { controller, ..in_namespaces(&fake, &["a", "b"]) };
        let store = watch.store.clone();
        let running = tokio::spawn(watch.run());
        retained(&store, &["a", "b"]).await;
        let lost = ObjectName::new("b", "main");
        while requeued.recv().await.unwrap().0 != lost {}
        is_refused.store(true, Ordering::SeqCst);
        retained(&store, &["a"]).await;
        assert_eq!(store.presence(&lost), crate::Presence::Unknown);
        while requeued.recv().await.unwrap().0 != lost {}
        is_refused.store(false, Ordering::SeqCst);
        retained(&store, &["a", "b"]).await;
        assert_eq!(store.presence(&ObjectName::new("b", "other")), crate::Presence::Absent);
        while requeued.recv().await.unwrap().0 != lost {}
        running.abort();
    }

    /// The object is deleted while the list is refused.
    #[tokio::test]
    async fn the_end_of_a_refusal_requeues_deleted_objects_and_the_waiters_of_the_list() {
        let phase = Arc::<AtomicUsize>::default();
        let server = phase.clone();
        let fake = Fake::answering(move |request| {
            let is_watch = request.query.contains("watch=");
            match server.load(Ordering::SeqCst) {
                1 if !is_watch => {
                    (403, json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"}))
                }
                2 if !is_watch => (200, json!({"metadata": {"resourceVersion": "1"}, "items": []})),
                _ => by_namespace(request),
            }
        });
        let (trigger, mut requeued) = crate::trigger();
        let watch = Watch { controller: Some(("test", trigger)), ..in_namespaces(&fake, &["b"]) };
        let (store, lost, waiter) =
            (watch.store.clone(), ObjectName::new("b", "main"), ObjectName::new("a", "waiter"));
        let (trigger, mut woken) = crate::trigger();
        watch.index.register("waiting", trigger);
        let running_index = watch.index.clone();
        let running = tokio::spawn(watch.run());
        retained(&store, &["b"]).await;
        assert_eq!(requeued.recv().await.unwrap().0, lost);
        phase.store(1, Ordering::SeqCst);
        retained(&store, &[]).await;
        assert_eq!(store.unlisted(), ["b"]);
        assert_eq!(requeued.recv().await.unwrap().0, lost);
        let dependencies = running_index.pass("waiting", waiter.clone());
        dependencies.on(Key::of_list("ConfigMap", "b"));
        phase.store(2, Ordering::SeqCst);
        let known_again = async { (requeued.recv().await.unwrap().0, woken.recv().await.unwrap().0) };
        let known_again = tokio::time::timeout(Duration::from_secs(60), known_again).await.unwrap();
        assert_eq!(known_again, (lost.clone(), waiter));
        assert_eq!(store.presence(&lost), crate::Presence::Absent);
        running.abort();
    }

    #[tokio::test]
    async fn a_refused_list_delays_no_other_namespace_and_its_objects_are_unknown() {
        let fake = Fake::answering(by_namespace);
        let watch = in_namespaces(&fake, &["a", "refused"]);
        let store = watch.store.clone();
        let running = tokio::spawn(watch.run());
        retained(&store, &["a"]).await;
        let exists = |namespace: &str| store.exists(&ObjectName::new(namespace, "other"));
        assert!(!exists("a") && exists("refused") && exists("not-watched"));
        running.abort();
    }
}
