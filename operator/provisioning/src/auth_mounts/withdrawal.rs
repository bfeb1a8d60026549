//! Withdrawal of access while something that the spec refers to is missing.

use serde_json::{Map, Value};
use steamer_core::error::Error;

use crate::general::{FollowUp, Found, Resource, differences};

/// The desired state while something is missing: without it, so that access that the spec no longer grants ends. `problem` is
/// the result if OpenBao already has this state, or if the object does not own the resource yet. After a write, the next pass
/// follows at once and fails with the problem.
///
/// # Errors
/// The problem. Any error of the request.
pub(crate) async fn without_missing(
    resource: Resource,
    problem: Error,
    found: &Found<'_>,
) -> Result<Vec<Resource>, Error> {
    let is_owned = found.owned.is_some_and(|owned| owned.resources.iter().any(|it| it.path == resource.path));
    if !is_owned || !is_certain(&problem) {
        return Err(problem);
    }
    let mut resource = found.read(resource).await?;
    if resource.found().is_none_or(|existing| is_equal(&resource.body.parameters, existing)) {
        return Err(problem);
    }
    let path = resource.path.clone();
    resource.follow_up = Some(FollowUp { path, reason: "Steamer looks for what is missing", is_due: false });
    Ok(vec![resource])
}

/// Returns true if something is certainly missing or wrong. A server that does not answer changes nothing.
const fn is_certain(problem: &Error) -> bool {
    matches!(
        problem,
        Error::NotFound { .. } | Error::SourceMissing(..) | Error::Waiting(_) | Error::Invalid(_)
    )
}

/// Returns true if what OpenBao returns is the desired state. A parameter that OpenBao never returns gives no pass without end.
fn is_equal(desired: &Map<String, Value>, existing: &Map<String, Value>) -> bool {
    differences(desired, existing).iter().all(|it| it.is_absent)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_runtime::ObjectName;

    use super::*;

    #[rstest]
    #[case::missing(Error::NotFound { kind: "Secret", name: ObjectName::new("web", "password") }, true)]
    #[case::incomplete(Error::Waiting("Secret web/password has no key `password`".to_owned()), true)]
    #[case::unknown(Error::Internal("the API server does not answer".into()), false)]
    fn a_server_that_does_not_answer_removes_nothing(#[case] problem: Error, #[case] expected: bool) {
        assert_eq!(is_certain(&problem), expected);
    }

    #[rstest]
    #[case::same(json!({"policies": ["a"]}), true)]
    #[case::policy_to_remove(json!({"policies": ["a", "b"]}), false)]
    #[case::member_to_remove(json!({"policies": ["a"], "member_entity_ids": ["x"]}), false)]
    #[case::not_returned(json!({}), true)]
    fn access_that_is_no_longer_granted_is_found(#[case] existing: Value, #[case] expected: bool) {
        let desired = json!({"policies": ["a"], "member_entity_ids": []});
        let map = |value: Value| value.as_object().unwrap().clone();
        assert_eq!(is_equal(&map(desired), &map(existing)), expected);
    }
}
