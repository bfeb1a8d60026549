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
            resource_version: secret
                .resource_version()
                .and_then(|version| version.parse().ok())
                .unwrap_or_default(),
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

/// All of them.
pub(crate) struct ObservedSecrets {
    pub(crate) mac: Mac,
    index: Arc<Index>,
    secrets: Mutex<HashMap<Name, Arc<Observed>>>,
    synced: watch::Sender<bool>,
}

impl ObservedSecrets {
    pub(crate) fn new(mac: Mac, index: Arc<Index>) -> Self {
        Self { mac, index, secrets: Mutex::default(), synced: watch::channel(false).0 }
    }

    pub(crate) fn get(&self, name: &Name) -> Option<Arc<Observed>> {
        self.secrets().get(name).cloned()
    }

    /// Takes in the answer to a write, so that a watch that lags behind does not look like drift.
    pub(crate) fn written(&self, name: &Name, secret: &Secret) -> Arc<Observed> {
        let observed = Arc::new(Observed::of(secret, &self.mac));
        self.secrets().insert(name.clone(), observed.clone());
        observed
    }

    /// Takes in a deletion that this process has made.
    pub(crate) fn deleted(&self, name: &Name, uid: &str) {
        self.remove(name, |observed| observed.uid == uid);
    }

    pub(crate) async fn synced(&self) {
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn secrets(&self) -> MutexGuard<'_, HashMap<Name, Arc<Observed>>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, name: &Name, chosen: impl Fn(&Observed) -> bool) -> bool {
        let mut secrets = self.secrets();
        let found = secrets.get(name).is_some_and(|observed| chosen(observed));
        if found {
            secrets.remove(name);
        }
        found
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
        let mut secrets = self.secrets();
        let newer = secrets.get(&name).is_none_or(|known| known.resource_version < observed.resource_version);
        if newer {
            secrets.insert(name.clone(), Arc::new(observed));
            drop(secrets);
            self.index.wake(&[secret_key(&name)], None);
        }
    }

    /// A deletion of an earlier Secret of the name, or of an earlier state of it, is no news.
    fn gone(&self, secret: &Secret) {
        let name = Name::of(secret);
        let (uid, version) =
            (secret.uid().unwrap_or_default(), Observed::of(secret, &self.mac).resource_version);
        if self.remove(&name, |known| known.uid == uid && known.resource_version <= version) {
            self.index.wake(&[secret_key(&name)], None);
        }
    }

    fn listed(&self, listed: &HashSet<Name>) {
        let gone: Vec<Name> = self.secrets().keys().filter(|name| !listed.contains(name)).cloned().collect();
        for name in gone {
            self.remove(&name, |_| true);
            self.index.wake(&[secret_key(&name)], None);
        }
        self.synced.send_replace(true);
    }
}
