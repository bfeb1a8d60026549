//! BaoPolicy: an ACL policy.

use kube::ResourceExt;
use serde_json::{Map, Value, json};
use steamer_api::{BaoPolicy, PolicyRule};
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
        let text = self.spec.policy.clone().unwrap_or_else(|| text(&self.spec.rules));
        Ok(vec![policy(&name(self), text, found).await?])
    }

    fn claims(&self, home: &Home, _lookup: &Lookup<'_>) -> Vec<String> {
        let name = name(self);
        let is_refused = refuse_reserved(&name, &home.namespace).is_err();
        if is_refused { Vec::new() } else { vec![policy_path(&name)] }
    }
}

/// The policy of that name and text, if the name is not reserved.
pub(crate) async fn policy(name: &str, text: String, found: &Found<'_>) -> Result<Resource, Error> {
    refuse_reserved(name, &found.home.namespace)?;
    let parameters = Map::from_iter([("policy".to_owned(), Value::from(text))]);
    let resource = Resource::at(format!("policy {name}"), policy_path(name), parameters);
    let mut resource = found.read(resource).await?;
    // The change of a person between the read and the write is not lost.
    resource.body.guard.insert("cas".to_owned(), Value::from(version(&resource)));
    Ok(resource)
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

/// The rules as a policy in JSON. Comments are part of the text, so a changed comment changes the policy.
fn text(rules: &[PolicyRule]) -> String {
    let paths: Map<String, Value> = rules.iter().map(|it| (it.path.clone(), rule(it))).collect();
    format!("{:#}\n", json!({"path": paths}))
}

fn rule(rule: &PolicyRule) -> Value {
    let mut fields = Map::from_iter([("capabilities".to_owned(), json!(rule.capabilities))]);
    let mut add = |name: &str, value: Value, is_set: bool| {
        if is_set {
            fields.insert(name.to_owned(), value);
        }
    };
    add("allowed_parameters", json!(rule.allowed_parameters), !rule.allowed_parameters.is_empty());
    add("denied_parameters", json!(rule.denied_parameters), !rule.denied_parameters.is_empty());
    add("required_parameters", json!(rule.required_parameters), !rule.required_parameters.is_empty());
    add("min_wrapping_ttl", json!(rule.min_wrapping_ttl), rule.min_wrapping_ttl.is_some());
    add("max_wrapping_ttl", json!(rule.max_wrapping_ttl), rule.max_wrapping_ttl.is_some());
    add("comment", json!(rule.comment), rule.comment.is_some());
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

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
    fn rules_become_a_policy() {
        let rules: Vec<PolicyRule> = serde_json::from_value(json!([
            {"path": "kv/data/web/*", "capabilities": ["read", "list"], "comment": "values of web"},
            {"path": "auth/token/create", "capabilities": ["update"], "allowedParameters": {"ttl": [], "policies": ["web"]},
             "requiredParameters": ["ttl"], "maxWrappingTTL": "5m"},
        ]))
        .unwrap();
        insta::assert_snapshot!(text(&rules));
    }
}
