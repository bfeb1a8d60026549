//! Conditions as kstatus, `kubectl wait`, Flux and Argo CD read them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::Reason;

/// What a pass came to, in the words of `Ready`, `Reconciling` and `Stalled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In force.
    Ready(Reason, String),
    /// Not in force and nothing under way: a drift that is only observed.
    NotReady(Reason, String),
    /// On the way.
    Progressing(Reason, String),
    /// Failed for now, tried again.
    Retrying(Reason, String),
    /// Will not proceed until someone changes something.
    Stalled(Reason, String),
    /// Left as it is; the last `Ready` stays.
    Suspended,
}

impl Verdict {
    /// The reason of the `Ready` condition.
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

/// The conditions of one object at one generation, changed in place.
pub struct Conditions<'a> {
    list: &'a mut Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    /// Conditions that speak of `generation`.
    pub fn new(list: &'a mut Vec<Condition>, generation: i64, now: Timestamp) -> Self {
        Self { list, generation, now }
    }

    /// Sets a condition; its transition time moves only with its status.
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

    /// Takes a condition away.
    pub fn clear(&mut self, kind: &str) {
        self.list.retain(|condition| condition.type_ != kind);
    }

    /// Sets the conditions that every kind has.
    pub fn conclude(&mut self, verdict: &Verdict) {
        if *verdict != Verdict::Suspended {
            self.clear("Suspended");
        }
        match verdict {
            Verdict::Ready(reason, message) => self.conclude_as(State::True, (*reason, message), None),
            Verdict::NotReady(reason, message) => self.conclude_as(State::False, (*reason, message), None),
            Verdict::Progressing(reason, message) => {
                self.conclude_as(State::False, (*reason, message), Some(("Reconciling", *reason)));
            }
            Verdict::Retrying(reason, message) => {
                let retrying = Some(("Reconciling", Reason::ProgressingWithRetry));
                self.conclude_as(State::False, (*reason, message), retrying);
            }
            Verdict::Stalled(reason, message) => {
                self.conclude_as(State::False, (*reason, message), Some(("Stalled", *reason)));
            }
            Verdict::Suspended => {
                self.clear("Reconciling");
                self.set("Suspended", State::True, Reason::Suspended, "left as it is until suspend is false");
            }
        }
    }

    fn conclude_as(
        &mut self,
        ready: State,
        (reason, message): (Reason, &str),
        beside: Option<(&str, Reason)>,
    ) {
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

/// The status of a condition.
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

/// Kubernetes keeps times in conditions to the second; anything finer would differ from what is read back.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Kubernetes allows 32768 bytes; people read one line.
fn clipped(message: &str) -> String {
    match message.char_indices().nth(1024) {
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
    #[case(Verdict::NotReady(Reason::Drifted, "m".into()), "Ready=False/Drifted")]
    fn a_verdict_leaves_exactly_its_conditions(#[case] verdict: Verdict, #[case] expected: &str) {
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
    fn the_transition_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        let at = |second| Timestamp::from_second(second).unwrap();
        Conditions::new(&mut list, 1, at(1)).set("Ready", State::False, Reason::Waiting, "a");
        Conditions::new(&mut list, 2, at(2)).set("Ready", State::False, Reason::Sealed, "b");
        assert_eq!(list[0].last_transition_time.0, at(1));
        Conditions::new(&mut list, 2, at(3)).set("Ready", State::True, Reason::Applied, "c");
        assert_eq!(list[0].last_transition_time.0, at(3));
    }
}
