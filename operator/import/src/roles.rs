//! Roles of auth methods: the typed block of a BaoAuthRole, or else a method with free parameters.

use serde_json::{Map, Value, json};

use crate::resource::{Fields, Resource, items, text};

/// Most pairs of names and namespaces that a BaoAuthRole lists.
const MOST_ACCOUNTS: usize = 256;
/// Types of tokens that a BaoAuthRole states, or that are the default.
const TOKEN_TYPES: [&str; 5] = ["", "default", "default-service", "service", "batch"];

/// How a BaoAuthRole states a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In the block of that name.
    Block(&'static str),
    /// With `method` and free parameters.
    Method(&'static str),
}

/// How a role is stated: in a block, if the block can state the same.
pub(crate) fn form(resource: &Resource) -> Form {
    let fields = &resource.fields;
    let is_usual = TOKEN_TYPES.contains(&text(fields, "token_type"));
    let (block, method, fits) = match (resource.method.as_str(), resource.place.folder.as_str()) {
        ("kubernetes", _) => ("kubernetes", "Kubernetes", has_accounts(fields)),
        ("jwt" | "oidc", _) => ("jwt", "JWT", has_claims(fields)),
        ("approle", _) => ("appRole", "AppRole", binds(fields)),
        ("cert", _) => {
            ("cert", "Cert", text(fields, "certificate").starts_with("-----BEGIN CERTIFICATE-----"))
        }
        ("token", _) => ("token", "Token", true),
        ("userpass", _) => return Form::Method("UserPass"),
        ("ldap", "groups") => return Form::Method("LDAPGroup"),
        ("ldap", _) => return Form::Method("LDAPUser"),
        ("kerberos", _) => return Form::Method("KerberosGroup"),
        ("radius", _) => return Form::Method("RADIUSUser"),
        _ => return Form::Method("Plugin"),
    };
    if fits && is_usual { Form::Block(block) } else { Form::Method(method) }
}

fn has_accounts(fields: &Fields) -> bool {
    let (names, namespaces) =
        (items(fields, "bound_service_account_names"), items(fields, "bound_service_account_namespaces"));
    let has_selector = !text(fields, "bound_service_account_namespace_selector").is_empty();
    (1..=MOST_ACCOUNTS).contains(&(names.len() * namespaces.len())) && !has_selector
}

fn has_claims(fields: &Fields) -> bool {
    let is_oidc = text(fields, "role_type") == "oidc";
    let claims = fields.get("bound_claims").and_then(Value::as_object);
    let are_texts = claims.into_iter().flatten().all(|(_, claim)| texts(claim).is_some());
    let has_uris = !items(fields, "allowed_redirect_uris").is_empty();
    are_texts && is_oidc == has_uris && !text(fields, "user_claim").is_empty()
}

fn binds(fields: &Fields) -> bool {
    fields.get("bind_secret_id") != Some(&json!(false)) || !items(fields, "secret_id_bound_cidrs").is_empty()
}

/// A claim as a list of texts. `None` for other values.
fn texts(claim: &Value) -> Option<Vec<&str>> {
    match claim {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) if !items.is_empty() => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The parameters of a role as its block states them.
pub(crate) fn in_block(fields: &mut Fields, block: &str, name: &str) {
    match block {
        "kubernetes" => accounts(fields),
        "jwt" => claims(fields),
        "cert" if text(fields, "display_name") == name => drop(fields.remove("display_name")),
        "token" => drop((fields.remove("explicit_max_ttl"), fields.remove("period"))),
        _ => {}
    }
}

/// OpenBao admits each listed name in each listed namespace.
fn accounts(fields: &mut Fields) {
    let (names, namespaces) =
        (items(fields, "bound_service_account_names"), items(fields, "bound_service_account_namespaces"));
    let pairs = namespaces.iter().flat_map(|namespace| names.iter().map(move |name| (name, namespace)));
    let accounts: Value =
        pairs.map(|(name, namespace)| json!({"name": name, "namespace": namespace})).collect();
    let source = text(fields, "alias_name_source").trim_start_matches("serviceaccount_").to_owned();
    fields.retain(|name, _| !name.starts_with("bound_service_account_"));
    fields.insert("service_accounts".to_owned(), accounts);
    fields.insert("alias_name_source".to_owned(), json!(source));
}

fn claims(fields: &mut Fields) {
    let Some(Value::Object(claims)) = fields.get_mut("bound_claims") else { return };
    let listed: Map<String, Value> =
        claims.iter().filter_map(|(name, claim)| Some((name.clone(), json!(texts(claim)?)))).collect();
    *claims = listed;
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::resource::{Class, Place};

    fn role(method: &str, folder: &str, fields: &Value) -> Resource {
        let place = Place::new(Class::Role, "", "web").inside("mount", folder);
        Resource { place, method: method.to_owned(), fields: fields.as_object().cloned().unwrap() }
    }

    #[rstest]
    #[case("kubernetes", "role", json!({"bound_service_account_names": ["a"], "bound_service_account_namespaces": ["b"]}), Form::Block("kubernetes"))]
    #[case("kubernetes", "role", json!({"bound_service_account_names": ["a"], "bound_service_account_namespace_selector": "x"}), Form::Method("Kubernetes"))]
    #[case("jwt", "role", json!({"user_claim": "sub", "bound_claims": {"a": "b"}, "role_type": "jwt"}), Form::Block("jwt"))]
    #[case("jwt", "role", json!({"user_claim": "sub", "bound_claims": {"a": true}, "role_type": "jwt"}), Form::Method("JWT"))]
    #[case("oidc", "role", json!({"user_claim": "sub", "role_type": "oidc", "allowed_redirect_uris": ["x"]}), Form::Block("jwt"))]
    #[case("oidc", "role", json!({"user_claim": "sub", "role_type": "oidc", "allowed_redirect_uris": null}), Form::Method("JWT"))]
    #[case("approle", "role", json!({"bind_secret_id": true}), Form::Block("appRole"))]
    #[case("approle", "role", json!({"bind_secret_id": false, "secret_id_bound_cidrs": null}), Form::Method("AppRole"))]
    #[case("approle", "role", json!({"bind_secret_id": true, "token_type": "default-batch"}), Form::Method("AppRole"))]
    #[case("cert", "certs", json!({"certificate": "-----BEGIN CERTIFICATE-----\nx"}), Form::Block("cert"))]
    #[case("token", "roles", json!({"token_type": "default-service"}), Form::Block("token"))]
    #[case("userpass", "users", json!({}), Form::Method("UserPass"))]
    #[case("ldap", "groups", json!({}), Form::Method("LDAPGroup"))]
    #[case("ldap", "users", json!({}), Form::Method("LDAPUser"))]
    #[case("aws", "role", json!({}), Form::Method("Plugin"))]
    fn a_role_has_a_block_if_the_block_can_state_it(
        #[case] method: &str,
        #[case] folder: &str,
        #[case] fields: Value,
        #[case] expected: Form,
    ) {
        assert_eq!(form(&role(method, folder, &fields)), expected);
    }

    #[test]
    fn a_kubernetes_role_lists_each_name_in_each_namespace() {
        let mut fields = json!({
            "bound_service_account_names": ["a", "b"], "bound_service_account_namespaces": ["x"],
            "bound_service_account_namespace_selector": "", "alias_name_source": "serviceaccount_name",
        });
        let fields = fields.as_object_mut().unwrap();
        in_block(fields, "kubernetes", "web");
        let accounts = json!([{"name": "a", "namespace": "x"}, {"name": "b", "namespace": "x"}]);
        assert_eq!(json!(fields), json!({"service_accounts": accounts, "alias_name_source": "name"}));
    }
}
