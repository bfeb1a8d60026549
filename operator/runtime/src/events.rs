//! Kubernetes Events.

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tracing::debug;

use crate::Reason;
use crate::status::Changes;

/// Publishes Events (`events.k8s.io`): one when `Ready` changes, and one for an action or a warning that `Ready` does not report.
pub struct Events(Recorder);

impl Events {
    /// Returns a publisher. `instance` identifies this process in Events.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        Self(Recorder::new(client, Reporter { controller: "steamer".to_owned(), instance: Some(instance) }))
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
        if let Err(error) = self.0.publish(&event, &object.object_ref(&())).await {
            debug!(error = &error as &dyn std::error::Error, "cannot publish the Event");
        }
    }
}
