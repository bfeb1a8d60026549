//! The changes that `mode: Observe` reports, by the names of keys and workloads.

use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret;
use steamer_api::{Operation, PlannedChange};
use steamer_runtime::Reason;
use steamer_runtime::conditions::Verdict;

use super::content::Content;
use super::decide::Why;
use super::foreseen::Expected;
use super::frame::Frame;

/// Longest path of a change, in characters.
const LONGEST: usize = 1024;

/// A Secret, and its keys that belong to the object.
pub(super) type Existing<'a> = (&'a Secret, &'a [String]);

/// The keys that a write would add, replace or remove.
pub(super) fn changed_keys(
    frame: &Frame,
    content: &Content,
    existing: Option<Existing<'_>>,
) -> Vec<PlannedChange> {
    let data = existing.and_then(|(secret, _)| secret.data.as_ref());
    let own = existing.map(|(_, keys)| keys).unwrap_or_default();
    let written = content.0.iter().filter_map(|(key, value)| match data.and_then(|data| data.get(key)) {
        None => Some(change(frame, key, Operation::Create, "the key does not exist")),
        Some(present) if present.0 != value.expose_secret() || !own.contains(key) => {
            Some(change(frame, key, Operation::Update, "the value differs"))
        }
        Some(_) => None,
    });
    let removed = own.iter().filter(|key| !content.0.contains_key(*key));
    let removed = removed.map(|key| change(frame, key, Operation::Delete, "the value has no such key"));
    written.chain(removed).collect()
}

/// The keys that another value would add, replace or remove. Which keys are removed is known only if all keys are.
pub(super) fn expected_keys(
    frame: &Frame,
    expected: &Expected,
    existing: Option<Existing<'_>>,
) -> Vec<PlannedChange> {
    let data = existing.and_then(|(secret, _)| secret.data.as_ref());
    let own = existing.map(|(_, keys)| keys).unwrap_or_default();
    let written = expected.keys.iter().map(|key| {
        if data.is_some_and(|data| data.contains_key(key)) {
            change(frame, key, Operation::Update, "the value would be another one")
        } else {
            change(frame, key, Operation::Create, "the key does not exist")
        }
    });
    let is_stale = |key: &&String| expected.unknown.is_empty() && !expected.keys.contains(*key);
    let removed = own.iter().filter(is_stale);
    let removed = removed.map(|key| change(frame, key, Operation::Delete, "the value has no such key"));
    written.chain(removed).collect()
}

/// The request of another value.
pub(super) fn requested(path: &str, why: Why) -> PlannedChange {
    let path = path.chars().take(LONGEST).collect();
    let reason = format!("another value would be requested: {}", cause(why));
    PlannedChange { operation: Operation::Create, path, reason }
}

fn cause(why: Why) -> &'static str {
    match why {
        Why::NeverSynced => "none was issued for this object",
        Why::SpecChanged => "the spec changed",
        Why::TransformationChanged => "the transformation changed",
        Why::DestinationMissing => "the Secret does not exist",
        Why::DestinationDrifted => "another client changed the Secret",
        Why::RenewalDue => "the last one ends",
        Why::LeaseRevoked => "OpenBao does not know the last one",
        Why::ReconcileRequested | Why::RefreshDue | Why::SourceWritten => "it is due",
    }
}

/// Labels, annotations, owner or type of the Secret.
pub(super) fn reframed(frame: &Frame) -> PlannedChange {
    change(frame, "", Operation::Update, "labels, annotations, owner or type differ")
}

pub(super) fn restart(workload: &str) -> PlannedChange {
    let reason = "restarted, because the data of the Secret changes".to_owned();
    PlannedChange { operation: Operation::Update, path: workload.replacen(' ', "/", 1), reason }
}

fn change(frame: &Frame, key: &str, operation: Operation, reason: &str) -> PlannedChange {
    let secret = format!("Secret/{}", frame.name.name);
    let path = if key.is_empty() { secret } else { format!("{secret}/{key}") };
    PlannedChange { operation, path, reason: reason.to_owned() }
}

/// Result of a comparison without writes. The object does what its spec says, so it is ready.
pub(super) fn compared(frame: &Frame, changes: usize) -> Verdict {
    let name = &frame.name.name;
    match changes {
        0 => Verdict::Ready(Reason::Observed, format!("Secret {name} matches the value")),
        count => Verdict::Ready(
            Reason::Drifted,
            format!("Secret {name} differs from the value; pending changes: {count}, see status.plan"),
        ),
    }
}

/// Result for a value that is not requested. `unknown`: what only the request would show.
pub(super) fn foretold(frame: &Frame, changes: usize, unknown: &[String]) -> Verdict {
    let name = &frame.name.name;
    if changes == 0 {
        let text = format!(
            "Secret {name} contains the last value; mode: Observe requests no other one, and does not renew it"
        );
        return Verdict::Ready(Reason::Observed, text);
    }
    let more = match unknown {
        [] => String::new(),
        unknown => {
            format!("; mode: Observe makes no request, and only a request would show {}", unknown.join(", "))
        }
    };
    let text = format!("Secret {name} would be changed; pending changes: {changes}, see status.plan{more}");
    Verdict::Ready(Reason::Drifted, text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::json;

    use super::super::frame::sample;
    use super::*;

    fn texts(plan: &[PlannedChange]) -> Vec<String> {
        plan.iter().map(|change| format!("{:?} {}", change.operation, change.path)).collect()
    }

    /// The keys of the object in the Secret, which contains `a: 1` and `b: 2`.
    fn keys(own: Option<&[&str]>) -> Option<Vec<String>> {
        own.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect())
    }

    fn secret() -> Secret {
        serde_json::from_value(json!({"data": {"a": "MQ==", "b": "Mg=="}})).unwrap()
    }

    #[rstest]
    #[case::missing(None, &["Create Secret/app/a", "Create Secret/app/c"])]
    #[case::own(Some(&["a", "b"][..]), &["Create Secret/app/c", "Delete Secret/app/b"])]
    #[case::keys_of_another_client(Some(&[][..]), &["Update Secret/app/a", "Create Secret/app/c"])]
    fn a_plan_names_each_key_that_changes(#[case] own: Option<&[&str]>, #[case] expected: &[&str]) {
        let content: BTreeMap<_, _> = [("a", "1"), ("c", "3")]
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec().into()))
            .into();
        let (secret, own) = (secret(), keys(own));
        let existing = own.as_deref().map(|keys| (&secret, keys));
        let plan = changed_keys(&sample(), &Content::new(content).unwrap(), existing);
        assert_eq!(texts(&plan), expected);
    }

    #[rstest]
    #[case::missing(None, &[], &["Create Secret/app/a", "Create Secret/app/c"])]
    #[case::own(Some(&["a", "b"][..]), &[], &["Update Secret/app/a", "Create Secret/app/c", "Delete Secret/app/b"])]
    #[case::unknown_keys(Some(&["a", "b"][..]), &["x"], &["Update Secret/app/a", "Create Secret/app/c"])]
    #[case::keys_of_another_client(Some(&[][..]), &[], &["Update Secret/app/a", "Create Secret/app/c"])]
    fn a_plan_without_a_value_names_the_keys_that_are_known(
        #[case] own: Option<&[&str]>,
        #[case] unknown: &[&str],
        #[case] expected: &[&str],
    ) {
        let (secret, own) = (secret(), keys(own));
        let existing = own.as_deref().map(|keys| (&secret, keys));
        let known = Expected {
            keys: ["a", "c"].map(str::to_owned).into(),
            unknown: unknown.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert_eq!(texts(&expected_keys(&sample(), &known, existing)), expected);
    }

    #[test]
    fn a_change_of_a_value_and_a_restart_are_planned_without_the_value() {
        let content = BTreeMap::from([("a".to_owned(), b"canary".to_vec().into())]);
        let secret: Secret = serde_json::from_value(json!({"data": {"a": "MQ=="}})).unwrap();
        let plan =
            changed_keys(&sample(), &Content::new(content).unwrap(), Some((&secret, &["a".to_owned()])));
        let text = serde_json::to_string(&plan).unwrap();
        assert!(
            text.contains(r#""operation":"Update","path":"Secret/app/a""#) && !text.contains("canary"),
            "{text}"
        );
        assert_eq!(restart("Deployment web").path, "Deployment/web");
    }

    #[test]
    fn the_request_of_a_value_is_planned_with_its_path_and_its_cause() {
        let change = requested("org/database/creds/app", Why::NeverSynced);
        assert_eq!(texts(std::slice::from_ref(&change)), ["Create org/database/creds/app"]);
        assert_eq!(change.reason, "another value would be requested: none was issued for this object");
        assert_eq!(requested(&"p".repeat(3000), Why::RenewalDue).path.len(), LONGEST);
    }

    #[rstest]
    #[case(0, Reason::Observed)]
    #[case(2, Reason::Drifted)]
    fn an_object_that_only_reports_is_ready(#[case] changes: usize, #[case] reason: Reason) {
        let verdicts = [compared(&sample(), changes), foretold(&sample(), changes, &[])];
        let is_right =
            |it: &Verdict| matches!(it, Verdict::Ready(found, text) if *found == reason && !text.is_empty());
        assert!(verdicts.iter().all(is_right), "{verdicts:?}");
    }

    #[test]
    fn the_message_states_what_only_a_request_would_show() {
        let Verdict::Ready(_, text) = foretold(&sample(), 2, &["the keys of the value".to_owned()]) else {
            panic!("not ready")
        };
        let end = "; mode: Observe makes no request, and only a request would show the keys of the value";
        assert!(text.ends_with(end), "{text}");
    }
}
