//! Kubernetes objects that objects of Steamer refer to by name. Secrets: CA bundles, client certificates, stored JWTs,
//! Secrets of other owners to write into. ServiceAccounts: their UID and annotations. Each is watched by its name from the
//! first request on, so nothing polls and nothing lists all objects.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use steamer_runtime::{Dependencies, Index, Key, Locked, ObjectName};
use tokio::sync::watch;

use super::observation::{Observation, Refusal, Seen};
use super::on_demand::{OnDemand, PATIENCE, answer, looks};
use crate::error::Error;

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
    watches: OnDemand<Seen<K>>,
    /// Versions of which the certificates in a key were parsed. Objects use the same CA bundle again and again.
    parsed: Locked<HashMap<(ObjectName, String), String>>,
}

impl<K: Named> NamedObjects<K> {
    pub fn new(client: Client, index: Arc<Index>) -> Self {
        Self { client, watches: OnDemand::new(index), parsed: Locked::default() }
    }

    /// The object of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, [`Error::Unobserved`] if the API server does not return it.
    pub async fn existing(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Result<Arc<K>, Error> {
        let found = self.get(dependencies, name).await?;
        found.ok_or_else(|| Error::NotFound { kind: K::KIND, name: name.clone() })
    }

    /// The last observed state of the object, if it exists. A change requeues the dependent object.
    ///
    /// # Errors
    /// [`Error::Unobserved`] if the API server does not answer or refuses the watch.
    pub async fn get(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &ObjectName,
    ) -> Result<Option<Arc<K>>, Error> {
        dependencies.on(K::key(name));
        let seen = self.watches.receiver(name, || {
            let (sender, receiver) = watch::channel(Seen::Unknown);
            tokio::spawn(self.clone().follow(name.clone(), Observation::new(sender, PATIENCE)));
            receiver
        });
        let found = answer(seen, Seen::answer).await;
        found.map_err(|Refusal { text, reason }| Error::Unobserved {
            kind: K::KIND,
            name: name.clone(),
            text,
            reason,
        })
    }

    /// Watches one object as long as an object depends on it.
    async fn follow(self: Arc<Self>, name: ObjectName, mut observation: Observation<K>) {
        let api: Api<K> = Api::namespaced(self.client.clone(), &name.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
        let mut events = pin!(watcher::watcher(api, config).default_backoff());
        let mut looks = looks();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = looks.tick() => {
                    if self.ended(&name) { return } else { continue }
                }
            };
            let Some(event) = event else { break };
            if let Err(error) = &event {
                let error = error as &dyn std::error::Error;
                tracing::warn!(kind = K::KIND, object = %name, error, "watch of an object failed");
            }
            if observation.learn(event) {
                self.watches.wake(K::key(&name));
            }
        }
        drop(observation);
        self.watches.wake(K::key(&name));
    }

    fn ended(&self, name: &ObjectName) -> bool {
        let ended = self.watches.ended(name, &K::key(name));
        if ended {
            self.parsed.lock().retain(|(parsed, _), _| parsed != name);
        }
        ended
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
        value(&secret, (name, key))
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
        let secret = self.existing(dependencies, name).await?;
        let bundle = value(&secret, (name, key))?;
        let (place, version) = ((name.clone(), key.to_owned()), secret.metadata.resource_version.clone());
        if version.is_some() && self.parsed.lock().get(&place) == version.as_ref() {
            return Ok(bundle);
        }
        if steamer_openbao::certificates(&bundle).is_err() {
            return Err(Error::Invalid(format!("Secret {name}, key `{key}`, contains no PEM certificate")));
        }
        self.parsed.lock().extend(version.map(|version| (place, version)));
        Ok(bundle)
    }
}

/// The value of a key of a Secret.
fn value(secret: &Secret, (name, key): (&ObjectName, &str)) -> Result<Vec<u8>, Error> {
    let value = secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.clone());
    value.ok_or_else(|| Error::Waiting(format!("Secret {name} has no key `{key}`")))
}
