//! State of one watched object: unknown, refused by the API server, or known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};
use steamer_runtime::Reason;
use tokio::sync::watch;

use crate::api_server;

/// State of a watched object.
#[derive(Clone, Debug)]
pub(super) enum Seen<K> {
    /// The API server has not answered yet.
    Unknown,
    /// The API server is unreachable or refuses the watch.
    Refused(Refusal),
    /// The object, if it exists.
    Known(Option<Arc<K>>),
}

impl<K> Seen<K> {
    /// The answer of the API server, if there is one.
    pub(super) fn answer(&self) -> Option<Result<Option<Arc<K>>, Refusal>> {
        match self {
            Self::Unknown => None,
            Self::Refused(refusal) => Some(Err(refusal.clone())),
            Self::Known(object) => Some(Ok(object.clone())),
        }
    }
}

/// Answer of the API server instead of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it answered.
    pub text: String,
    /// Reason for it.
    pub reason: Reason,
}

/// The events of a watch of one object.
pub(super) struct Observation<K> {
    seen: watch::Sender<Seen<K>>,
    /// Whether the current list contains the object.
    present: bool,
    started: Instant,
    patience: Duration,
}

impl<K: ResourceExt> Observation<K> {
    /// No events yet. Reconciles wait for the first one for `patience`.
    pub(super) fn new(seen: watch::Sender<Seen<K>>, patience: Duration) -> Self {
        Self { seen, present: false, started: Instant::now(), patience }
    }

    /// Publishes the state after an event. Returns true if the dependent objects must be requeued.
    pub(super) fn learn(&mut self, event: Result<Event<K>, watcher::Error>) -> bool {
        let Some(now) = self.after(event) else {
            return false;
        };
        let news = match (&*self.seen.borrow(), &now) {
            // An object stays known during an outage of the API server.
            (Seen::Known(_), Seen::Refused(_)) => return false,
            (_, Seen::Refused(_) | Seen::Unknown) => false,
            // The waiting reconciles receive the first answer, unless it came too late.
            (Seen::Unknown, Seen::Known(_)) => self.started.elapsed() >= self.patience,
            (Seen::Refused(_), Seen::Known(_)) => true,
            (Seen::Known(last), Seen::Known(now)) => version(last.as_deref()) != version(now.as_deref()),
        };
        self.seen.send_replace(now);
        news
    }

    fn after(&mut self, event: Result<Event<K>, watcher::Error>) -> Option<Seen<K>> {
        match event {
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                self.present = true;
                Some(Seen::Known(Some(Arc::new(object))))
            }
            Ok(Event::Delete(_)) => {
                self.present = false;
                Some(Seen::Known(None))
            }
            Ok(Event::Init) => {
                self.present = false;
                None
            }
            Ok(Event::InitDone) => (!self.present).then_some(Seen::Known(None)),
            Err(error) => Some(Seen::Refused(refusal(error))),
        }
    }
}

fn version<K: ResourceExt>(object: Option<&K>) -> Option<String> {
    object.and_then(ResourceExt::resource_version)
}

/// The answer of the API server to a list or a watch that failed.
pub fn refusal(error: watcher::Error) -> Refusal {
    let error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        watcher::Error::WatchError(status) => kube::Error::Api(status),
        watcher::Error::NoResourceVersion => {
            let text = "the Kubernetes API server does not support watches".to_owned();
            return Refusal { text, reason: Reason::Failed };
        }
    };
    Refusal { text: api_server::sentence(&error), reason: api_server::reason(&error) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    type Step = Result<Event<Secret>, watcher::Error>;

    fn secret(version: &str) -> Secret {
        let metadata = serde_json::json!({"name": "a", "namespace": "web", "resourceVersion": version});
        serde_json::from_value(serde_json::json!({"metadata": metadata})).unwrap()
    }

    fn failed(code: u16) -> Step {
        let status = Status::failure("no", "Forbidden").with_code(code).boxed();
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
    }

    fn list(versions: &[&str]) -> Vec<Step> {
        let objects = versions.iter().map(|version| Ok(Event::InitApply(secret(version))));
        std::iter::once(Ok(Event::Init)).chain(objects).chain([Ok(Event::InitDone)]).collect()
    }

    fn all(parts: Vec<Vec<Step>>) -> Vec<Step> {
        parts.into_iter().flatten().collect()
    }

    /// Returns the last state and the number of wake-ups.
    fn outcome(steps: Vec<Step>, patience: Duration) -> (String, usize) {
        let (sender, receiver) = watch::channel(Seen::Unknown);
        let mut observation = Observation::new(sender, patience);
        let wakes = steps.into_iter().map(|step| observation.learn(step)).filter(|woken| *woken).count();
        let state = match &*receiver.borrow() {
            Seen::Unknown => "unknown".to_owned(),
            Seen::Refused(refusal) => format!("{:?}", refusal.reason),
            Seen::Known(None) => "missing".to_owned(),
            Seen::Known(Some(object)) => object.resource_version().unwrap_or_default(),
        };
        (state, wakes)
    }

    #[rstest]
    #[case::nothing(vec![], "unknown", 0)]
    #[case::found(list(&["1"]), "1", 0)]
    #[case::missing(list(&[]), "missing", 0)]
    #[case::refused(vec![failed(403)], "PermissionDenied", 0)]
    #[case::overloaded(vec![failed(503)], "Failed", 0)]
    #[case::found_after_a_refusal(all(vec![vec![failed(403)], list(&["1"])]), "1", 1)]
    #[case::missing_after_a_refusal(all(vec![vec![failed(403), failed(503)], list(&[])]), "missing", 1)]
    #[case::known_during_an_outage(all(vec![list(&["1"]), vec![failed(503)]]), "1", 0)]
    #[case::listed_again(all(vec![list(&["1"]), vec![failed(503)], list(&["1"])]), "1", 0)]
    #[case::changed_during_an_outage(all(vec![list(&["1"]), vec![failed(503)], list(&["2"])]), "2", 1)]
    #[case::deleted_during_an_outage(all(vec![list(&["1"]), vec![failed(503)], list(&[])]), "missing", 1)]
    #[case::created(all(vec![list(&[]), vec![Ok(Event::Apply(secret("1")))]]), "1", 1)]
    #[case::deleted(all(vec![list(&["1"]), vec![Ok(Event::Delete(secret("2")))]]), "missing", 1)]
    fn an_object_is_missing_only_if_the_api_server_says_so(
        #[case] steps: Vec<Step>,
        #[case] state: &str,
        #[case] wakes: usize,
    ) {
        assert_eq!(outcome(steps, Duration::from_secs(3600)), (state.to_owned(), wakes));
    }

    #[test]
    fn a_first_answer_that_comes_too_late_requeues_the_objects() {
        assert_eq!(outcome(list(&["1"]), Duration::ZERO), ("1".to_owned(), 1));
    }
}
