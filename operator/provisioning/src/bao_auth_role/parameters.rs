//! The spec of a role as parameters of OpenBao's API. Fields that are not set have OpenBao's default: a limit or a policy that
//! is removed from the spec is also removed from the role.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use steamer_api::{
    AliasNameSource, AppRole, BaoAuthRoleSpec, BoundClaimsType, CertRole, JwtRole, JwtRoleType,
    KubernetesRole, LongDuration, TokenRole, TokenSettings, TokenType,
};
use steamer_core::error::Error;

use crate::general;

/// Parameters that contain names of policies, which OpenBao changes to lower case.
const POLICIES: [&str; 4] = ["token_policies", "policies", "allowed_policies", "disallowed_policies"];
/// Parameters that contain networks.
const NETWORKS: [&str; 2] = ["token_bound_cidrs", "bound_cidrs"];

/// The parameters of the role `name`, in the form in which OpenBao returns them.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that is set twice, for a password, and for ServiceAccounts that no role can have.
pub(super) fn of(spec: &BaoAuthRoleSpec, name: &str) -> Result<Map<String, Value>, Error> {
    let mut parameters = typed(spec, name)?;
    if !parameters.is_empty() {
        parameters.extend(if spec.token.is_some() { created(&spec.tokens) } else { issued(&spec.tokens) });
    }
    for (name, value) in &spec.parameters.0 {
        refuse_elsewhere(name, &parameters)?;
        parameters.insert(name.clone(), returned(name, value));
    }
    Ok(parameters)
}

/// A free parameter in the form in which OpenBao returns it: otherwise each pass would write it.
fn returned(name: &str, value: &Value) -> Value {
    let convert: fn(&str) -> String = match name {
        name if POLICIES.contains(&name) => |policy: &str| policy.trim().to_lowercase(),
        name if NETWORKS.contains(&name) => {
            |text: &str| network(text.trim()).unwrap_or_else(|| text.to_owned())
        }
        _ => return value.clone(),
    };
    match value {
        Value::Array(items) => {
            let item = |item: &Value| item.as_str().map_or_else(|| item.clone(), |text| json!(convert(text)));
            items.iter().map(item).collect()
        }
        Value::String(text) => text.split(',').map(convert).filter(|item| !item.is_empty()).collect(),
        other => other.clone(),
    }
}

/// Parameters that determine who may log in, or that are secret: `parameters` must not contain them beside a block.
fn refuse_elsewhere(name: &str, typed: &Map<String, Value>) -> Result<(), Error> {
    let remedy = match name {
        "password" | "password_hash" => {
            "write the password to a Secret, and refer to it in userPass.passwordSecretRef"
        }
        "policies" | "bound_cidrs" | "ttl" | "max_ttl" | "period" if !typed.is_empty() => {
            "use the field with the prefix token"
        }
        name if name.starts_with("bound_service_account_") && !typed.is_empty() => {
            "use kubernetes.serviceAccounts"
        }
        name if typed.contains_key(name) => "remove it, and use the field of the spec",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!("parameters must not contain {name}: {remedy}")))
}

fn typed(spec: &BaoAuthRoleSpec, name: &str) -> Result<Map<String, Value>, Error> {
    let parameters = if let Some(role) = &spec.kubernetes {
        kubernetes(role)?
    } else if let Some(role) = &spec.jwt {
        jwt(role)
    } else if let Some(role) = &spec.app_role {
        app_role(role)
    } else if let Some(role) = &spec.cert {
        cert(role, name)
    } else if let Some(role) = &spec.token {
        token(role)
    } else if spec.user_pass.is_some() {
        return Ok(issued(&spec.tokens));
    } else {
        json!({})
    };
    Ok(map(parameters))
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn kubernetes(role: &KubernetesRole) -> Result<Value, Error> {
    if let Some((namespace, name)) = unlisted(role) {
        return Err(Error::Invalid(format!(
            "kubernetes.serviceAccounts: OpenBao admits each listed name in each listed namespace, so ServiceAccount \
             {namespace}/{name} could log in too: create one BaoAuthRole for each namespace, or use a mount of type jwt and \
             jwt.boundClaims with sub: [system:serviceaccount:<namespace>:<name>]"
        )));
    }
    let distinct = |field: fn(&steamer_api::RoleServiceAccount) -> &String| {
        let set: std::collections::BTreeSet<&String> = role.service_accounts.iter().map(field).collect();
        json!(set)
    };
    Ok(json!({
        "bound_service_account_names": distinct(|account| &account.name),
        "bound_service_account_namespaces": distinct(|account| &account.namespace),
        "audience": role.audience.as_deref().unwrap_or_default(),
        "alias_name_source": match role.alias_name_source {
            AliasNameSource::UID => "serviceaccount_uid",
            AliasNameSource::Name => "serviceaccount_name",
        },
    }))
}

/// The first ServiceAccount, by namespace and name, that OpenBao would admit although the list does not contain it.
fn unlisted(role: &KubernetesRole) -> Option<(&str, &str)> {
    let listed = &role.service_accounts;
    let pairs = listed
        .iter()
        .flat_map(|space| listed.iter().map(|account| (space.namespace.as_str(), account.name.as_str())));
    let is_listed = |(namespace, name): &(&str, &str)| {
        listed.iter().any(|it| it.namespace == *namespace && it.name == *name)
    };
    pairs.filter(|pair| !is_listed(pair)).min()
}

fn jwt(role: &JwtRole) -> Value {
    json!({
        "role_type": match role.role_type {
            JwtRoleType::JWT => "jwt",
            JwtRoleType::OIDC => "oidc",
        },
        "bound_audiences": role.bound_audiences,
        "bound_subject": role.bound_subject.as_deref().unwrap_or_default(),
        "bound_claims": role.bound_claims,
        "bound_claims_type": match role.bound_claims_type {
            BoundClaimsType::String => "string",
            BoundClaimsType::Glob => "glob",
        },
        "user_claim": role.user_claim,
        "user_claim_json_pointer": role.user_claim_json_pointer,
        "groups_claim": role.groups_claim.as_deref().unwrap_or_default(),
        "claim_mappings": role.claim_mappings,
        "allowed_redirect_uris": role.allowed_redirect_uris,
        "oidc_scopes": role.oidc_scopes,
    })
}

fn app_role(role: &AppRole) -> Value {
    json!({
        "bind_secret_id": role.bind_secret_id,
        "secret_id_num_uses": role.secret_id_num_uses.unwrap_or_default(),
        "secret_id_ttl": seconds(role.secret_id_ttl.as_ref()),
        "secret_id_bound_cidrs": role.secret_id_bound_cidrs.iter().map(|text| prefixed(text)).collect::<Vec<_>>(),
    })
}

fn cert(role: &CertRole, name: &str) -> Value {
    let mut parameters = json!({
        "allowed_common_names": role.allowed_common_names,
        "allowed_dns_sans": role.allowed_dns_sans,
        "allowed_email_sans": role.allowed_email_sans,
        "allowed_uri_sans": role.allowed_uri_sans,
        "allowed_organizational_units": role.allowed_organizational_units,
        "required_extensions": role.required_extensions,
        "display_name": role.display_name.as_deref().unwrap_or(name),
    });
    if let Some(certificate) = &role.certificate {
        parameters["certificate"] = json!(certificate);
    }
    parameters
}

fn token(role: &TokenRole) -> Value {
    json!({
        "allowed_policies": role.allowed_policies,
        "disallowed_policies": role.disallowed_policies,
        "orphan": role.orphan,
        "renewable": role.renewable,
        "path_suffix": role.path_suffix.as_deref().unwrap_or_default(),
        "allowed_entity_aliases": role.allowed_entity_aliases,
    })
}

/// Settings of tokens that a login returns.
fn issued(tokens: &TokenSettings) -> Map<String, Value> {
    let own = json!({
        "token_policies": tokens.token_policies,
        "token_ttl": seconds(tokens.token_ttl.as_ref()),
        "token_max_ttl": seconds(tokens.token_max_ttl.as_ref()),
        "token_type": token_type(tokens, "default"),
    });
    map(own).into_iter().chain(common(tokens)).collect()
}

/// Settings of tokens that are created with a role of the mount `token`.
fn created(tokens: &TokenSettings) -> Map<String, Value> {
    let own = json!({"token_type": token_type(tokens, "default-service")});
    map(own).into_iter().chain(common(tokens)).collect()
}

fn common(tokens: &TokenSettings) -> Map<String, Value> {
    map(json!({
        "token_explicit_max_ttl": seconds(tokens.token_explicit_max_ttl.as_ref()),
        "token_period": seconds(tokens.token_period.as_ref()),
        "token_bound_cidrs": networks(&tokens.token_bound_cidrs),
        "token_no_default_policy": tokens.token_no_default_policy,
        "token_num_uses": tokens.token_num_uses.unwrap_or_default(),
    }))
}

fn token_type(tokens: &TokenSettings, default: &'static str) -> &'static str {
    match tokens.token_type {
        Some(TokenType::Service) => "service",
        Some(TokenType::Batch) => "batch",
        None => default,
    }
}

fn seconds(duration: Option<&LongDuration>) -> u64 {
    duration.map(general::seconds).unwrap_or_default()
}

/// A network with its prefix, which secret IDs require.
fn prefixed(text: &str) -> String {
    match text.parse() {
        Ok(IpAddr::V4(address)) => format!("{address}/32"),
        Ok(IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => text.to_owned(),
    }
}

/// Networks as OpenBao returns them: without a prefix that covers the whole address.
fn networks(networks: &[String]) -> Vec<String> {
    networks.iter().map(|text| network(text).unwrap_or_else(|| text.clone())).collect()
}

fn network(text: &str) -> Option<String> {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { "32" } else { "128" };
    Some(match prefix.filter(|prefix| *prefix != whole) {
        Some(prefix) => format!("{address}/{prefix}"),
        None => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::tests::role;
    use super::*;

    fn accounts(pairs: &[(&str, &str)]) -> Value {
        let accounts: Vec<Value> =
            pairs.iter().map(|(namespace, name)| json!({"namespace": namespace, "name": name})).collect();
        json!({"kubernetes": {"serviceAccounts": accounts}})
    }

    #[rstest]
    #[case::one(&[("ns1", "a")], None)]
    #[case::one_namespace(&[("ns1", "a"), ("ns1", "b")], None)]
    #[case::one_name(&[("ns1", "a"), ("ns2", "a")], None)]
    #[case::every_combination(&[("ns1", "a"), ("ns1", "b"), ("ns2", "a"), ("ns2", "b")], None)]
    #[case::two_pairs(&[("ns1", "a"), ("ns2", "b")], Some("ns1/b"))]
    #[case::three_of_four(&[("ns1", "a"), ("ns1", "b"), ("ns2", "a")], Some("ns2/b"))]
    #[case::any_name_of_one_namespace(&[("ns1", "*"), ("ns2", "a")], Some("ns1/a"))]
    fn a_role_never_admits_a_service_account_that_is_not_listed(
        #[case] pairs: &[(&str, &str)],
        #[case] refused: Option<&str>,
    ) {
        let refusal = of(&role(accounts(pairs)).spec, "web").err().map(|error| error.to_string());
        assert_eq!(refusal.is_some(), refused.is_some(), "{refusal:?}");
        if let (Some(refusal), Some(refused)) = (refusal, refused) {
            assert!(refusal.contains(&format!("ServiceAccount {refused} could log in too")), "{refusal}");
        }
    }

    #[rstest]
    #[case::twice(json!({"jwt": {"userClaim": "sub"}, "parameters": {"user_claim": "x"}}), Some("user_claim"))]
    #[case::token_settings(json!({"jwt": {"userClaim": "sub"}, "parameters": {"token_policies": ["x"]}}), Some("token_policies"))]
    #[case::old_name(json!({"appRole": {}, "parameters": {"policies": ["x"]}}), Some("policies"))]
    #[case::selector(
        json!({"kubernetes": {"serviceAccounts": []}, "parameters": {"bound_service_account_namespace_selector": "{}"}}),
        Some("bound_service_account_namespace_selector")
    )]
    #[case::password(json!({"method": "UserPass", "parameters": {"password": "x"}}), Some("password"))]
    #[case::further(json!({"jwt": {"userClaim": "sub"}, "parameters": {"max_age": "1h"}}), None)]
    #[case::only(json!({"method": "JWT", "parameters": {"token_policies": ["x"], "user_claim": "sub"}}), None)]
    fn a_parameter_has_one_place(#[case] spec: Value, #[case] refused: Option<&str>) {
        let refusal = of(&role(spec).spec, "web").err().map(|error| error.to_string());
        let expected = refused.map(|name| format!("parameters must not contain {name}:"));
        assert_eq!(refusal.is_some(), expected.is_some(), "{refusal:?}");
        assert!(refusal.unwrap_or_default().starts_with(&expected.unwrap_or_default()));
    }

    #[rstest]
    #[case::kubernetes(json!({"kubernetes": {"serviceAccounts": [{"name": "a", "namespace": "n"}]}}))]
    #[case::jwt(json!({"jwt": {"userClaim": "sub", "boundSubject": "x"}}))]
    #[case::approle(json!({"appRole": {}}))]
    #[case::cert(json!({"cert": {"certificate": "x"}}))]
    #[case::user(json!({"userPass": {"passwordSecretRef": {"name": "s"}}}))]
    fn a_policy_that_is_removed_from_the_spec_is_removed_from_the_role(#[case] spec: Value) {
        let parameters = of(&role(spec).spec, "web").unwrap();
        assert_eq!(parameters["token_policies"], json!([]));
        assert_eq!(parameters["token_type"], "default");
    }

    #[test]
    fn a_method_with_parameters_only_sends_exactly_these() {
        let parameters = json!({"user_claim": "sub", "bound_audiences": ["a"]});
        let role = role(json!({"method": "JWT", "parameters": parameters}));
        assert_eq!(Value::Object(of(&role.spec, "web").unwrap()), parameters);
    }

    #[test]
    fn a_role_of_the_mount_token_has_no_policies_of_logins() {
        let parameters =
            of(&role(json!({"token": {"allowedPolicies": ["a"]}, "tokenPeriod": "1h"})).spec, "web").unwrap();
        assert_eq!(parameters["token_period"], 3600);
        assert_eq!(parameters["token_type"], "default-service");
        assert!(!parameters.contains_key("token_policies") && !parameters.contains_key("token_ttl"));
    }

    #[rstest]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    #[case("1.2.3.4/32", "1.2.3.4")]
    #[case("1.2.3.4", "1.2.3.4")]
    #[case("2001:DB8:0:0::1/128", "2001:db8::1")]
    #[case("::1/64", "::1/64")]
    #[case("no address", "no address")]
    fn a_network_is_written_as_openbao_returns_it(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(networks(&[text.to_owned()]), [expected]);
    }
    #[rstest]
    #[case::policies("token_policies", json!(["Web", " b"]), json!(["web", "b"]))]
    #[case::policies_as_text("policies", json!("Web, b"), json!(["web", "b"]))]
    #[case::networks("token_bound_cidrs", json!(["10.0.0.1/32", "10.0.0.0/8"]), json!(["10.0.0.1", "10.0.0.0/8"]))]
    #[case::networks_as_text("token_bound_cidrs", json!("10.0.0.1/32"), json!(["10.0.0.1"]))]
    #[case::no_list("token_policies", json!(null), json!(null))]
    #[case::other("user_claim", json!("Sub"), json!("Sub"))]
    fn a_free_parameter_has_the_form_that_openbao_returns(
        #[case] name: &str,
        #[case] value: Value,
        #[case] expected: Value,
    ) {
        let role = role(json!({"method": "JWT", "parameters": {name: value}}));
        assert_eq!(of(&role.spec, "web").unwrap()[name], expected);
    }

    #[rstest]
    #[case("10.0.0.0/8", "10.0.0.0/8")]
    #[case("1.2.3.4", "1.2.3.4/32")]
    #[case("2001:db8::1", "2001:db8::1/128")]
    fn a_network_of_secret_ids_has_a_prefix(#[case] text: &str, #[case] expected: &str) {
        let role = role(json!({"appRole": {"secretIDBoundCIDRs": [text]}}));
        assert_eq!(of(&role.spec, "web").unwrap()["secret_id_bound_cidrs"], json!([expected]));
    }

    #[rstest]
    #[case(json!({"certificate": "x"}), "web")]
    #[case(json!({"certificate": "x", "displayName": "other"}), "other")]
    fn a_display_name_that_is_removed_becomes_that_of_the_role(#[case] cert: Value, #[case] expected: &str) {
        let role = role(json!({"cert": cert}));
        assert_eq!(of(&role.spec, "web").unwrap()["display_name"], expected);
    }
}
