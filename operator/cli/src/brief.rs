//! The parts of an object that show its state. A list of thousands of objects parses nothing else.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::{Deserialize, Serialize};
use steamer_api::KindId;

use crate::style::line;

/// An object of any kind.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Brief {
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) status: Status,
}

/// Metadata of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: String,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

/// Status of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// An object that is not Ready.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Late {
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// True if someone has to change something.
    pub(crate) stalled: bool,
}

impl Brief {
    /// Returns true if reconciliation is suspended.
    pub(crate) fn is_suspended(&self) -> bool {
        self.condition("Suspended").is_some_and(|condition| condition.status == "True")
    }

    /// The state of an object that is not Ready. None: it is Ready.
    pub(crate) fn late(&self, kind: KindId) -> Option<Late> {
        let (since, reason, message) = self.problem()?;
        Some(Late {
            kind: kind.as_str(),
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone(),
            since,
            reason: line(&reason),
            message: line(&message),
            stalled: self.condition("Stalled").is_some_and(|condition| condition.status == "True"),
        })
    }

    fn problem(&self) -> Option<(Option<Timestamp>, String, String)> {
        let Metadata { generation, creation_timestamp, deletion_timestamp, .. } = &self.metadata;
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        let Some(ready) = self.condition("Ready") else {
            let message = "the operator has not reconciled the object: check that it runs, and that it watches the namespace";
            return Some((time(creation_timestamp), "Waiting".to_owned(), message.to_owned()));
        };
        let since = ready.last_transition_time.0;
        if deletion_timestamp.is_some() {
            return Some((time(deletion_timestamp), "Deleting".to_owned(), ready.message.clone()));
        }
        if ready.status != "True" {
            return Some((Some(since), ready.reason.clone(), ready.message.clone()));
        }
        let is_current = self.status.observed_generation == *generation || self.is_suspended();
        (!is_current).then(|| {
            let message = "the operator has not reconciled the last change of the spec";
            (None, "Waiting".to_owned(), message.to_owned())
        })
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.type_ == kind)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "why\nso", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn brief(deleted: bool, observed: i64, conditions: Value) -> Brief {
        let deletion = deleted.then_some("2026-01-02T00:00:00Z");
        let metadata = json!({"name": "web", "namespace": "ns", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": deletion});
        let status = json!({"observedGeneration": observed, "conditions": conditions});
        serde_json::from_value(json!({"metadata": metadata, "spec": {"ignored": 1}, "status": status}))
            .unwrap()
    }

    #[rstest]
    #[case::ready(false, 2, json!([condition("Ready", "True", "Applied")]), "")]
    #[case::new(false, -1, json!([]), "Waiting false")]
    #[case::outdated(false, 1, json!([condition("Ready", "True", "Applied")]), "Waiting false")]
    #[case::suspended(false, 1, json!([condition("Ready", "True", "Applied"), condition("Suspended", "True", "Suspended")]), "")]
    #[case::failed(false, 2, json!([condition("Ready", "False", "Sealed")]), "Sealed false")]
    #[case::stalled(false, 2, json!([condition("Ready", "False", "Conflict"), condition("Stalled", "True", "Conflict")]), "Conflict true")]
    #[case::deleted(true, 2, json!([condition("Ready", "True", "Applied")]), "Deleting false")]
    fn an_object_is_late_unless_its_current_generation_is_ready(
        #[case] deleted: bool,
        #[case] observed: i64,
        #[case] conditions: Value,
        #[case] expected: &str,
    ) {
        let late = brief(deleted, observed, conditions).late(KindId::SecretsProject);
        assert!(late.iter().all(|late| !late.message.contains('\n')));
        assert_eq!(
            late.map(|late| format!("{} {}", late.reason, late.stalled)).unwrap_or_default(),
            expected
        );
    }
}
