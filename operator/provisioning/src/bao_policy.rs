//! BaoPolicy: an ACL policy.

mod parameters;
mod rules;

use kube::ResourceExt;
use serde_json::{Map, Value};
use steamer_api::{BaoPolicy, Parameters};
use steamer_core::error::Error;
use steamer_core::layout::{is_access_policy, is_project, reserved_policies};
use steamer_openbao::NamespacePath;

use crate::engine::Lookup;
use crate::general::{Found, General, Home, Resource, Site};
use crate::write::policy_path;

impl General for BaoPolicy {
    const NAME: &'static str = "baopolicy";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("policy {}", name(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        Ok(vec![resource(&name(self), stated(self)?, found).await?])
    }

    fn claims(&self, home: &Home, _lookup: &Lookup<'_>) -> Vec<String> {
        let name = name(self);
        let is_refused = refuse_reserved(&name, &home.namespace).is_err() || stated(self).is_err();
        if is_refused { Vec::new() } else { vec![policy_path(&name)] }
    }
}

/// The policy of that name and text, if the name is not reserved.
pub(crate) async fn policy(name: &str, text: String, found: &Found<'_>) -> Result<Resource, Error> {
    resource(name, parameters::stated(text, &Parameters::default())?, found).await
}

/// The policy of that name with those parameters, if the name is not reserved.
async fn resource(name: &str, parameters: Map<String, Value>, found: &Found<'_>) -> Result<Resource, Error> {
    refuse_reserved(name, &found.home.namespace)?;
    let resource = Resource::at(format!("policy {name}"), policy_path(name), parameters);
    Ok(guarded(found.read(resource).await?))
}

/// The policy with everything that its write must contain so that no change of a person is lost: the version that it replaces, and
/// the parameters that the spec does not state.
fn guarded(mut policy: Resource) -> Resource {
    let mut guard =
        policy.found().map(|it| parameters::kept(it, &policy.body.parameters)).unwrap_or_default();
    guard.insert("cas".to_owned(), Value::from(version(&policy)));
    policy.body.guard = guard;
    policy
}

/// The parameters of the spec.
///
/// # Errors
/// [`Error::Invalid`] for a mistake in a rule or parameter.
fn stated(policy: &BaoPolicy) -> Result<Map<String, Value>, Error> {
    let spec = &policy.spec;
    let text = spec.policy.as_ref().map_or_else(|| rules::text(&spec.rules), |text| Ok(text.clone()))?;
    parameters::stated(text, &spec.parameters)
}

/// The version that a write replaces: -1 if the policy does not exist.
fn version(policy: &Resource) -> i64 {
    let version = |found: &Map<String, Value>| found.get("version").and_then(Value::as_i64);
    policy.found().map_or(-1, |found| version(found).unwrap_or_default())
}

/// Name of the policy in OpenBao.
fn name(policy: &BaoPolicy) -> String {
    policy.spec.name.clone().unwrap_or_else(|| policy.name_any())
}

/// The policies of the operator and of the access to projects are not those of a BaoPolicy.
fn refuse_reserved(name: &str, namespace: &NamespacePath) -> Result<(), Error> {
    let is_of_project = is_project(namespace) && is_access_policy(name);
    if is_of_project || (namespace.is_root() && reserved_policies().contains(&name)) {
        return Err(Error::Invalid(format!("the policy {name} belongs to Steamer: choose another name")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::operator("steamer", "", true)]
    #[case::mark_of_a_standby("steamer-mark", "", true)]
    #[case::same_name_in_a_namespace("steamer", "team-a", false)]
    #[case::pipelines("pipelines/global", "org_1/group_7/project_42", true)]
    #[case::pipelines_outside_of_a_project("pipelines/global", "", false)]
    #[case::pipelines_below_a_project("pipelines/global", "org_1/group_7/project_42/below", false)]
    #[case::own("web", "org_1/group_7/project_42", false)]
    fn policies_of_steamer_are_refused(#[case] name: &str, #[case] namespace: &str, #[case] refused: bool) {
        assert_eq!(refuse_reserved(name, &NamespacePath::new(namespace)).is_err(), refused);
    }

    #[rstest]
    #[case::missing(None, -1)]
    #[case::versioned(Some(json!({"policy": "", "version": 4})), 4)]
    #[case::before_versions(Some(json!({"policy": ""})), 0)]
    fn a_write_replaces_only_the_version_that_was_read(#[case] found: Option<Value>, #[case] expected: i64) {
        let existing = found.map(|found| found.as_object().cloned().unwrap_or_default());
        let resource = Resource::at("policy web", "sys/policies/acl/web", Map::new()).with_existing(existing);
        assert_eq!(version(&resource), expected);
    }

    #[test]
    fn a_write_repeats_the_parameters_of_an_administrator() {
        let found = json!({
            "name": "web", "policy": "old", "version": 4, "modified": "2026-01-02T03:04:05Z",
            "expiration": "2030-01-02T03:04:05Z", "cas_required": true,
        });
        let stated = parameters::stated("new".to_owned(), &Parameters::default()).unwrap();
        let policy = Resource::at("policy web", "sys/policies/acl/web", stated);
        let policy = guarded(policy.with_existing(found.as_object().cloned()));
        let expected =
            json!({"policy": "new", "cas": 4, "expiration": "2030-01-02T03:04:05Z", "cas_required": true});
        assert_eq!(policy.change_body().exposed(), expected);
        assert_eq!(Value::Object(policy.body.parameters), json!({"policy": "new"}));
    }

    #[test]
    fn a_new_policy_has_only_the_parameters_of_its_spec() {
        let stated = parameters::stated("new".to_owned(), &Parameters::default()).unwrap();
        let policy = guarded(Resource::at("policy web", "sys/policies/acl/web", stated).with_existing(None));
        assert_eq!(policy.creation_body().exposed(), json!({"policy": "new", "cas": -1}));
    }
}
