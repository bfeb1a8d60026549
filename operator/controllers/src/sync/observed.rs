//! The Secrets that Steamer has written, as a watch sees them: digests, never values.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde::Deserialize;
use steamer_runtime::{Index, Name};
use tokio::sync::watch;

use super::mac::Mac;
use super::wanted::{APPLIED, MANAGED_BY, OWNER};
use crate::named_secrets::secret_key;
use crate::ownership::Mark;

/// A Secret without its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    pub(crate) uid: String,
    pub(crate) resource_version: u64,
    pub(crate) type_: String,
    pub(crate) mac: String,
    pub(crate) keys: BTreeSet<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) owners: Vec<OwnerReference>,
}

/// The labels and annotations that Steamer has set.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Applied {
    pub(crate) labels: Vec<String>,
    pub(crate) annotations: Vec<String>,
}

impl Observed {
    /// What is kept of a Secret.
    pub(crate) fn of(secret: &Secret, mac: &Mac) -> Self {
        let data = secret.data.iter().flatten();
        Self {
            uid: secret.uid().unwrap_or_default(),
            resource_version: version(secret),
            type_: secret.type_.clone().unwrap_or_default(),
            mac: mac.of(data.clone().map(|(key, value)| (key.as_str(), value.0.as_slice()))),
            keys: data.map(|(key, _)| key.clone()).collect(),
            labels: secret.labels().clone(),
            annotations: secret.annotations().clone(),
            owners: secret.owner_references().to_vec(),
        }
    }

    /// The object it was written for.
    pub(crate) fn mark(&self) -> Option<Mark> {
        Mark::parse(self.annotations.get(OWNER)?)
    }

    pub(crate) fn applied(&self) -> Applied {
        let text = self.annotations.get(APPLIED);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

fn version(secret: &Secret) -> u64 {
    secret.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// How many deletions are remembered: more than writes are ever under way.
const DELETIONS: usize = 4096;

/// All of them.
pub(crate) struct ObservedSecrets {
    pub(crate) mac: Mac,
    index: Arc<Index>,
    seen: Mutex<Seen>,
    synced: watch::Sender<bool>,
}

/// What a watch and the answers to writes have told.
#[derive(Default)]
struct Seen {
    secrets: HashMap<Name, Arc<Observed>>,
    /// The versions at which Secrets were deleted: the answer to a write that came before may come after.
    deleted: HashMap<Name, u64>,
}

impl Seen {
    /// Takes in a state; false when a later one is known.
    fn learn(&mut self, name: &Name, observed: Observed) -> bool {
        let version = observed.resource_version;
        let known = self.secrets.get(name).map_or(0, |known| known.resource_version);
        let newer = known < version && self.deleted.get(name).is_none_or(|deleted| *deleted < version);
        if newer {
            self.deleted.remove(name);
            self.secrets.insert(name.clone(), Arc::new(observed));
        }
        newer
    }

    fn remove(&mut self, name: &Name, chosen: impl Fn(&Observed) -> bool) -> bool {
        let found = self.secrets.get(name).is_some_and(|observed| chosen(observed));
        if found {
            self.secrets.remove(name);
        }
        found
    }
}

impl ObservedSecrets {
    pub(crate) fn new(mac: Mac, index: Arc<Index>) -> Self {
        Self { mac, index, seen: Mutex::default(), synced: watch::channel(false).0 }
    }

    pub(crate) fn get(&self, name: &Name) -> Option<Arc<Observed>> {
        self.seen().secrets.get(name).cloned()
    }

    /// Takes in the answer to a write, so that a watch that lags behind does not look like drift. Where the watch was faster
    /// and someone has changed the Secret since, it is looked at once more.
    pub(crate) fn written(&self, name: &Name, secret: &Secret) {
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

    /// Takes in a deletion that this process has made.
    pub(crate) fn deleted(&self, name: &Name, uid: &str) {
        self.seen().remove(name, |observed| observed.uid == uid);
    }

    pub(crate) async fn synced(&self) {
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches for ever.
    pub(crate) async fn run(self: Arc<Self>, client: Client) {
        let config =
            watcher::Config::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).page_size(100);
        let mut events = pin!(watcher::watcher(Api::<Secret>::all(client), config).default_backoff());
        let mut listed = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed = Some(HashSet::new()),
                Ok(Event::InitApply(secret) | Event::Apply(secret)) => {
                    let name = Name::of(&secret);
                    if let Some(listed) = &mut listed {
                        listed.insert(name.clone());
                    }
                    self.applied(name, &secret);
                }
                Ok(Event::Delete(secret)) => self.gone(&secret),
                Ok(Event::InitDone) => self.listed(&listed.take().unwrap_or_default()),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "watch of Secrets failed")
                }
            }
        }
    }

    fn applied(&self, name: Name, secret: &Secret) {
        let observed = Observed::of(secret, &self.mac);
        if self.seen().learn(&name, observed) {
            self.index.wake(&[secret_key(&name)], None);
        }
    }

    /// A deletion of an earlier Secret of the name, or of an earlier state of it, is no news.
    fn gone(&self, secret: &Secret) {
        let name = Name::of(secret);
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

    fn listed(&self, listed: &HashSet<Name>) {
        let gone: Vec<Name> =
            self.seen().secrets.keys().filter(|name| !listed.contains(name)).cloned().collect();
        for name in gone {
            self.seen().remove(&name, |_| true);
            self.index.wake(&[secret_key(&name)], None);
        }
        self.synced.send_replace(true);
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
        let found = observed.get(&Name::new("web", "app"))?;
        Some(found.keys.iter().cloned().collect())
    }

    #[test]
    fn an_answer_that_a_watch_has_overtaken_is_no_news() {
        let name = Name::new("web", "app");
        let observed = ObservedSecrets::new(Mac::for_tests(), Arc::default());
        observed.written(&name, &secret(5, "ours"));
        observed.applied(name.clone(), &secret(7, "theirs"));
        observed.written(&name, &secret(6, "ours"));
        assert_eq!(known(&observed), Some(vec!["theirs".to_owned()]));
        observed.written(&name, &secret(8, "ours"));
        observed.applied(name, &secret(7, "theirs"));
        assert_eq!(known(&observed), Some(vec!["ours".to_owned()]));
    }

    #[test]
    fn a_secret_that_was_deleted_before_its_answer_came_is_not_there() {
        let name = Name::new("web", "app");
        let observed = ObservedSecrets::new(Mac::for_tests(), Arc::default());
        observed.gone(&secret(6, "ours"));
        observed.written(&name, &secret(5, "ours"));
        assert_eq!(known(&observed), None);
        observed.written(&name, &secret(9, "ours"));
        assert_eq!(known(&observed), Some(vec!["ours".to_owned()]));
    }
}
