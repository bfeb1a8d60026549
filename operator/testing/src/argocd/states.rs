//! The states of an object, as the operator writes them, and what tools conclude from them.

use jiff::Timestamp;
use serde_json::{Value, json};
use steamer_api::KindId;
use steamer_runtime::Reason;
use steamer_runtime::conditions::{Conditions, Verdict};

/// A state of an object.
pub struct State {
    /// Name of the state.
    pub name: &'static str,
    /// Results of the reconciles. Empty: the object was not reconciled.
    verdicts: Vec<Verdict>,
    /// Change that the operator has not observed.
    change: Change,
    /// Health that Argo CD shows.
    pub health: &'static str,
    /// Status of kstatus, for Flux.
    pub kstatus: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Edited,
    Deleted,
}

/// Every state.
#[must_use]
pub fn states() -> Vec<State> {
    let text = || "a message".to_owned();
    let ready = |reason| Verdict::Ready(reason, text());
    let state =
        |name, verdicts, (health, kstatus)| State { name, verdicts, change: Change::None, health, kstatus };
    let (healthy, progressing) = (("Healthy", "Current"), ("Progressing", "InProgress"));
    let waiting = Verdict::Progressing(Reason::ReferenceNotFound, text());
    vec![
        state("not_observed", vec![], progressing),
        state("applied", vec![ready(Reason::Applied)], healthy),
        state("disabled", vec![ready(Reason::Disabled)], healthy),
        state("observed", vec![ready(Reason::Observed)], healthy),
        state("drifted", vec![ready(Reason::Drifted)], healthy),
        state("waiting", vec![waiting], progressing),
        state("retrying", vec![Verdict::Retrying(Reason::Unreachable, text())], progressing),
        state("stalled", vec![Verdict::Stalled(Reason::Invalid, text())], ("Degraded", "Failed")),
        state("expired", vec![Verdict::NotReady(Reason::Expired, text())], ("Degraded", "InProgress")),
        state("hibernated", vec![Verdict::NotReady(Reason::Disabled, text())], ("Suspended", "InProgress")),
        state("suspended", vec![ready(Reason::Applied), Verdict::Suspended], ("Suspended", "Current")),
        state("never_active", vec![Verdict::Suspended], ("Suspended", "InProgress")),
        state("resumed", vec![Verdict::Suspended, ready(Reason::Applied)], healthy),
        State { change: Change::Edited, ..state("edited", vec![ready(Reason::Applied)], progressing) },
        State {
            change: Change::Deleted,
            ..state("deleting", vec![ready(Reason::Applied)], ("Progressing", "Terminating"))
        },
    ]
}

impl State {
    /// An object of a kind in this state.
    #[must_use]
    pub fn object(&self, kind: KindId) -> Value {
        let mut metadata = json!({"name": "example", "namespace": "web", "generation": 2});
        match self.change {
            Change::None => {}
            Change::Edited => metadata["generation"] = 3.into(),
            Change::Deleted => metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into(),
        }
        let mut conditions = Vec::new();
        for verdict in &self.verdicts {
            Conditions::new(&mut conditions, 2, Timestamp::UNIX_EPOCH).conclude(verdict);
        }
        let observed = if self.verdicts.is_empty() { -1 } else { 2 };
        json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": kind.as_str(), "metadata": metadata, "spec": {},
            "status": {"observedGeneration": observed, "conditions": conditions},
        })
    }

    /// Message that Argo CD shows.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match (self.change, self.name) {
            (Change::Deleted, _) => "The object is being deleted",
            (Change::Edited, _) | (_, "not_observed") => {
                "Waiting for the operator to observe the latest spec"
            }
            (_, "suspended" | "never_active") => "reconciliation is suspended until spec.suspend is false",
            _ => "a message",
        }
    }
}
