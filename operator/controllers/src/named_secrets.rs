//! Secrets that objects name: CA bundles, client certificates, stored JWTs, Secrets of others to write into. Each is
//! watched by its name alone, from when it is first asked for, so that nothing polls and nothing lists all Secrets.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use steamer_runtime::{Dependencies, Index, Key, Name};
use tokio::sync::watch;

/// How long a pass waits for the first answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key under which a Secret wakes who waits for it.
pub(crate) fn secret_key(name: &Name) -> Key {
    Key::new("Secret", name.clone())
}

/// The Secrets being watched.
pub(crate) struct NamedSecrets {
    client: Client,
    index: Arc<Index>,
    watched: Mutex<HashMap<Name, watch::Receiver<Seen>>>,
}

/// None until the first answer of the API server.
type Seen = Option<Option<Arc<Secret>>>;

impl NamedSecrets {
    pub(crate) fn new(client: Client, index: Arc<Index>) -> Self {
        Self { client, index, watched: Mutex::default() }
    }

    /// The Secret as last seen, if it exists; its change wakes the object.
    pub(crate) async fn get(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        name: &Name,
    ) -> Option<Arc<Secret>> {
        dependencies.on(secret_key(name));
        let mut seen = self.watch(name);
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone().flatten()
    }

    fn watch(self: &Arc<Self>, name: &Name) -> watch::Receiver<Seen> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched
            .entry(name.clone())
            .or_insert_with(|| {
                let (sender, receiver) = watch::channel(None);
                tokio::spawn(self.clone().follow(name.clone(), sender));
                receiver
            })
            .clone()
    }

    /// Follows one Secret for as long as anyone waits for it.
    async fn follow(self: Arc<Self>, name: Name, seen: watch::Sender<Seen>) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &name.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
        let mut events = pin!(watcher::watcher(api, config).default_backoff());
        let (mut present, started) = (false, Instant::now());
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = tokio::time::sleep(Duration::from_secs(60)) => {
                    if self.index.is_awaited(&secret_key(&name)) { continue }
                    self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
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
            // Who waits for the first answer gets it; who has given up, and who had another, is woken.
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
