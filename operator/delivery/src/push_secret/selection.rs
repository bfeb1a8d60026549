//! Secrets that a selector matches, watched by their labels as long as an object depends on them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use steamer_api::LabelSelector;
use steamer_core::Error;
use steamer_core::access::observation::{Refusal, refusal};
use steamer_core::access::on_demand::{IDLE, OnDemand, answer, looks};
use steamer_runtime::{Dependencies, Index, Key, ObjectName, prune};
use tokio::sync::watch;

/// Most Secrets of a selection.
const MOST: usize = 64;
/// Most bytes of their values.
const BYTES: usize = 4 << 20;
/// Secrets in one page of a list. Each has at most 1 MiB, and a page is in memory at once.
const PAGE: u32 = 16;

/// Secrets by name.
pub(super) type Secrets = BTreeMap<String, Arc<Secret>>;

/// State of a selection.
#[derive(Clone)]
enum Seen {
    /// The API server has not answered yet.
    Unknown,
    /// The API server is unreachable or refuses the watch.
    Refused(Refusal),
    /// The Secrets are too many or too large. None is kept. This state lasts for [`IDLE`]; then another watch can start.
    Excessive,
    /// All Secrets.
    Known(Arc<Secrets>),
}

impl Seen {
    /// The answer of the API server, if there is one. None in it: the Secrets are too many or too large.
    fn answer(&self) -> Option<Result<Option<Arc<Secrets>>, Refusal>> {
        match self {
            Self::Unknown => None,
            Self::Refused(refusal) => Some(Err(refusal.clone())),
            Self::Excessive => Some(Ok(None)),
            Self::Known(secrets) => Some(Ok(Some(secrets.clone()))),
        }
    }
}

/// Why a watch ended.
enum End {
    /// No object depends on it.
    Unused,
    /// The Secrets are too many or too large.
    Excessive,
    /// The stream of events ended.
    Closed,
}

/// The selections that are watched: namespace and query.
pub(super) struct Selections {
    client: Client,
    watches: OnDemand<Seen>,
}

impl Selections {
    pub(super) fn new(client: Client, index: Arc<Index>) -> Self {
        Self { client, watches: OnDemand::new(index) }
    }

    /// The Secrets that a selector matches in a namespace. A change requeues the dependent object.
    ///
    /// # Errors
    /// [`Error::Unobserved`] if the API server does not answer or refuses the watch, [`Error::Invalid`] for a selector that
    /// matches too many Secrets.
    pub(super) async fn get(
        self: &Arc<Self>,
        dependencies: &Dependencies,
        namespace: &str,
        selector: &LabelSelector,
    ) -> Result<Arc<Secrets>, Error> {
        let selection = ObjectName::new(namespace, selector.query());
        dependencies.on(key(&selection));
        let seen = self.watches.receiver(&selection, || {
            let (sender, receiver) = watch::channel(Seen::Unknown);
            tokio::spawn(self.clone().follow(selection.clone(), sender));
            receiver
        });
        match answer(seen, Seen::answer).await {
            Ok(secrets) => secrets.ok_or_else(excessive),
            Err(Refusal { text, reason }) => {
                let name = ObjectName::new("", namespace);
                Err(Error::Unobserved { kind: "the selected Secrets of namespace", name, text, reason })
            }
        }
    }

    /// Watches the Secrets as long as an object depends on them.
    async fn follow(self: Arc<Self>, selection: ObjectName, seen: watch::Sender<Seen>) {
        match self.observe(&selection, &seen).await {
            End::Unused => {}
            End::Excessive => {
                // The next reconciles see this state and start no other watch.
                tokio::time::sleep(IDLE).await;
                self.watches.end(&selection);
            }
            End::Closed => {
                drop(seen);
                self.watches.wake(key(&selection));
            }
        }
    }

    /// Publishes the Secrets until the watch ends.
    async fn observe(&self, selection: &ObjectName, seen: &watch::Sender<Seen>) -> End {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &selection.namespace);
        let config = watcher::Config::default().labels(&selection.name).page_size(PAGE);
        let mut events = pin!(watcher::watcher(api, config).default_backoff());
        let mut listing = Listing::default();
        let mut looks = looks();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = looks.tick() => {
                    if self.watches.ended(selection, &key(selection)) { return End::Unused } else { continue }
                }
            };
            let Some(event) = event else { return End::Closed };
            if let Err(error) = &event {
                let (namespace, error) = (&selection.namespace, error as &dyn std::error::Error);
                tracing::warn!(namespace, error, "watch of selected Secrets failed");
            }
            let was_complete = listing.complete.is_some();
            let Some(now) = listing.after(event) else { continue };
            let is_over = matches!(now, Seen::Excessive);
            seen.send_replace(now);
            // A waiting reconcile receives a first answer without being woken.
            if !is_over || was_complete {
                self.watches.wake(key(selection));
            }
            if is_over {
                return End::Excessive;
            }
        }
    }
}

/// The key of a selection: a change requeues the objects that depend on it.
fn key(selection: &ObjectName) -> Key {
    Key::new("SelectedSecrets", selection.clone())
}

fn excessive() -> Error {
    Error::Invalid(format!(
        "selector matches more than {MOST} Secrets, or Secrets with more than {} MiB of values: narrow it, or divide the Secrets \
         between several objects",
        BYTES >> 20
    ))
}

/// The Secrets of a watch.
#[derive(Default)]
struct Listing {
    /// None before the first list is complete.
    complete: Option<Secrets>,
    /// Secrets of a list that is not complete.
    partial: Secrets,
}

impl Listing {
    /// The state after an event, if it is another one.
    fn after(&mut self, event: Result<Event<Secret>, watcher::Error>) -> Option<Seen> {
        match event {
            Ok(Event::Init) => {
                self.partial.clear();
                return None;
            }
            Ok(Event::InitApply(secret)) => {
                add(&mut self.partial, secret);
                return (!fits(&self.partial)).then_some(Seen::Excessive);
            }
            // Secrets are gone only when a list is complete.
            Ok(Event::InitDone) => self.complete = Some(std::mem::take(&mut self.partial)),
            Ok(Event::Apply(secret)) => add(self.complete.get_or_insert_default(), secret),
            Ok(Event::Delete(secret)) => {
                self.complete.get_or_insert_default().remove(&secret.name_any());
            }
            // They stay known during an outage of the API server.
            Err(error) => return self.complete.is_none().then(|| Seen::Refused(refusal(error))),
        }
        let complete = self.complete.as_ref()?;
        Some(if fits(complete) { Seen::Known(Arc::new(complete.clone())) } else { Seen::Excessive })
    }
}

fn add(secrets: &mut Secrets, mut secret: Secret) {
    prune(&mut secret.metadata);
    secrets.insert(secret.name_any(), Arc::new(secret));
}

fn fits(secrets: &Secrets) -> bool {
    let values = secrets.values().flat_map(|secret| secret.data.iter().flatten());
    secrets.len() <= MOST && values.map(|(_, value)| value.0.len()).sum::<usize>() <= BYTES
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    type Step = Result<Event<Secret>, watcher::Error>;

    fn secret(name: &str, bytes: usize) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.data = Some([("key".to_owned(), ByteString(vec![b'x'; bytes]))].into());
        secret
    }

    fn list(names: &[&str]) -> Vec<Step> {
        let secrets = names.iter().map(|name| Ok(Event::InitApply(secret(name, 1))));
        std::iter::once(Ok(Event::Init)).chain(secrets).chain([Ok(Event::InitDone)]).collect()
    }

    fn failed() -> Step {
        let status = Status::failure("no", "Forbidden").with_code(403).boxed();
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
    }

    fn all(parts: Vec<Vec<Step>>) -> Vec<Step> {
        parts.into_iter().flatten().collect()
    }

    /// The states, one after the other.
    fn states(steps: Vec<Step>) -> Vec<String> {
        let mut listing = Listing::default();
        let text = |seen| match seen {
            Seen::Unknown => "unknown".to_owned(),
            Seen::Refused(refusal) => format!("{:?}", refusal.reason),
            Seen::Excessive => "excessive".to_owned(),
            Seen::Known(secrets) => secrets.keys().cloned().collect::<Vec<_>>().join(" "),
        };
        steps.into_iter().filter_map(|step| listing.after(step)).map(text).collect()
    }

    #[rstest]
    #[case::nothing(list(&[]), &[""])]
    #[case::all_at_once(list(&["b", "a"]), &["a b"])]
    #[case::changed(
        all(vec![list(&["a"]), vec![Ok(Event::Apply(secret("b", 1))), Ok(Event::Delete(secret("a", 1)))]]), &["a", "a b", "b"]
    )]
    #[case::refused(all(vec![vec![failed()], list(&["a"])]), &["PermissionDenied", "a"])]
    #[case::known_during_an_outage(all(vec![list(&["a"]), vec![failed()]]), &["a"])]
    #[case::listed_again(all(vec![list(&["a", "b"]), list(&["b"])]), &["a b", "b"])]
    #[case::list_that_does_not_complete(
        all(vec![list(&["a", "b"]), vec![Ok(Event::Init), Ok(Event::InitApply(secret("a", 1))), failed()]]), &["a b"]
    )]
    #[case::large(vec![Ok(Event::Init), Ok(Event::InitApply(secret("a", BYTES + 1)))], &["excessive"])]
    #[case::grown(all(vec![list(&["a"]), vec![Ok(Event::Apply(secret("b", BYTES)))]]), &["a", "excessive"])]
    fn a_secret_is_gone_only_when_the_api_server_says_so(
        #[case] steps: Vec<Step>,
        #[case] expected: &[&str],
    ) {
        assert_eq!(states(steps), expected);
    }

    #[test]
    fn the_number_of_secrets_is_bounded() {
        let names: Vec<String> = (0..=MOST).map(|number| format!("s{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(states(list(&names[1..])).len(), 1);
        assert!(states(list(&names)).contains(&"excessive".to_owned()));
    }
}
