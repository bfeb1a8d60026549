//! Withdrawal of access while something that the spec refers to is missing.

use serde_json::{Map, Value};
use steamer_api::{OwnedResource, OwnedResources};
use steamer_core::error::Error;

use crate::general::{FollowUp, Found, Resource, differences};

/// The desired state while something is missing: without it, so that access that the spec no longer grants ends. `problem` is
/// the result if the object does not own the resource yet, and as in [`withdrawn`].
///
/// # Errors
/// The problem. Any error of the request.
pub(crate) async fn without_missing(
    resource: Resource,
    problem: Error,
    found: &Found<'_>,
) -> Result<Vec<Resource>, Error> {
    if found.recorded(&resource.path).is_none() || !is_certain(&problem) {
        return Err(problem);
    }
    let resource = found.read(resource).await?;
    if resource.found().is_none() {
        return Err(problem);
    }
    withdrawn(vec![resource], problem, found.owned)
}

/// The desired state while something is missing: the resources that were read, and no others. `problem` is the result if OpenBao
/// already has this state. After a write, the next pass follows at once and fails with the problem.
///
/// # Errors
/// The problem.
pub(crate) fn withdrawn(
    mut remaining: Vec<Resource>,
    problem: Error,
    owned: Option<&OwnedResources>,
) -> Result<Vec<Resource>, Error> {
    let is_undesired = |it: &OwnedResource| {
        !it.pending && it.deletion_path().is_some() && remaining.iter().all(|other| other.path != it.path)
    };
    let has_others = owned.into_iter().flat_map(|owned| &owned.resources).any(is_undesired);
    let is_settled = !has_others && remaining.iter().all(is_settled);
    match remaining.first_mut() {
        Some(first) if !is_settled => {
            let path = first.path.clone();
            first.follow_up =
                Some(FollowUp { path, reason: "Steamer looks for what is missing", is_due: false });
            Ok(remaining)
        }
        _ => Err(problem),
    }
}

/// The result, or None if something is certainly missing or wrong.
///
/// # Errors
/// Any other error.
pub(crate) fn certain<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(problem) if is_certain(&problem) => Ok(None),
        result => result.map(Some),
    }
}

/// Returns true if something is certainly missing or wrong. A server that does not answer changes nothing.
pub(crate) const fn is_certain(problem: &Error) -> bool {
    matches!(
        problem,
        Error::NotFound { .. } | Error::SourceMissing(..) | Error::Waiting(_) | Error::Invalid(_)
    )
}

/// Returns true if OpenBao has the desired state of a resource. One that does not exist is not created.
fn is_settled(resource: &Resource) -> bool {
    let desired = &resource.body.parameters;
    resource.found().is_none_or(|existing| is_equal(desired, existing, resource.is_complete))
}

/// Returns true if what OpenBao returns is the desired state. A parameter that OpenBao never returns gives no pass without end.
fn is_equal(desired: &Map<String, Value>, existing: &Map<String, Value>, is_complete: bool) -> bool {
    differences(desired, existing).iter().all(|it| it.is_absent && !is_complete)
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

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[rstest]
    #[case::same(json!({"policies": ["a"]}), false, true)]
    #[case::policy_to_remove(json!({"policies": ["a", "b"]}), false, false)]
    #[case::member_to_remove(json!({"policies": ["a"], "member_entity_ids": ["x"]}), false, false)]
    #[case::not_returned(json!({}), false, true)]
    #[case::removed_by_hand(json!({}), true, false)]
    fn access_that_is_no_longer_granted_is_found(
        #[case] existing: Value,
        #[case] is_complete: bool,
        #[case] expected: bool,
    ) {
        let desired = json!({"policies": ["a"], "member_entity_ids": []});
        assert_eq!(is_equal(&map(desired), &map(existing), is_complete), expected);
    }

    #[rstest]
    #[case::settled(json!(["a"]), &["role"], false)]
    #[case::wider_role(json!(["a", "b"]), &["role"], true)]
    #[case::further_role(json!(["a"]), &["role", "other"], true)]
    fn the_problem_is_reported_once_no_other_access_is_left(
        #[case] existing: Value,
        #[case] owned: &[&str],
        #[case] expected: bool,
    ) {
        let role = Resource::at("role", "role", map(json!({"policies": ["a"]})));
        let role = role.with_existing(Some(map(json!({"policies": existing}))));
        let entry = |path: &&str| OwnedResource { path: (*path).to_owned(), ..OwnedResource::default() };
        let resources = owned.iter().map(entry).collect();
        let owned = OwnedResources { resources, ..OwnedResources::default() };
        let outcome = withdrawn(vec![role], Error::Waiting("missing".to_owned()), Some(&owned));
        match outcome {
            Ok(remaining) => assert!(expected && remaining[0].follow_up.is_some()),
            Err(problem) => assert!(!expected && problem.to_string() == "missing"),
        }
    }

    #[test]
    fn an_object_without_resources_reports_its_problem() {
        assert!(withdrawn(Vec::new(), Error::Waiting(String::new()), None).is_err());
    }
}
