//! The Secrets that Steamer wrote, as the watch observes them: digests, never values.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, MutexGuard};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use serde::Deserialize;
use steamer_core::access::named_objects::secret_key;
use steamer_core::mac::Mac;
use steamer_core::ownership::mark::Mark;
use steamer_core::ownership::secret::{CLUSTER_LABEL, Occupant};
use steamer_core::tasks::Tasks;
use steamer_runtime::Locked;
use steamer_runtime::{Index, Listings, ObjectName, Part};
use tokio::sync::watch;

use super::content::data_mac;
use super::labels::{APPLIED, KEYS_OF, MANAGED_BY, OWNER, STAMP};
use super::predecessors::{is_operator, is_predecessor};
use super::stamp::Stamp;
use super::templated::{Record, Sealed};

/// A Secret without its values.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Observed {
    pub(crate) uid: String,
    pub(crate) resource_version: u64,
    pub(crate) type_: String,
    pub(crate) mac: String,
    pub(crate) keys: BTreeSet<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) immutable: bool,
    /// Labels and annotations of templates, if they are those that Steamer wrote.
    pub(crate) templated: Option<Box<Sealed>>,
}

/// Labels, annotations and the immutability that Steamer set from the spec.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Applied {
    pub(crate) labels: Vec<String>,
    pub(crate) annotations: Vec<String>,
    pub(crate) immutable: bool,
    pub(crate) templated: Option<Record>,
}

impl Observed {
    /// The observed state of a Secret.
    pub(crate) fn of(secret: &Secret, mac: &Mac) -> Self {
        let data = secret.data.iter().flatten();
        let observed = Self {
            uid: secret.uid().unwrap_or_default(),
            resource_version: version(secret),
            type_: secret.type_.clone().unwrap_or_default(),
            mac: data_mac(
                mac,
                &ObjectName::of(secret),
                data.clone().map(|(key, value)| (key.as_str(), value.0.as_slice())),
            ),
            keys: data.map(|(key, _)| key.clone()).collect(),
            labels: secret.labels().clone(),
            annotations: secret.annotations().clone(),
            owners: secret.owner_references().to_vec(),
            immutable: secret.immutable.unwrap_or_default(),
            templated: None,
        };
        observed.with_templated(&ObjectName::of(secret), mac)
    }

    /// Most Secrets have no such labels: their annotation is not parsed for each event.
    fn with_templated(self, name: &ObjectName, mac: &Mac) -> Self {
        if !self.annotations.get(APPLIED).is_some_and(|text| text.contains("\"templated\"")) {
            return self;
        }
        let record = self.applied().templated;
        let found = |record: &Record| Sealed::found(record, (&self.labels, &self.annotations), mac, name);
        Self { templated: record.as_ref().and_then(found).map(Box::new), ..self }
    }

    /// Everything that decides about the right to write into the Secret.
    pub(crate) fn occupant(&self) -> Occupant {
        let mark = |annotation| Mark::parse(self.annotations.get(annotation)?);
        let owner: Option<Mark> = mark(OWNER);
        let is_owner = |reference: &OwnerReference| {
            let kind = owner.as_ref().map(|owner| owner.owner.to_string());
            is_operator(reference) && kind == Some(reference.kind.clone())
        };
        let controller = self.owners.iter().find(|owner| owner.controller == Some(true) && !is_owner(owner));
        Occupant {
            keys_of: mark(KEYS_OF),
            controller: controller.map(|owner| format!("{} {}", owner.kind, owner.name)),
            is_replaceable: controller.is_some_and(is_predecessor),
            cluster: self.labels.get(CLUSTER_LABEL).cloned(),
            immutable: self.immutable,
            owner,
        }
    }

    /// The stamp that was written with the data.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        Stamp::parse(self.annotations.get(STAMP)?)
    }

    pub(crate) fn applied(&self) -> Applied {
        let text = self.annotations.get(APPLIED);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

fn version(secret: &Secret) -> u64 {
    secret.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// Number of deletions to remember: more than the number of concurrent writes.
const DELETIONS: usize = 4096;

/// All Secrets that Steamer wrote.
pub(crate) struct ObservedSecrets {
    pub(crate) mac: Mac,
    index: Arc<Index>,
    seen: Locked<Seen>,
    listings: Locked<Listings>,
    synced: watch::Sender<bool>,
}

/// State from the watch and from the responses to writes.
#[derive(Default)]
struct Seen {
    secrets: HashMap<ObjectName, Arc<Observed>>,
    /// Resource versions of deletions: the response to an earlier write can arrive after the deletion.
    deleted: HashMap<ObjectName, u64>,
}

impl Seen {
    /// Stores a state. Returns false if a later state is known.
    fn learn(&mut self, name: &ObjectName, observed: Observed) -> bool {
        let version = observed.resource_version;
        let known = self.secrets.get(name).map_or(0, |known| known.resource_version);
        let newer = known < version && self.deleted.get(name).is_none_or(|deleted| *deleted < version);
        if newer {
            self.deleted.remove(name);
            self.secrets.insert(name.clone(), Arc::new(observed));
        }
        newer
    }

    fn remove(&mut self, name: &ObjectName, chosen: impl Fn(&Observed) -> bool) -> bool {
        let found = self.secrets.get(name).is_some_and(|observed| chosen(observed));
        if found {
            self.secrets.remove(name);
        }
        found
    }
}

impl ObservedSecrets {
    pub(crate) fn new(mac: Mac, index: Arc<Index>) -> Self {
        Self {
            mac,
            index,
            seen: Locked::default(),
            listings: Locked::default(),
            synced: watch::channel(false).0,
        }
    }

    pub(crate) fn get(&self, name: &ObjectName) -> Option<Arc<Observed>> {
        self.seen().secrets.get(name).cloned()
    }

    /// Stores the response to a write, so that a delayed watch event is not treated as drift. If the watch already has a
    /// later state of another client, the object is requeued.
    pub(crate) fn written(&self, name: &ObjectName, secret: &Secret) {
        let observed = Observed::of(secret, &self.mac);
        let version = observed.resource_version;
        let mut seen = self.seen();
        seen.learn(name, observed);
        let overtaken = seen.secrets.get(name).is_none_or(|known| known.resource_version != version);
        drop(seen);
        if overtaken {
            self.index.wake(&[secret_key(name)], None);
        }
    }

    /// Stores a deletion by this process.
    pub(crate) fn deleted(&self, name: &ObjectName, uid: &str) {
        self.seen().remove(name, |observed| observed.uid == uid);
    }

    pub(crate) async fn synced(&self) {
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// Adds the watch to the tasks. Controllers start when it has seen all Secrets.
    pub(crate) fn watch(self: Arc<Self>, tasks: &mut Tasks) {
        let (synced, complete) = (self.clone(), self.clone());
        tasks.cache(async move { synced.synced().await });
        tasks.require("the watch of Secrets", move || complete.is_synced());
        let context = tasks.context();
        let parts = context.namespaces.parts(&context.client);
        tasks.until_shutdown(self.run(parts));
    }

    /// Watches until the process ends.
    pub(crate) async fn run(self: Arc<Self>, parts: Vec<Part<Secret>>) {
        *self.listings.lock() = Listings::of(&parts);
        let mut running: FuturesUnordered<_> = parts.into_iter().map(|part| self.follow(part)).collect();
        let _ = running.next().await;
    }

    async fn follow(&self, Part { namespace, api }: Part<Secret>) {
        let config =
            watcher::Config::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).page_size(100);
        let mut events = pin!(watcher::watcher(api, config).default_backoff());
        let mut listed = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed = Some(HashSet::new()),
                Ok(Event::InitApply(secret) | Event::Apply(secret)) => {
                    let name = ObjectName::of(&secret);
                    if let Some(listed) = &mut listed {
                        listed.insert(name.clone());
                    }
                    self.applied(name, &secret);
                }
                Ok(Event::Delete(secret)) => self.gone(&secret),
                Ok(Event::InitDone) => {
                    self.listed(namespace.as_deref(), &listed.take().unwrap_or_default());
                }
                Err(error) => {
                    self.listings.lock().failed(namespace.as_deref(), &error);
                    self.advance();
                    tracing::warn!(error = &error as &dyn std::error::Error, "watch of Secrets failed")
                }
            }
        }
    }

    fn applied(&self, name: ObjectName, secret: &Secret) {
        let observed = Observed::of(secret, &self.mac);
        if self.seen().learn(&name, observed) {
            self.index.wake(&[secret_key(&name)], None);
        }
    }

    /// Ignores the deletion of an earlier Secret with the same name, or of an earlier state.
    fn gone(&self, secret: &Secret) {
        let name = ObjectName::of(secret);
        let (uid, version) = (secret.uid().unwrap_or_default(), version(secret));
        let mut seen = self.seen();
        if seen.deleted.len() >= DELETIONS {
            seen.deleted.clear();
        }
        seen.deleted.insert(name.clone(), version);
        let known = seen.remove(&name, |known| known.uid == uid && known.resource_version <= version);
        drop(seen);
        if known {
            self.index.wake(&[secret_key(&name)], None);
        }
    }

    /// Handles the end of a list of one namespace, or of all.
    fn listed(&self, namespace: Option<&str>, listed: &HashSet<ObjectName>) {
        let is_gone = |name: &&ObjectName| {
            namespace.is_none_or(|namespace| namespace == name.namespace) && !listed.contains(*name)
        };
        let gone: Vec<ObjectName> = self.seen().secrets.keys().filter(is_gone).cloned().collect();
        for name in gone {
            self.seen().remove(&name, |_| true);
            self.index.wake(&[secret_key(&name)], None);
        }
        self.listings.lock().listed(namespace, 0);
        self.advance();
    }

    fn advance(&self) {
        if self.listings.lock().is_complete() {
            self.synced.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(version: u64, key: &str) -> Secret {
        let metadata =
            json!({"name": "app", "namespace": "web", "uid": "u", "resourceVersion": version.to_string()});
        serde_json::from_value(json!({"metadata": metadata, "data": {key: "MQ=="}})).unwrap()
    }

    fn known(observed: &ObservedSecrets) -> Option<Vec<String>> {
        let found = observed.get(&ObjectName::new("web", "app"))?;
        Some(found.keys.iter().cloned().collect())
    }

    #[test]
    fn a_response_older_than_the_watch_is_ignored() {
        let name = ObjectName::new("web", "app");
        let observed = ObservedSecrets::new(Mac::new(&[7; 32]), Arc::default());
        observed.written(&name, &secret(5, "ours"));
        observed.applied(name.clone(), &secret(7, "theirs"));
        observed.written(&name, &secret(6, "ours"));
        assert_eq!(known(&observed), Some(vec!["theirs".to_owned()]));
        observed.written(&name, &secret(8, "ours"));
        observed.applied(name, &secret(7, "theirs"));
        assert_eq!(known(&observed), Some(vec!["ours".to_owned()]));
    }

    #[test]
    fn a_secret_that_was_deleted_before_its_response_arrived_stays_deleted() {
        let name = ObjectName::new("web", "app");
        let observed = ObservedSecrets::new(Mac::new(&[7; 32]), Arc::default());
        observed.gone(&secret(6, "ours"));
        observed.written(&name, &secret(5, "ours"));
        assert_eq!(known(&observed), None);
        observed.written(&name, &secret(9, "ours"));
        assert_eq!(known(&observed), Some(vec!["ours".to_owned()]));
    }
}
