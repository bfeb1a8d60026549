//! Conditions in the form that kstatus, `kubectl wait`, Flux and Argo CD expect.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::Reason;

/// Result of a reconcile, which determines `Ready`, `Reconciling` and `Stalled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The desired state is reached: `Ready` is `True`.
    Ready(Reason, String),
    /// Not ready, and no change is in progress.
    NotReady(Reason, String),
    /// Not ready, and a change is in progress.
    Progressing(Reason, String),
    /// The reconcile failed and will be retried.
    Retrying(Reason, String),
    /// The reconcile cannot succeed until the spec or an external object changes.
    Stalled(Reason, String),
    /// Reconciliation is suspended; the last `Ready` is kept.
    Suspended,
}

impl Verdict {
    /// Returns the reason of the `Ready` condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Ready(reason, _)
            | Self::NotReady(reason, _)
            | Self::Progressing(reason, _)
            | Self::Retrying(reason, _)
            | Self::Stalled(reason, _) => *reason,
            Self::Suspended => Reason::Suspended,
        }
    }
}

/// Conditions of one object at one generation, changed in place.
pub struct Conditions<'a> {
    list: &'a mut Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    /// Wraps a list of conditions. `generation` becomes their `observedGeneration`.
    pub fn new(list: &'a mut Vec<Condition>, generation: i64, now: Timestamp) -> Self {
        Self { list, generation, now }
    }

    /// Sets a condition. Its transition time changes only with its status.
    pub fn set(&mut self, kind: &str, state: State, reason: Reason, message: &str) {
        let found = self.list.iter().position(|condition| condition.type_ == kind);
        let since = match found.map(|at| &self.list[at]) {
            Some(old) if old.status == state.as_str() => old.last_transition_time.clone(),
            _ => Time(whole_second(self.now)),
        };
        let condition = Condition {
            type_: kind.to_owned(),
            status: state.as_str().to_owned(),
            reason: reason.as_str().to_owned(),
            message: clipped(message),
            observed_generation: Some(self.generation),
            last_transition_time: since,
        };
        match found {
            Some(at) => self.list[at] = condition,
            None => self.list.push(condition),
        }
    }

    /// Removes a condition.
    pub fn clear(&mut self, kind: &str) {
        self.list.retain(|condition| condition.type_ != kind);
    }

    /// Sets the conditions that every kind has.
    pub fn conclude(&mut self, verdict: &Verdict) {
        if *verdict != Verdict::Suspended {
            self.clear("Suspended");
            self.compare(verdict);
        }
        match verdict {
            Verdict::Ready(reason, message) => self.conclude_as(State::True, *reason, message, None),
            Verdict::NotReady(reason, message) => self.conclude_as(State::False, *reason, message, None),
            Verdict::Progressing(reason, message) => {
                self.conclude_as(State::False, *reason, message, Some(("Reconciling", *reason)));
            }
            Verdict::Retrying(reason, message) => {
                let retrying = Some(("Reconciling", Reason::ProgressingWithRetry));
                self.conclude_as(State::False, *reason, message, retrying);
            }
            Verdict::Stalled(reason, message) => {
                self.conclude_as(State::False, *reason, message, Some(("Stalled", *reason)));
            }
            Verdict::Suspended => {
                self.clear("Reconciling");
                if !self.list.iter().any(|condition| condition.type_ == "Ready") {
                    let message = "the object was suspended before its first reconcile";
                    self.set("Ready", State::False, Reason::Suspended, message);
                }
                self.set(
                    "Suspended",
                    State::True,
                    Reason::Suspended,
                    "reconciliation is suspended until spec.suspend is false",
                );
            }
        }
    }

    /// Sets `InSync` for an object that only reports, so that it is ready while it differs.
    fn compare(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Ready(reason @ (Reason::Observed | Reason::Drifted), message) => {
                self.set("InSync", State::from(*reason == Reason::Observed), *reason, message);
            }
            _ => self.clear("InSync"),
        }
    }

    fn conclude_as(&mut self, ready: State, reason: Reason, message: &str, beside: Option<(&str, Reason)>) {
        for kind in ["Reconciling", "Stalled"] {
            if beside.is_none_or(|(kept, _)| kept != kind) {
                self.clear(kind);
            }
        }
        if let Some((kind, why)) = beside {
            self.set(kind, State::True, why, message);
        }
        self.set("Ready", ready, reason, message);
    }
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`.
    Unknown,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for State {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Truncates to seconds, the precision of times in Kubernetes: a finer time would differ from the stored one.
#[must_use]
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Most characters of a message: enough for the lines of a policy that an object needs. Kubernetes allows 32768 bytes.
const LONGEST: usize = 4096;

/// Truncates a message.
fn clipped(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn concluded(before: &[Verdict], last: Verdict) -> Vec<(String, String, String)> {
        let mut list = Vec::new();
        for verdict in before.iter().chain([&last]) {
            Conditions::new(&mut list, 1, Timestamp::UNIX_EPOCH).conclude(verdict);
        }
        let mut seen: Vec<_> = list.into_iter().map(|c| (c.type_, c.status, c.reason)).collect();
        seen.sort();
        seen
    }

    #[rstest]
    #[case(Verdict::Ready(Reason::Applied, "m".into()), "Ready=True/Applied")]
    #[case(Verdict::Progressing(Reason::ReferenceNotFound, "m".into()), "Ready=False/ReferenceNotFound Reconciling=True/ReferenceNotFound")]
    #[case(Verdict::Retrying(Reason::Sealed, "m".into()), "Ready=False/Sealed Reconciling=True/ProgressingWithRetry")]
    #[case(Verdict::Stalled(Reason::Conflict, "m".into()), "Ready=False/Conflict Stalled=True/Conflict")]
    #[case(Verdict::NotReady(Reason::Expired, "m".into()), "Ready=False/Expired")]
    #[case(Verdict::Ready(Reason::Observed, "m".into()), "InSync=True/Observed Ready=True/Observed")]
    #[case(Verdict::Ready(Reason::Drifted, "m".into()), "InSync=False/Drifted Ready=True/Drifted")]
    fn a_verdict_sets_exactly_its_conditions(#[case] verdict: Verdict, #[case] expected: &str) {
        let all = [
            Verdict::Stalled(Reason::Invalid, "x".into()),
            Verdict::Retrying(Reason::Failed, "x".into()),
            Verdict::Suspended,
        ];
        let seen = concluded(&all, verdict);
        let text: Vec<_> = seen.iter().map(|(t, s, r)| format!("{t}={s}/{r}")).collect();
        assert_eq!(text.join(" "), expected);
    }

    #[test]
    fn suspending_keeps_the_last_ready() {
        let seen = concluded(&[Verdict::Ready(Reason::Applied, "m".into())], Verdict::Suspended);
        assert_eq!(seen[0], ("Ready".into(), "True".into(), "Applied".into()));
    }

    #[test]
    fn an_object_that_was_always_suspended_is_not_ready() {
        let seen = concluded(&[], Verdict::Suspended);
        assert_eq!(seen[0], ("Ready".into(), "False".into(), "Suspended".into()));
        let resumed = concluded(&[Verdict::Suspended], Verdict::Ready(Reason::Applied, "m".into()));
        assert_eq!(resumed, [("Ready".into(), "True".into(), "Applied".into())]);
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let mut list = Vec::new();
        let at = |second| Timestamp::from_second(second).unwrap();
        Conditions::new(&mut list, 1, at(1)).set("Ready", State::False, Reason::Waiting, "a");
        Conditions::new(&mut list, 2, at(2)).set("Ready", State::False, Reason::Sealed, "b");
        assert_eq!(list[0].last_transition_time.0, at(1));
        Conditions::new(&mut list, 2, at(3)).set("Ready", State::True, Reason::Applied, "c");
        assert_eq!(list[0].last_transition_time.0, at(3));
    }
}
