//! What to do about the BaoStaticSecret of a namespace.

use serde_json::Value;
use steamer_api::{BaoStaticSecret, ClusterBaoStaticSecret, HasConditions};
use steamer_runtime::{ObjectName, Reason};

use super::child;
use super::outcome::Problem;

/// The BaoStaticSecret of that name, according to the cache.
pub(super) enum Found<'a> {
    /// None.
    Absent,
    /// It exists.
    Object(&'a BaoStaticSecret),
    /// It exists and cannot be parsed.
    Unreadable,
}

/// A step for one namespace.
#[derive(Debug)]
pub(super) enum Step {
    /// Create the BaoStaticSecret.
    Create,
    /// Apply the patch.
    Patch(Value),
    /// Nothing: the BaoStaticSecret is Ready.
    Settled,
    /// Nothing, until the problem is solved.
    Blocked(Problem),
}

/// The next step for a namespace.
pub(super) fn step(owner: &ClusterBaoStaticSecret, desired: &BaoStaticSecret, found: &Found<'_>) -> Step {
    let name = ObjectName::of(desired);
    let existing = match found {
        Found::Absent => return Step::Create,
        Found::Unreadable => {
            return Step::Blocked(Problem::stalled(
                Reason::Invalid,
                format!("BaoStaticSecret {name} cannot be parsed: correct or delete it"),
            ));
        }
        Found::Object(existing) => existing,
    };
    if !child::is_owned(existing, owner) {
        return Step::Blocked(Problem::stalled(
            Reason::Conflict,
            format!(
                "BaoStaticSecret {name} exists and has another owner: delete it, or set template.metadata.name"
            ),
        ));
    }
    if existing.metadata.deletion_timestamp.is_some() {
        let text = format!("BaoStaticSecret {name} is being deleted");
        return Step::Blocked(Problem::progressing(Reason::Deleting, text));
    }
    match child::patch(existing, desired) {
        Some(patch) => Step::Patch(patch),
        None => state(existing).map_or(Step::Settled, Step::Blocked),
    }
}

/// Why a BaoStaticSecret in its desired state is not Ready.
fn state(child: &BaoStaticSecret) -> Option<Problem> {
    let waiting =
        || Problem::progressing(Reason::Waiting, "the BaoStaticSecret was not reconciled yet".to_owned());
    let Some(status) = child
        .status
        .as_ref()
        .filter(|status| Some(status.observed_generation()) == child.metadata.generation)
    else {
        return Some(waiting());
    };
    if status.is_ready() {
        return None;
    }
    Some(status.condition("Ready").map_or_else(waiting, |ready| {
        let (reason, message) = (ready.reason.clone(), ready.message.clone());
        Problem { reason, message, is_stalled: status.stalled().is_some() }
    }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::child::tests::{owner, stored};
    use super::*;

    fn described(owner: &ClusterBaoStaticSecret, found: &Found<'_>) -> String {
        match step(owner, &child::desired(owner, "web"), found) {
            Step::Create => "create".to_owned(),
            Step::Patch(_) => "patch".to_owned(),
            Step::Settled => "settled".to_owned(),
            Step::Blocked(Problem { reason, is_stalled, .. }) => {
                format!("{reason}{}", if is_stalled { " stalled" } else { "" })
            }
        }
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "m",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        })
    }

    /// A BaoStaticSecret of generation 2 with these conditions.
    fn with_status(observed: i64, conditions: &[Value]) -> BaoStaticSecret {
        let mut child = stored(&owner(&json!({}), &json!({})));
        child.metadata.generation = Some(2);
        let status = json!({"observedGeneration": observed, "conditions": conditions});
        child.status = Some(serde_json::from_value(status).unwrap());
        child
    }

    #[rstest]
    #[case::ready(2, vec![condition("Ready", "True", "Applied")], "settled")]
    #[case::old_generation(1, vec![condition("Ready", "True", "Applied")], "Waiting")]
    #[case::no_condition(2, vec![], "Waiting")]
    #[case::retrying(2, vec![condition("Ready", "False", "Unreachable"), condition("Reconciling", "True", "x")], "Unreachable")]
    #[case::stalled(2, vec![condition("Ready", "False", "Conflict"), condition("Stalled", "True", "Conflict")], "Conflict stalled")]
    fn the_state_of_a_child_is_that_of_its_conditions(
        #[case] observed: i64,
        #[case] conditions: Vec<Value>,
        #[case] expected: &str,
    ) {
        let child = with_status(observed, &conditions);
        assert_eq!(described(&owner(&json!({}), &json!({})), &Found::Object(&child)), expected);
    }

    #[test]
    fn an_object_of_another_owner_is_never_written() {
        let plain = owner(&json!({}), &json!({}));
        assert_eq!(described(&plain, &Found::Absent), "create");
        assert_eq!(described(&plain, &Found::Unreadable), "Invalid stalled");
        let mut edited = stored(&plain);
        edited.spec.suspend = true;
        assert_eq!(described(&plain, &Found::Object(&edited)), "patch");
        edited.metadata.owner_references = None;
        assert_eq!(described(&plain, &Found::Object(&edited)), "Conflict stalled");
        let mut deleting = stored(&plain);
        deleting.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap();
        assert_eq!(described(&plain, &Found::Object(&deleting)), "Deleting");
    }
}
