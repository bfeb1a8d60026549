//! The merge of a BaoAuth with its BaoAuthGlobal, for each method, field and strategy.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// Returns the fields of the merged spec that `expected` names.
fn fields(auth: Value, global: Value, expected: &Value) -> Value {
    let mut auth = auth;
    if auth.get("authGlobalRef").is_none() {
        auth["authGlobalRef"] = json!({"name": "shared"});
    }
    let auth: BaoAuthSpec = serde_json::from_value(auth).unwrap();
    let global: BaoAuthGlobalSpec = serde_json::from_value(global).unwrap();
    let spec = serde_json::to_value(merged(&auth, &global)).unwrap();
    let names = expected.as_object().unwrap().keys();
    names.map(|name| (name.clone(), spec.get(name).cloned().unwrap_or_default())).collect()
}

fn strategy(headers: &str, params: &str) -> Value {
    json!({"name": "shared", "mergeStrategy": {"headers": headers, "params": params}})
}

/// A BaoAuthGlobal with parameters and headers at both levels.
fn global() -> Value {
    let entries = |level: &str| json!({"a": level, level: level});
    json!({
        "defaultAuthMethod": "Kubernetes", "params": entries("global"), "headers": entries("global"),
        "kubernetes": {"role": "g", "params": entries("method"), "headers": entries("method")},
    })
}

fn auth(headers: &str, params: &str, own: Value) -> Value {
    json!({"authGlobalRef": strategy(headers, params), "params": own, "headers": own})
}

#[rstest]
#[case::set_kubernetes(
    json!({}),
    json!({"defaultAuthMethod": "Kubernetes", "kubernetes": {"role": "g", "serviceAccount": "s", "audiences": ["x"], "tokenExpirationSeconds": 900}}),
    json!({"method": "Kubernetes", "kubernetes": {"role": "g", "serviceAccount": "s", "audiences": ["x"], "tokenExpirationSeconds": 900}}),
)]
#[case::override_kubernetes(
    json!({"method": "Kubernetes", "kubernetes": {"role": "own", "audiences": ["y"], "tokenExpirationSeconds": 700}}),
    json!({"defaultAuthMethod": "JWT", "kubernetes": {"role": "g", "serviceAccount": "s", "audiences": ["x"], "tokenExpirationSeconds": 900}}),
    json!({"method": "Kubernetes", "kubernetes": {"role": "own", "serviceAccount": "s", "audiences": ["y"], "tokenExpirationSeconds": 700}}),
)]
#[case::set_jwt(
    json!({}),
    json!({"defaultAuthMethod": "JWT", "jwt": {"role": "g", "secretRef": "s"}}),
    json!({"method": "JWT", "jwt": {"role": "g", "secretRef": "s"}}),
)]
#[case::override_jwt_with_the_other_source(
    json!({"method": "JWT", "jwt": {"serviceAccount": "own"}}),
    json!({"jwt": {"role": "g", "secretRef": "s", "audiences": ["x"]}}),
    json!({"jwt": {"role": "g", "serviceAccount": "own", "audiences": ["x"]}}),
)]
#[case::set_app_role(
    json!({}),
    json!({"defaultAuthMethod": "AppRole", "appRole": {"roleId": "g", "secretRef": "s"}}),
    json!({"method": "AppRole", "appRole": {"roleId": "g", "secretRef": "s"}}),
)]
#[case::override_app_role_with_the_other_source(
    json!({"method": "AppRole", "appRole": {"secretRef": "own"}}),
    json!({"appRole": {"roleId": "g", "secretIDPath": "/id"}}),
    json!({"appRole": {"roleId": "g", "secretRef": "own"}}),
)]
#[case::set_cert(
    json!({"cert": {"secretRef": "own"}}),
    json!({"defaultAuthMethod": "Cert", "cert": {"role": "g", "secretRef": "s"}}),
    json!({"method": "Cert", "cert": {"role": "g", "secretRef": "own"}}),
)]
#[case::set_user_pass(
    json!({"userPass": {"username": "own"}}),
    json!({"defaultAuthMethod": "UserPass", "userPass": {"username": "g", "secretRef": "s"}}),
    json!({"method": "UserPass", "userPass": {"username": "own", "secretRef": "s"}}),
)]
#[case::set_ldap(
    json!({}),
    json!({"defaultAuthMethod": "LDAP", "ldap": {"username": "g", "secretRef": "s"}}),
    json!({"method": "LDAP", "ldap": {"username": "g", "secretRef": "s"}}),
)]
#[case::set_token(
    json!({}),
    json!({"defaultAuthMethod": "Token", "token": {"secretRef": "s"}}),
    json!({"method": "Token", "token": {"secretRef": "s"}}),
)]
#[case::set_aws(
    json!({}),
    json!({"defaultAuthMethod": "AWS", "aws": {"role": "g", "region": "r", "headerValue": "h", "sessionName": "n", "secretRef": "s"}}),
    json!({"method": "AWS", "aws": {"role": "g", "region": "r", "headerValue": "h", "sessionName": "n", "secretRef": "s"}}),
)]
#[case::override_aws_with_the_other_identity(
    json!({"method": "AWS", "aws": {"role": "own", "irsaServiceAccount": "own", "stsEndpoint": "https://own"}}),
    json!({"aws": {"role": "g", "region": "r", "secretRef": "s", "stsEndpoint": "https://g"}}),
    json!({"aws": {"role": "own", "region": "r", "irsaServiceAccount": "own", "stsEndpoint": "https://own"}}),
)]
#[case::set_gcp(
    json!({"gcp": {"clusterName": "own", "workloadIdentityServiceAccount": "own"}}),
    json!({"defaultAuthMethod": "GCP", "gcp": {"role": "g", "region": "r", "clusterName": "c", "projectID": "p", "mount": "m"}}),
    json!({
        "method": "GCP", "mount": "m",
        "gcp": {"role": "g", "region": "r", "clusterName": "own", "projectID": "p", "workloadIdentityServiceAccount": "own"},
    }),
)]
#[case::no_method(json!({}), json!({"token": {"secretRef": "s"}}), json!({"method": null}))]
#[case::no_settings(json!({"method": "JWT"}), json!({"token": {"secretRef": "s"}}), json!({"jwt": null}))]
#[case::server(
    json!({}),
    json!({"connectionRef": {"name": "g"}}),
    json!({"connectionRef": {"name": "g"}, "clusterRef": null}),
)]
#[case::own_server(
    json!({"clusterRef": {"name": "own"}}),
    json!({"connectionRef": {"name": "g"}}),
    json!({"connectionRef": null, "clusterRef": {"name": "own"}}),
)]
#[case::place_of_the_defaults(
    json!({"method": "JWT"}),
    json!({"defaultMount": "g", "defaultNamespace": "n", "kubernetes": {"mount": "k", "namespace": "o"}}),
    json!({"mount": "g", "namespace": "n"}),
)]
#[case::place_of_the_method(
    json!({"method": "Kubernetes"}),
    json!({"defaultMount": "g", "defaultNamespace": "n", "kubernetes": {"mount": "k", "namespace": "o"}}),
    json!({"mount": "k", "namespace": "o"}),
)]
#[case::own_place(
    json!({"method": "Kubernetes", "mount": "own", "namespace": "mine"}),
    json!({"defaultMount": "g", "defaultNamespace": "n", "kubernetes": {"mount": "k", "namespace": "o"}}),
    json!({"mount": "own", "namespace": "mine"}),
)]
#[case::no_strategy(json!({"headers": {"a": "own"}}), global(), json!({"headers": {"a": "own"}, "params": null}))]
#[case::none(auth("None", "None", json!({"a": "own"})), global(), json!({"headers": {"a": "own"}, "params": {"a": "own"}}))]
#[case::replace_headers(auth("Replace", "None", json!({"a": "own"})), global(), json!({"headers": {"a": "own"}}))]
#[case::replace_headers_of_the_method(auth("Replace", "None", json!({})), global(), json!({"headers": {"a": "method", "method": "method"}, "params": null}))]
#[case::replace_headers_of_the_defaults(
    json!({"authGlobalRef": strategy("Replace", "None"), "method": "JWT"}),
    global(),
    json!({"headers": {"a": "global", "global": "global"}}),
)]
#[case::union_of_headers(auth("Union", "None", json!({"b": "own"})), global(), json!({"headers": {"a": "method", "b": "own", "method": "method", "global": "global"}}))]
#[case::union_of_headers_with_own(auth("Union", "None", json!({"a": "own"})), global(), json!({"headers": {"a": "own", "method": "method", "global": "global"}}))]
#[case::replace_params(auth("None", "Replace", json!({"a": "own"})), global(), json!({"params": {"a": "own"}}))]
#[case::replace_params_of_the_method(auth("None", "Replace", json!({})), global(), json!({"params": {"a": "method", "method": "method"}}))]
#[case::replace_params_of_the_defaults(
    json!({"authGlobalRef": strategy("None", "Replace"), "method": "JWT"}),
    global(),
    json!({"params": {"a": "global", "global": "global"}}),
)]
#[case::union_of_both(
    auth("Union", "Union", json!({"b": "own"})),
    global(),
    json!({
        "headers": {"a": "method", "b": "own", "method": "method", "global": "global"},
        "params": {"a": "method", "b": "own", "method": "method", "global": "global"},
    }),
)]
#[case::union_of_params_with_own(auth("None", "Union", json!({"a": "own"})), global(), json!({"params": {"a": "own", "method": "method", "global": "global"}}))]
fn what_the_auth_states_comes_first(#[case] auth: Value, #[case] global: Value, #[case] expected: Value) {
    assert_eq!(fields(auth, global, &expected), expected);
}
