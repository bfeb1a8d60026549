//! Roles that are refused, because they give more access than any role should.

use serde_json::{Map, Value};
use steamer_api::RoleMethod;
use steamer_core::error::Error;

use crate::auth_mounts::policies;

/// Parameters that contain names of policies.
const POLICIES: [&str; 4] = ["token_policies", "policies", "allowed_policies", "default_policies"];

/// Checks the parameters of a role, wherever the spec states them.
///
/// # Errors
/// [`Error::Invalid`] for a role that gives the rights of the root token or of the operator, or that admits everyone.
pub(super) fn check(method: RoleMethod, parameters: &Map<String, Value>, is_root: bool) -> Result<(), Error> {
    for policy in POLICIES.iter().flat_map(|name| items(parameters.get(*name))) {
        policies::refuse(&policy, is_root, "the role")?;
    }
    refuse_globs(parameters, is_root)?;
    match method {
        RoleMethod::Kubernetes => refuse_every_account(parameters),
        RoleMethod::JWT => refuse_every_token(parameters),
        _ => Ok(()),
    }
}

/// Refuses patterns of policies that match a reserved one.
fn refuse_globs(parameters: &Map<String, Value>, is_root: bool) -> Result<(), Error> {
    let globs = items(parameters.get("allowed_policies_glob"));
    let denied = items(parameters.get("disallowed_policies"));
    let is_reached = |name: &&str| {
        globs.iter().any(|glob| policies::matches(glob.trim(), name)) && !denied.iter().any(|it| it == name)
    };
    match policies::reserved(is_root).into_iter().find(is_reached) {
        Some(name) => Err(Error::Invalid(format!(
            "allowed_policies_glob matches the policy {name}: write a narrower pattern, or add {} to disallowed_policies",
            policies::reserved(is_root).join(", ")
        ))),
        None => Ok(()),
    }
}

/// OpenBao admits a namespace that the list or the selector contains. The labels of a namespace do not limit the names.
fn refuse_every_account(parameters: &Map<String, Value>) -> Result<(), Error> {
    let stated = |name: &str| items(parameters.get(name));
    let is_open = |name: &str| stated(name).iter().any(|item| is_wild(item));
    let selects = !stated("bound_service_account_namespace_selector").is_empty();
    if is_open("bound_service_account_names") && (selects || is_open("bound_service_account_namespaces")) {
        return Err(Error::Invalid(
            "the role admits every ServiceAccount of the cluster: name the ServiceAccounts, or their namespaces".to_owned(),
        ));
    }
    Ok(())
}

/// With `role_type: oidc`, the provider issues tokens for OpenBao only.
fn refuse_every_token(parameters: &Map<String, Value>) -> Result<(), Error> {
    let text = |name: &str| parameters.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_glob = text("bound_claims_type") == "glob";
    let binds = |value: &Value| {
        let values = items(Some(value));
        !(values.is_empty() || is_glob && values.iter().any(|value| is_wild(value)))
    };
    let claims = parameters.get("bound_claims").and_then(Value::as_object);
    let is_bound = !items(parameters.get("bound_audiences")).is_empty()
        || !text("bound_subject").is_empty()
        || claims.is_some_and(|claims| claims.values().any(binds));
    if is_bound || text("role_type") != "jwt" {
        return Ok(());
    }
    Err(Error::Invalid(
        "the role admits every token of the issuer: set at least one of boundAudiences, boundSubject and boundClaims, with a \
         value other than *"
            .to_owned(),
    ))
}

fn is_wild(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.chars().all(|character| character == '*')
}

/// Items of a list, or of a text that separates them with commas.
fn items(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
        }
        Some(Value::String(text)) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::Null) | None => Vec::new(),
        Some(other) => vec![other.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn is_refused(method: RoleMethod, parameters: &Value, is_root: bool) -> bool {
        check(method, parameters.as_object().unwrap(), is_root).is_err()
    }

    #[rstest]
    #[case::root(json!({"token_policies": ["web", "root"]}), true)]
    #[case::other_case(json!({"token_policies": [" Root "]}), true)]
    #[case::text(json!({"policies": "web, root"}), true)]
    #[case::allowed(json!({"allowed_policies": ["root"]}), true)]
    #[case::whole_template(json!({"token_policies": ["{{claims.policy}}"]}), true)]
    #[case::template_with_a_prefix(json!({"token_policies": ["team-{{claims.team}}"]}), false)]
    #[case::glob(json!({"allowed_policies_glob": ["*"]}), true)]
    #[case::glob_without_root(json!({"allowed_policies_glob": ["*"], "disallowed_policies": ["root", "steamer", "steamer-mark"]}), false)]
    #[case::glob_with_the_mark(json!({"allowed_policies_glob": ["*"], "disallowed_policies": ["root", "steamer"]}), true)]
    #[case::template_with_the_end_of_a_policy(json!({"token_policies": ["{{x}}er"]}), true)]
    #[case::narrow_glob(json!({"allowed_policies_glob": ["web-*"]}), false)]
    #[case::operator(json!({"token_policies": ["steamer"]}), true)]
    #[case::own(json!({"token_policies": ["web"]}), false)]
    fn no_login_gives_the_rights_of_root(#[case] parameters: Value, #[case] refused: bool) {
        assert_eq!(is_refused(RoleMethod::AppRole, &parameters, true), refused);
    }

    #[test]
    fn a_policy_of_the_operators_name_is_another_one_in_a_namespace() {
        assert!(!is_refused(RoleMethod::AppRole, &json!({"token_policies": ["steamer"]}), false));
    }

    #[rstest]
    #[case::all(json!({"bound_service_account_names": ["*"], "bound_service_account_namespaces": "*"}), true)]
    #[case::all_of_a_namespace(json!({"bound_service_account_names": ["*"], "bound_service_account_namespaces": ["web"]}), false)]
    #[case::one_name(json!({"bound_service_account_names": ["app"], "bound_service_account_namespaces": ["**"]}), false)]
    #[case::selector(json!({"bound_service_account_names": ["*"], "bound_service_account_namespace_selector": "{}"}), true)]
    #[case::selector_and_list(json!({
        "bound_service_account_names": "*", "bound_service_account_namespaces": ["web"],
        "bound_service_account_namespace_selector": r#"{"matchLabels": {"a": "b"}}"#,
    }), true)]
    #[case::selector_of_one_name(json!({"bound_service_account_names": ["app"], "bound_service_account_namespace_selector": "{}"}), false)]
    #[case::no_selector(json!({
        "bound_service_account_names": ["*"], "bound_service_account_namespaces": ["web"],
        "bound_service_account_namespace_selector": "",
    }), false)]
    fn a_kubernetes_role_does_not_admit_every_service_account(
        #[case] parameters: Value,
        #[case] refused: bool,
    ) {
        assert_eq!(is_refused(RoleMethod::Kubernetes, &parameters, false), refused);
    }

    #[rstest]
    #[case::unbound(json!({"role_type": "jwt"}), true)]
    #[case::empty(json!({"role_type": "jwt", "bound_audiences": [], "bound_subject": "", "bound_claims": {}}), true)]
    #[case::claim_without_values(json!({"role_type": "jwt", "bound_claims": {"a": []}}), true)]
    #[case::any_value(json!({"role_type": "jwt", "bound_claims": {"a": ["x", "*"]}, "bound_claims_type": "glob"}), true)]
    #[case::star_as_text(json!({"role_type": "jwt", "bound_claims": {"a": "*"}, "bound_claims_type": "string"}), false)]
    #[case::pattern(json!({"role_type": "jwt", "bound_claims": {"a": "web-*"}, "bound_claims_type": "glob"}), false)]
    #[case::one_of_two(json!({"role_type": "jwt", "bound_claims": {"a": "*", "b": "x"}, "bound_claims_type": "glob"}), false)]
    #[case::audience(json!({"role_type": "jwt", "bound_audiences": "a"}), false)]
    #[case::subject(json!({"role_type": "jwt", "bound_subject": "a"}), false)]
    #[case::number(json!({"role_type": "jwt", "bound_claims": {"id": 7}}), false)]
    #[case::browser(json!({"role_type": "oidc"}), false)]
    fn a_jwt_role_does_not_admit_every_token_of_the_issuer(#[case] parameters: Value, #[case] refused: bool) {
        assert_eq!(is_refused(RoleMethod::JWT, &parameters, false), refused);
    }
}
