//! Kubernetes objects that objects of Steamer refer to by name. Secrets: CA bundles, client certificates, stored JWTs,
//! Secrets of other owners to write into. ServiceAccounts: their UID and annotations. Each is watched by its name from the
//! first request on, so nothing polls and nothing lists all objects.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use steamer_runtime::Locked;
use steamer_runtime::{Dependencies, Index, Key, ObjectName};
use tokio::sync::watch;

use crate::error::Error;

/// How long a reconcile waits for the first answer of the API server.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key of a Secret: a change requeues the objects that depend on it.
pub fn secret_key(name: &ObjectName) -> Key {
    Secret::key(name)
}

/// A kind whose objects are watched by name.
pub trait Named:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Name of the kind.
    const KIND: &'static str;

    /// The key of an object: a change requeues the objects that depend on it.
    fn key(name: &ObjectName) -> Key {
        Key::new(Self::KIND, name.clone())
    }
}

impl Named for Secret {
    const KIND: &'static str = "Secret";
}

impl Named for ServiceAccount {
    const KIND: &'static str = "ServiceAccount";
}

/// The Secrets that are watched.
pub type NamedSecrets = NamedObjects<Secret>;

/// The objects of one kind that are watched.
pub struct NamedObjects<K> {
    client: Client,
    index: Arc<Index>,
    watched: Locked<HashMap<ObjectName, watch::Receiver<Seen<K>>>>,
}

/// None until the first answer of the API server.
type Seen<K> = Option<Option<Arc<K>>>;

impl<K: Named> NamedObjects<K> {
    pub fn new(client: Client, index: Arc<Index>) -> Self {
        Self { client, index, watched: Locked::default() }
    }

    /// The object of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, [`Error::Waiting`] if the API server does not answer.
    pub async fn existing(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Result<Arc<K>, Error> {
        match self.observed(dependencies, name).await {
            Some(Some(found)) => Ok(found),
            Some(None) => Err(Error::NotFound { kind: K::KIND, name: name.clone() }),
            None => Err(Error::Waiting(format!("the API server did not return {} {name} yet", K::KIND))),
        }
    }

    /// The last observed state of the object, if it exists. A change requeues the dependent object.
    pub async fn get(self: &Arc<Self>, dependencies: &Dependencies, name: &ObjectName) -> Option<Arc<K>> {
        self.observed(dependencies, name).await.flatten()
    }

    /// None if the API server did not answer.
    async fn observed(self: &Arc<Self>, dependencies: &Dependencies, name: &ObjectName) -> Seen<K> {
        dependencies.on(K::key(name));
        let mut seen = self.watch(name);
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }

    fn watch(self: &Arc<Self>, name: &ObjectName) -> watch::Receiver<Seen<K>> {
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

    /// Watches one object as long as an object depends on it.
    async fn follow(self: Arc<Self>, name: ObjectName, seen: watch::Sender<Seen<K>>) {
        let api: Api<K> = Api::namespaced(self.client.clone(), &name.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
        let mut events = pin!(watcher::watcher(api, config).default_backoff());
        let (mut present, started) = (false, Instant::now());
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep(Duration::from_secs(60)) => {
                    if self.index.is_awaited(&K::key(&name)) { continue }
                    self.watched.lock().remove(&name);
                    return;
                }
            };
            let now = match event {
                Some(Ok(Event::InitApply(object) | Event::Apply(object))) => {
                    present = true;
                    Some(Arc::new(object))
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
                |object: &Option<Arc<K>>| object.as_ref().and_then(|object| object.resource_version());
            let news = match seen.borrow().as_ref() {
                None => started.elapsed() >= PATIENCE,
                Some(last) => version(last) != version(&now),
            };
            seen.send_replace(Some(now));
            if news {
                self.index.wake(&[K::key(&name)], None);
            }
        }
    }
}

impl NamedSecrets {
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
    /// The PEM certificates in a key of a Secret.
    ///
    /// # Errors
    /// Same as [`Self::value`], and [`Error::Invalid`] if the value contains no certificate.
    pub async fn certificates(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
        key: &str,
    ) -> Result<Vec<u8>, Error> {
        let bundle = self.value(dependencies, name, key).await?;
        match steamer_openbao::certificates(&bundle) {
            Ok(_) => Ok(bundle),
            Err(_) => Err(Error::Invalid(format!("Secret {name}, key `{key}`, contains no PEM certificate"))),
        }
    }
}
