//! Kubernetes Events.

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tracing::debug;

use crate::status::Changes;
use crate::{Locked, Reason};

/// Events that a recorder remembers, to count a repeated one instead of creating another. It keeps each of them for minutes,
/// and until the next one: without a bound, an outage would leave an Event of each object in memory.
const REMEMBERED: usize = 256;

/// Publishes Events (`events.k8s.io`): one when `Ready` changes, and one for an action or a warning that `Ready` does not report.
pub struct Events {
    client: Client,
    reporter: Reporter,
    recent: Locked<Recent>,
}

/// The recorder of the last Events.
struct Recent {
    recorder: Recorder,
    published: usize,
}

impl Events {
    /// Returns a publisher. `instance` identifies this process in Events.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: "steamer".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client.clone(), reporter.clone());
        Self { client, reporter, recent: Locked::new(Recent { recorder, published: 0 }) }
    }

    fn recorder(&self) -> Recorder {
        let mut recent = self.recent.lock();
        if recent.published >= REMEMBERED {
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            *recent = Recent { recorder, published: 0 };
        }
        recent.published += 1;
        recent.recorder.clone()
    }

    /// Publishes an Event if `Ready` changed.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, changes: &Changes) {
        if let Some(ready) = &changes.ready {
            let expected = [Reason::Waiting, Reason::Deleting, Reason::RollingOut];
            let expected = expected.iter().any(|reason| reason.as_str() == ready.reason);
            let well = ready.status == "True" || expected;
            let kind = if well { EventType::Normal } else { EventType::Warning };
            self.send(object, kind, &ready.reason, &ready.message).await;
        }
    }

    /// Publishes a warning Event.
    pub async fn warn<K: Resource<DynamicType = ()>>(&self, object: &K, reason: Reason, note: &str) {
        self.send(object, EventType::Warning, reason.as_str(), note).await;
    }

    /// Publishes an Event for an action.
    pub async fn announce<K: Resource<DynamicType = ()>>(&self, object: &K, reason: Reason, note: &str) {
        self.send(object, EventType::Normal, reason.as_str(), note).await;
    }

    async fn send<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        // A lost Event is acceptable: the status contains the same information.
        if let Err(error) = self.recorder().publish(&event, &object.object_ref(&())).await {
            debug!(error = &error as &dyn std::error::Error, "cannot publish the Event");
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::fake::Fake;

    #[tokio::test]
    async fn a_repeated_event_is_counted_and_few_events_are_remembered() {
        let fake = Fake::answering(|request| (200, request.body.clone()));
        let events = Events::new(fake.client(), "test".to_owned());
        let object = |name: usize| -> ConfigMap {
            let metadata = json!({"name": name.to_string(), "namespace": "ns", "uid": name.to_string()});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        for name in [0, 0] {
            events.warn(&object(name), Reason::Failed, "note").await;
        }
        assert_eq!(fake.requests().last().unwrap().body["series"]["count"], 2);
        for name in 1..REMEMBERED {
            events.warn(&object(name), Reason::Failed, "note").await;
        }
        events.warn(&object(0), Reason::Failed, "note").await;
        assert_eq!(fake.requests().last().unwrap().body["series"], json!(null), "another recorder");
    }
}
