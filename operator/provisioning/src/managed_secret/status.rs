//! Status of a secret.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use steamer_api::{Compliance, ManagedSecretStatus, SecretState};
use steamer_runtime::Reason;
use steamer_runtime::conditions::{Verdict, whole_second};

use super::desired::{Desired, Facts};

/// Writes the facts to the status.
pub(super) fn write(status: &mut ManagedSecretStatus, desired: &Desired) {
    let facts = desired.facts();
    status.state = facts.state;
    status.version = (facts.version > 0).then_some(facts.version);
    status.rotated_at = facts.rotated.map(time);
    status.rotation_due_at = desired.rotation_due(&facts).map(time);
    status.compliance = compliance(desired, &facts);
}

/// The status before the first write at a place: it records the place for a deletion.
pub(super) fn announcement(desired: &Desired, last: &ManagedSecretStatus) -> Option<ManagedSecretStatus> {
    let provisioned = Some(desired.place.recorded());
    let facts = desired.facts();
    let unfinished = facts.state.filter(|state| *state != SecretState::Completed);
    let state = unfinished.or(last.state);
    let next = ManagedSecretStatus { provisioned, state, ..last.clone() };
    (next.provisioned != last.provisioned).then_some(next)
}

fn compliance(desired: &Desired, facts: &Facts) -> Option<Compliance> {
    let is_due = desired.rotation_due(facts).is_some_and(|due| due <= desired.now);
    match (desired.is_expired(), is_due) {
        (true, _) => Some(Compliance::Expired),
        (false, _) if facts.version == 0 => None,
        (false, true) => Some(Compliance::RotationDue),
        (false, false) => Some(Compliance::Compliant),
    }
}

/// Result of an applied plan.
pub(super) fn verdict(desired: &Desired) -> Verdict {
    let facts = desired.facts();
    let path = desired.root.join(desired.place.namespace.as_str()).path(&desired.place.data());
    if let Some(text) = &desired.withheld {
        return Verdict::Progressing(Reason::Waiting, text.clone());
    }
    if let Some(at) = desired.expires_at.filter(|_| desired.is_expired()) {
        let text = format!(
            "expired at {at}: no version at {path} can be read; a later expiresAt restores the value"
        );
        return Verdict::Ready(Reason::Expired, text);
    }
    if !facts.has_value {
        return Verdict::Progressing(
            Reason::Waiting,
            format!("waits until a person writes a value to {path}"),
        );
    }
    match desired.rotation_due(&facts).filter(|due| *due <= desired.now) {
        Some(due) => {
            let text = format!(
                "version {} at {path} is due for rotation since {}",
                facts.version,
                whole_second(due)
            );
            Verdict::Ready(Reason::RotationDue, format!("{text}: {}", desired.remedy))
        }
        None => Verdict::Ready(Reason::Applied, format!("version {} at {path}", facts.version)),
    }
}

fn time(at: Timestamp) -> Time {
    Time(whole_second(at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use serde_json::json;

    use super::super::entry::Entry;
    use super::super::fixture::{at, desired, entry, secret, wanted};
    use super::super::wanted::{Rotation, Source, Wanted};
    use super::*;

    fn person() -> Entry {
        entry(json!({
            "current_version": 2,
            "versions": {"2": {"created_time": "1970-01-01T00:00:10Z", "deletion_time": "", "destroyed": false}},
            "custom_metadata": {"create_completed_at": "1970-01-01T00:00:10Z"},
        }))
    }

    fn aged(seconds: u64) -> Wanted {
        let rotation = Rotation { interval: Duration::from_secs(seconds), ..Rotation::default() };
        Wanted { rotation: Some(rotation), ..wanted(Source::Person) }
    }

    #[rstest]
    #[case::compliant(
        wanted(Source::Person),
        Some(person()),
        "Ready(Applied, \"version 2 at teams/",
        Some(Compliance::Compliant)
    )]
    #[case::young(aged(200), Some(person()), "Ready(Applied", Some(Compliance::Compliant))]
    #[case::old(aged(50), Some(person()), "Ready(RotationDue, \"version 2 at", Some(Compliance::RotationDue))]
    #[case::expired(
        Wanted { expires_at: Some(at(50)), source: Source::Kept, ..aged(50) },
        Some(person()),
        "Ready(Expired, \"expired at 1970-01-01T00:00:50Z",
        Some(Compliance::Expired)
    )]
    #[case::without_a_value(
        wanted(Source::Person),
        None,
        "Progressing(Waiting, \"waits until a person",
        None
    )]
    fn the_verdict_states_compliance(
        #[case] wanted: Wanted,
        #[case] entry: Option<Entry>,
        #[case] expected: &str,
        #[case] compliance: Option<Compliance>,
    ) {
        let (desired, mut status) = (desired(&wanted, entry), ManagedSecretStatus::default());
        write(&mut status, &desired);
        let shown = format!("{:?}", verdict(&desired));
        assert!(shown.starts_with(expected), "{shown}");
        assert_eq!(status.compliance, compliance);
    }

    #[test]
    fn a_withheld_secret_waits() {
        let mut desired = desired(&wanted(secret("one")), None);
        desired.withheld = Some("no writes".to_owned());
        assert_eq!(verdict(&desired), Verdict::Progressing(Reason::Waiting, "no writes".to_owned()));
    }

    #[test]
    fn the_status_states_what_was_written_and_not_what_was_planned() {
        let desired = desired(&wanted(secret("one")), None);
        let mut status = ManagedSecretStatus::default();
        write(&mut status, &desired);
        assert_eq!((status.state, status.version, status.rotated_at.is_some()), (None, None, false));
        *desired.written.lock() = Some(1);
        write(&mut status, &desired);
        assert_eq!((status.state, status.version), (Some(SecretState::Completed), Some(1)));
        assert_eq!(status.rotated_at, Some(Time(at(100))));
    }

    #[test]
    fn the_place_is_reported_before_the_first_write_and_only_once() {
        let begun = json!({"current_version": 1, "created_time": "1970-01-01T00:00:01Z"});
        let desired = desired(&wanted(secret("one")), Some(entry(begun)));
        let announced = announcement(&desired, &ManagedSecretStatus::default()).unwrap();
        assert_eq!(announced.state, Some(SecretState::CreateStale));
        assert_eq!(announced.provisioned.as_ref().unwrap().path, "secrets/kv/data/explicit/DB");
        assert_eq!(announcement(&desired, &announced), None);
        let completed = ManagedSecretStatus { state: Some(SecretState::Completed), ..announced };
        assert_eq!(announcement(&desired, &completed), None, "only the state differs");
    }
}
