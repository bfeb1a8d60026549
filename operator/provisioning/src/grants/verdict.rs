//! Verdict on a granting object: whether its project has applied it.

use jiff::Timestamp;
use steamer_api::{ProjectPhase, SecretsProject};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{ObjectName, Reason};

use super::in_force::Contributions;
use super::{Grant, is_effective};

/// The verdict, or None while `in_force` is unknown after a start of the process: the last status remains valid.
pub(super) fn verdict<G: Grant>(
    in_force: Option<&Contributions>,
    policy: &G,
    project: &SecretsProject,
    now: Timestamp,
) -> Option<Verdict> {
    let name = ObjectName::of(project);
    if is_disabled(project) {
        let message = format!(
            "SecretsProject {name} is disabled: it or its tenant has enabled: false, or the entitlement of the tenant is \
             Blocked"
        );
        return Some(Verdict::Progressing(Reason::Waiting, message));
    }
    let contribution = in_force?.of(policy);
    let current = policy.meta().generation.unwrap_or(0);
    Some(match contribution {
        Some(contribution) if contribution.generation == current => match &contribution.refused {
            Some(reason) => Verdict::Stalled(Reason::Invalid, reason.clone()),
            None => applied(policy, now),
        },
        _ => {
            let message =
                format!("SecretsProject {name} has not applied this policy yet: {}", ready(project));
            Verdict::Progressing(Reason::Waiting, message)
        }
    })
}

fn is_disabled(project: &SecretsProject) -> bool {
    project.status.as_ref().is_some_and(|status| status.phase == Some(ProjectPhase::Disabled))
}

/// Reason and message of the project's `Ready` condition.
fn ready(project: &SecretsProject) -> String {
    let conditions =
        project.status.as_ref().map(|status| status.common.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.map_or_else(
        || "it has not been reconciled yet".to_owned(),
        |ready| format!("{}: {}", ready.reason, ready.message),
    )
}

fn applied<G: Grant>(policy: &G, now: Timestamp) -> Verdict {
    if policy.is_cancelled() {
        return Verdict::Ready(Reason::Disabled, "cancelled: it grants nothing".to_owned());
    }
    if !is_effective(policy, now) {
        return Verdict::Ready(Reason::Expired, "expired: it grants nothing".to_owned());
    }
    Verdict::Ready(Reason::Applied, policy.summary())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::{KindId, PipelinePolicy};

    use super::super::in_force::Contribution;
    use super::*;

    fn object<K: serde::de::DeserializeOwned>(kind: &str, spec: Value, status: Value) -> K {
        let metadata = json!({"name": "o", "namespace": "ns", "uid": "u", "generation": 2});
        let object = json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn policy(change: (&str, Value)) -> PipelinePolicy {
        let mut spec = json!({"projectRef": {"name": "o"}, "secrets": [{"name": "A"}]});
        spec[change.0] = change.1;
        object("PipelinePolicy", spec, json!(null))
    }

    fn project(status: Value) -> SecretsProject {
        object("SecretsProject", json!({"tenantRef": {"name": "acme"}, "id": 42}), status)
    }

    fn contributions(uid: &str, generation: i64, refused: Option<&str>) -> Contributions {
        let (uid, refused) = (uid.to_owned(), refused.map(str::to_owned));
        let contribution = Contribution { uid, generation, ended: false, refused };
        Contributions([((KindId::PipelinePolicy, ObjectName::new("ns", "o")), contribution)].into())
    }

    const WAITS: &str = "SecretsProject ns/o has not applied this policy yet: it has not been reconciled yet";

    #[rstest]
    #[case::unknown(None, None)]
    #[case::new(Some(Contributions::default()), Some(Verdict::Progressing(Reason::Waiting, WAITS.to_owned())))]
    #[case::recreated(Some(contributions("other", 2, None)), Some(Verdict::Progressing(Reason::Waiting, WAITS.to_owned())))]
    #[case::changed(Some(contributions("u", 1, None)), Some(Verdict::Progressing(Reason::Waiting, WAITS.to_owned())))]
    #[case::refused(Some(contributions("u", 2, Some("why"))), Some(Verdict::Stalled(Reason::Invalid, "why".to_owned())))]
    #[case::applied(Some(contributions("u", 2, None)), Some(Verdict::Ready(Reason::Applied, "grants 1 secret in 1 context".to_owned())))]
    fn a_policy_is_ready_when_the_project_has_applied_its_generation(
        #[case] in_force: Option<Contributions>,
        #[case] expected: Option<Verdict>,
    ) {
        let policy = policy(("cancelled", json!(false)));
        let verdict = verdict(in_force.as_ref(), &policy, &project(json!(null)), Timestamp::UNIX_EPOCH);
        assert_eq!(verdict, expected);
    }

    #[rstest]
    #[case(("cancelled", json!(true)), Reason::Disabled, "cancelled: it grants nothing")]
    #[case(("expiresAt", json!("1970-01-01T00:00:00Z")), Reason::Expired, "expired: it grants nothing")]
    fn an_applied_policy_can_grant_nothing(
        #[case] change: (&str, Value),
        #[case] reason: Reason,
        #[case] message: &str,
    ) {
        let in_force = contributions("u", 2, None);
        let verdict = verdict(Some(&in_force), &policy(change), &project(json!(null)), Timestamp::UNIX_EPOCH);
        assert_eq!(verdict, Some(Verdict::Ready(reason, message.to_owned())));
    }

    #[test]
    fn a_policy_of_a_disabled_project_waits() {
        let policy = policy(("cancelled", json!(false)));
        let project = project(json!({"phase": "Disabled"}));
        let verdict = format!("{:?}", verdict(None, &policy, &project, Timestamp::UNIX_EPOCH));
        assert!(verdict.contains("Progressing(Waiting, \"SecretsProject ns/o is disabled: it"), "{verdict}");
    }
}
