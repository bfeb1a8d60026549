//! Secrets that objects refer to by name: CA bundles, client certificates, stored JWTs, Secrets of other owners to write
//! into. Each is watched by its name from the first request on, so nothing polls and nothing lists all Secrets.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use steamer_runtime::Locked;
use steamer_runtime::{Dependencies, Index, Key, ObjectName};
use tokio::sync::watch;

use crate::error::Error;

/// How long a reconcile waits for the first answer of the API server.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key of a Secret: a change requeues the objects that depend on it.
pub fn secret_key(name: &ObjectName) -> Key {
    Key::new("Secret", name.clone())
}

/// The Secrets that are watched.
pub struct NamedSecrets {
    client: Client,
    index: Arc<Index>,
    watched: Locked<HashMap<ObjectName, watch::Receiver<Seen>>>,
}

/// None until the first answer of the API server.
type Seen = Option<Option<Arc<Secret>>>;

impl NamedSecrets {
    pub fn new(client: Client, index: Arc<Index>) -> Self {
        Self { client, index, watched: Locked::default() }
    }

    /// The last observed state of the Secret, if it exists. A change requeues the object.
    pub async fn get(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Option<Arc<Secret>> {
        dependencies.on(secret_key(name));
        let mut seen = self.watch(name);
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone().flatten()
    }

    /// The Secret of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist.
    pub async fn existing(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Result<Arc<Secret>, Error> {
        let found = self.get(dependencies, name).await;
        found.ok_or_else(|| Error::NotFound { kind: "Secret", name: name.clone() })
    }

    /// The value of a key of a Secret.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the Secret does not exist, [`Error::Waiting`] if it does not have the key.
    pub async fn value(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
        key: &str,
    ) -> Result<Vec<u8>, Error> {
        let secret = self.existing(dependencies, name).await?;
        let value = secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.clone());
        value.ok_or_else(|| Error::Waiting(format!("Secret {name} has no key `{key}`")))
    }

    fn watch(self: &Arc<Self>, name: &ObjectName) -> watch::Receiver<Seen> {
        let mut watched = self.watched.lock();
        watched
            .entry(name.clone())
            .or_insert_with(|| {
                let (sender, receiver) = watch::channel(None);
                tokio::spawn(self.clone().follow(name.clone(), sender));
                receiver
            })
            .clone()
    }

    /// Watches one Secret as long as an object depends on it.
    async fn follow(self: Arc<Self>, name: ObjectName, seen: watch::Sender<Seen>) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &name.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
        let mut events = pin!(watcher::watcher(api, config).default_backoff());
        let (mut present, started) = (false, Instant::now());
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep(Duration::from_secs(60)) => {
                    if self.index.is_awaited(&secret_key(&name)) { continue }
                    self.watched.lock().remove(&name);
                    return;
                }
            };
            let now = match event {
                Some(Ok(Event::InitApply(secret) | Event::Apply(secret))) => {
                    present = true;
                    Some(Arc::new(secret))
                }
                Some(Ok(Event::Delete(_))) => {
                    present = false;
                    None
                }
                Some(Ok(Event::Init)) => {
                    present = false;
                    continue;
                }
                Some(Ok(Event::InitDone)) if !present => None,
                Some(Ok(Event::InitDone) | Err(_)) => continue,
                None => return,
            };
            // The first answer goes to the waiting reconcile; later ones, and one that came too late, requeue the objects.
            let version =
                |secret: &Option<Arc<Secret>>| secret.as_ref().and_then(|secret| secret.resource_version());
            let news = match seen.borrow().as_ref() {
                None => started.elapsed() >= PATIENCE,
                Some(last) => version(last) != version(&now),
            };
            seen.send_replace(Some(now));
            if news {
                self.index.wake(&[secret_key(&name)], None);
            }
        }
    }
}
