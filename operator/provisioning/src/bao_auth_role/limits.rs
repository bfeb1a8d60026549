//! Roles that are refused, because they give more access than any role should.

use serde_json::{Map, Value};
use steamer_api::RoleMethod;
use steamer_core::error::Error;
use steamer_core::layout::OPERATOR_ROLE;

/// Parameters that contain names of policies.
const POLICIES: [&str; 4] = ["token_policies", "policies", "allowed_policies", "default_policies"];

/// Checks the parameters of a role, wherever the spec states them.
///
/// # Errors
/// [`Error::Invalid`] for a role that gives the rights of the root token or of the operator, or that admits everyone.
pub(super) fn check(method: RoleMethod, parameters: &Map<String, Value>, is_root: bool) -> Result<(), Error> {
    let policies = POLICIES.iter().flat_map(|name| items(parameters.get(*name)));
    for policy in policies {
        refuse_policy(&policy, is_root)?;
    }
    let globs = items(parameters.get("allowed_policies_glob"));
    let denied = items(parameters.get("disallowed_policies"));
    let reaches =
        |name: &str| globs.iter().any(|glob| matches(glob, name)) && !denied.iter().any(|it| it == name);
    if reaches("root") || (is_root && reaches(OPERATOR_ROLE)) {
        return Err(Error::Invalid(format!(
            "allowed_policies_glob matches root or the operator's policy {OPERATOR_ROLE}: write a narrower pattern, or add both \
             to disallowed_policies"
        )));
    }
    match method {
        RoleMethod::Kubernetes => refuse_every_account(parameters),
        RoleMethod::JWT => refuse_every_token(parameters),
        _ => Ok(()),
    }
}

fn refuse_policy(policy: &str, is_root: bool) -> Result<(), Error> {
    // OpenBao changes names to lower case and removes blanks.
    let name = policy.trim().to_lowercase();
    let remedy = match name.as_str() {
        "root" => "no login may give the rights of the root token",
        // The login decides about the whole name, which can be root.
        name if name.starts_with("{{") && name.ends_with("}}") => {
            "it can become root: start it with a fixed text, such as team-"
        }
        name if is_root && name == OPERATOR_ROLE => "it contains the rights of the operator",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!(
        "the role must not grant policy {name}: {remedy}; write a BaoPolicy with the paths that are needed"
    )))
}

fn refuse_every_account(parameters: &Map<String, Value>) -> Result<(), Error> {
    let is_open = |name: &str| items(parameters.get(name)).iter().any(|item| is_wild(item));
    if is_open("bound_service_account_names") && is_open("bound_service_account_namespaces") {
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
        !values.is_empty() && !(is_glob && values.iter().any(|value| is_wild(value)))
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

/// Returns true if `*` in a pattern can match so that the pattern is `name`.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
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
    #[case::glob_without_root(json!({"allowed_policies_glob": ["*"], "disallowed_policies": ["root", "steamer"]}), false)]
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

    #[rstest]
    #[case("*", true)]
    #[case("root", true)]
    #[case("r*t", true)]
    #[case("r**o*", true)]
    #[case("*oo*", true)]
    #[case("web-*", false)]
    #[case("*x*", false)]
    #[case("root-*", false)]
    fn a_pattern_matches_root(#[case] pattern: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, "root"), expected);
    }
}
