//! Differences between roles that CI jobs created with `rolesOwner: Repository` and what the object determines. The policy of the
//! jobs limits the values of a parameter, and cannot require it, because OpenBao would refuse reads, too: a role can lack a
//! parameter. An administrator can write any role: of the parameters that the policy does not list, only the selector of namespaces is
//! compared.

use serde_json::{Map, Value};
use steamer_api::SecretsApp;
use steamer_core::error::Error;

use super::hcl::Rule;
use super::parts::Parts;
use super::{names, ops, repository};
use crate::general::{Found, Resource};

/// Audience of the tokens that a role of the pods accepts.
const AUDIENCE: &str = "audience";
/// A parameter of a role of the pods that the policy does not list, and with which ServiceAccounts of further namespaces log in.
const SELECTOR: &str = "bound_service_account_namespace_selector";

/// Describes the differences. None without any, and before the policy exists with which the jobs can correct them. Roles that the
/// object owns are removed by it.
///
/// # Errors
/// Any error of a request.
pub(super) async fn of_roles(
    app: &SecretsApp,
    parts: &Parts,
    found: &Found<'_>,
) -> Result<Option<String>, Error> {
    let Some(owned) = repository::record(app, found) else {
        return Ok(None);
    };
    let mut differences = Vec::new();
    for rule in ops::roles(app, parts)? {
        if owned.owns(&rule.path) {
            continue;
        }
        let role = Resource::at(format!("role {}", rule.path), &rule.path, Map::new());
        let role = found.read(role).await?;
        let Some(existing) = role.found() else { continue };
        let names = differing(&rule, existing);
        if names.contains(&AUDIENCE) && existing.get(AUDIENCE).is_none_or(is_empty) {
            differences.push(no_audience(app, &rule.path));
        } else if !names.is_empty() {
            differences.push(format!(
                "{} differs in {}: run the job of the repository with the values that policy {} lists, or delete the role",
                rule.path,
                names.join(", "),
                names::ops(app)
            ));
        }
    }
    Ok((!differences.is_empty()).then(|| differences.join("; ")))
}

fn no_audience(app: &SecretsApp, path: &str) -> String {
    format!(
        "{path} has no audience, so tokens that the ServiceAccount gives to other services can log in: set audience: {} in the \
         module of the repository and run its job, or delete the role",
        app.spec.runtime.audience
    )
}

/// Parameters of a role without one of the values that its rule lists.
fn differing(rule: &Rule, existing: &Map<String, Value>) -> Vec<&'static str> {
    let is_same = |found: &Value, value: &Value| found == value || (is_empty(found) && is_empty(value));
    let mut names = Vec::new();
    for (name, values) in rule.allowed.iter().filter(|(_, values)| !values.is_empty()) {
        let found = existing.get(*name).unwrap_or(&Value::Null);
        if !values.iter().any(|value| is_same(found, value)) {
            names.push(*name);
        }
    }
    names.extend(existing.get(SELECTOR).is_some_and(|it| !is_empty(it)).then_some(SELECTOR));
    names
}

/// Returns true for a value with which OpenBao returns a parameter that was not set.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::secrets_app::fixture::{app as object, parts};

    /// The rules for the role of the pods and for that of the database.
    fn rules() -> Vec<Rule> {
        let app = object(json!({
            "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}, "rolesOwner": "Repository",
            "runtime": {"serviceAccounts": ["web", "job"]}, "database": {"connectionRef": {"name": "db"}},
        }));
        ops::roles(&app, &parts(&app)).unwrap()
    }

    /// The names in which a role of OpenBao differs after changes.
    fn changed(rule: &Rule, mut role: Value, changes: &Value) -> Vec<&'static str> {
        role.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        differing(rule, role.as_object().unwrap())
    }

    #[rstest]
    #[case::same(json!({}), &[])]
    #[case::other_lifetime(json!({"token_ttl": 60}), &[])]
    #[case::own_policy_only(json!({"token_policies": ["web"]}), &[])]
    #[case::no_audience(json!({"audience": ""}), &["audience"])]
    #[case::other_audience(json!({"audience": "other"}), &["audience"])]
    #[case::further_account(
        json!({"bound_service_account_names": ["job", "web", "other"]}), &["bound_service_account_names"]
    )]
    #[case::further_policy(json!({"token_policies": ["default", "web", "admin"]}), &["token_policies"])]
    #[case::no_policy(json!({"token_policies": []}), &["token_policies"])]
    #[case::selector(json!({SELECTOR: "{}"}), &[SELECTOR])]
    #[case::no_namespaces(json!({"bound_service_account_namespaces": null}), &["bound_service_account_namespaces"])]
    fn a_role_of_the_pods_with_other_values_differs(#[case] changes: Value, #[case] expected: &[&str]) {
        let role = json!({
            "alias_name_source": "serviceaccount_uid", "audience": "vault", "bound_service_account_names": ["job", "web"],
            "bound_service_account_namespaces": ["web"], SELECTOR: "", "token_policies": ["default", "web"], "token_ttl": 3600,
            "token_bound_cidrs": [],
        });
        assert_eq!(changed(&rules()[0], role, &changes), expected);
    }

    #[rstest]
    #[case::same(json!({}), &[])]
    #[case::other_lifetime(json!({"default_ttl": 60}), &[])]
    #[case::no_revocation(json!({"revocation_statements": []}), &["revocation_statements"])]
    #[case::not_returned(json!({"revocation_statements": null}), &["revocation_statements"])]
    #[case::other_creation(json!({"creation_statements": ["CREATE"]}), &["creation_statements"])]
    #[case::further_renewal(json!({"renew_statements": ["ALTER"]}), &["renew_statements"])]
    #[case::other_connection(json!({"db_name": "other"}), &["db_name"])]
    fn a_role_of_the_database_with_other_values_differs(#[case] changes: Value, #[case] expected: &[&str]) {
        let app = object(json!({"database": {"connectionRef": {"name": "db"}}}));
        let parameters = parts(&app).database.unwrap().parameters;
        let mut role = Value::Object(parameters);
        role["credential_type"] = json!("password");
        assert_eq!(changed(&rules()[1], role, &changes), expected);
    }
}
