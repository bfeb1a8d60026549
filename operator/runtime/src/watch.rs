//! One watch of a kind: fills its store, tells its controller, wakes who waits.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::{Index, Key, Lane, Name, Store, Trigger, Waiter};

/// A watch to be run.
pub struct Watch<K> {
    /// What is watched.
    pub api: Api<DeserializeGuard<K>>,
    /// Which of it.
    pub config: watcher::Config,
    /// Where it is kept.
    pub store: Store<K>,
    /// The controller of the kind, if it has one.
    pub controller: Option<(&'static str, Trigger)>,
    /// Who waits.
    pub index: Arc<Index>,
    /// The keys an object stands behind.
    pub edges: fn(&K) -> Edges,
    /// The annotation whose change asks for a pass.
    pub nudge: &'static str,
}

/// The keys that an object stands behind: whoever waits for one is woken.
pub struct Edges {
    /// On any change, also of its status: its own name.
    pub by_any_change: Vec<Key>,
    /// When it comes, goes, or its spec changes: relations such as "policies of a project".
    pub by_spec: Vec<Key>,
}

impl Edges {
    /// Of a kind that nobody waits for but by its own name.
    pub fn of_self<K: Resource<DynamicType = ()>>(kind: &'static str, object: &K) -> Self {
        Self { by_any_change: vec![Key::new(kind, Name::of(object))], by_spec: Vec::new() }
    }
}

/// What has to differ for an object's own controller to look: its spec, its deletion, a nudge. Not its status.
#[derive(Clone, PartialEq, Eq)]
struct Mark {
    uid: Option<String>,
    generation: Option<i64>,
    deleting: bool,
    nudge: Option<String>,
    finalizers: usize,
}

impl Mark {
    /// A finalizer that came is no reason: it is the controller's own, put there by the pass that goes on.
    fn asks_for_a_pass_after(&self, last: &Self) -> bool {
        *self != Self { finalizers: last.finalizers.max(self.finalizers), ..last.clone() }
    }
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Watches for ever. Trouble of the API server is waited out.
    pub async fn run(self) {
        let mut events = pin!(watcher::watcher(self.api.clone(), self.config.clone()).default_backoff());
        let mut seen = Seen::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => seen.listed = Some(HashSet::new()),
                Ok(Event::InitApply(object) | Event::Apply(object)) => self.applied(&mut seen, object),
                Ok(Event::InitDone) => self.listed(&mut seen),
                Ok(Event::Delete(object)) => self.gone(&mut seen, &Name::of(&object)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(kind = %K::kind(&()), error, "watch failed");
                }
            }
        }
    }

    fn applied(&self, seen: &mut Seen, object: DeserializeGuard<K>) {
        let name = Name::of(&object);
        if let Some(listed) = &mut seen.listed {
            listed.insert(name.clone());
        }
        let mut object = match object.0 {
            Ok(object) => object,
            Err(error) => {
                warn!(kind = %K::kind(&()), object = %name, error = %error.error, "object is not understood");
                return self.gone(seen, &name);
            }
        };
        object.managed_fields_mut().clear();
        let fresh =
            self.store.get(&name).is_none_or(|old| old.resource_version() != object.resource_version());
        let mark = self.mark(&object);
        let changed = seen.marks.get(&name).is_none_or(|last| mark.asks_for_a_pass_after(last));
        let edges = (self.edges)(&object);
        // At the start, what was settled before goes behind what is new.
        let lane = if seen.started || !settled(&object) { Lane::Changed } else { Lane::Background };
        self.store.insert(name.clone(), Arc::new(object));
        seen.marks.insert(name.clone(), mark);
        if fresh {
            self.wake(&edges.by_any_change, &name);
        }
        if changed {
            self.wake(&edges.by_spec, &name);
            self.tell(name, lane);
        }
    }

    fn gone(&self, seen: &mut Seen, name: &Name) {
        seen.marks.remove(name);
        if let Some(object) = self.store.remove(name) {
            let Edges { by_any_change, by_spec } = (self.edges)(&object);
            self.wake(&by_any_change, name);
            self.wake(&by_spec, name);
            self.tell(name.clone(), Lane::Changed);
        }
    }

    /// The list is complete: what is not in it went unseen.
    fn listed(&self, seen: &mut Seen) {
        let listed = seen.listed.take().unwrap_or_default();
        for name in self.store.names() {
            if !listed.contains(&name) {
                self.gone(seen, &name);
            }
        }
        seen.started = true;
        self.store.mark_synced();
    }

    /// Wakes whoever waits, but not the object itself: its own status is no news to it.
    fn wake(&self, keys: &[Key], own: &Name) {
        let own = self.controller.as_ref().map(|(controller, _)| Waiter { controller, name: own.clone() });
        self.index.wake(keys, own.as_ref());
    }

    fn tell(&self, name: Name, lane: Lane) {
        if let Some((_, trigger)) = &self.controller {
            trigger.send(name, lane);
        }
    }

    fn mark(&self, object: &K) -> Mark {
        Mark {
            uid: object.uid(),
            generation: object.meta().generation,
            deleting: object.meta().deletion_timestamp.is_some(),
            nudge: object.annotations().get(self.nudge).cloned(),
            finalizers: object.finalizers().len(),
        }
    }
}

#[derive(Default)]
struct Seen {
    marks: HashMap<Name, Mark>,
    listed: Option<HashSet<Name>>,
    started: bool,
}

/// Older than the watch by more than a little: it was looked at before a restart.
fn settled<K: Resource>(object: &K) -> bool {
    let age = object
        .meta()
        .creation_timestamp
        .as_ref()
        .map(|at| jiff::Timestamp::now().as_second() - at.0.as_second());
    object.meta().deletion_timestamp.is_none() && age.is_some_and(|seconds| seconds > 60)
}
