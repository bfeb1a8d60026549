//! Resources that Steamer refuses to manage.

use serde_json::Value;

use crate::masking::masked;
use crate::resource::{Class, Fields, Resource, items, text};
use crate::roles::{Form, form};

/// Parameters with names of policies.
const POLICIES: [&str; 3] = ["policies", "token_policies", "allowed_policies"];

/// Why Steamer refuses a resource, and what to change in OpenBao.
pub(crate) fn refusal(resource: &Resource) -> Option<&'static str> {
    let fields = &resource.fields;
    match resource.place.class {
        Class::Role | Class::Group if grants_root(fields) => Some(
            "it grants the policy root, which Steamer refuses: replace root by a policy with the paths that are needed, and import again",
        ),
        Class::Role => open_role(resource),
        Class::Group if is_external(fields) && !has_alias(fields) => Some(
            "it is an external group without an alias, which has no members: add an alias or delete the group, and import again",
        ),
        Class::Policy if text(fields, "policy").trim().is_empty() => {
            Some("the policy is empty: delete it, or write a rule, and import again")
        }
        Class::Connection if needs_url(fields) && has_password(fields) => Some(
            "the connection URL contains a password, which Steamer refuses: write {{username}}:{{password}} into the URL in OpenBao, set username and password, and import again",
        ),
        Class::DynamicRole if items(fields, "creation_statements").is_empty() => Some(
            "the role has no creation statements, and so no credentials: add them or delete the role, and import again",
        ),
        _ => None,
    }
}

fn grants_root(fields: &Fields) -> bool {
    POLICIES.iter().any(|field| items(fields, field).contains(&"root"))
}

/// A role that admits every client of its method.
fn open_role(resource: &Resource) -> Option<&'static str> {
    let fields = &resource.fields;
    let is_wild = |field: &str| items(fields, field).iter().any(|item| item.chars().all(|it| it == '*'));
    let is_open = match form(resource) {
        Form::Block("kubernetes") | Form::Method("Kubernetes") => {
            is_wild("bound_service_account_names") && is_wild("bound_service_account_namespaces")
        }
        Form::Block("jwt") | Form::Method("JWT") => {
            text(fields, "role_type") == "jwt"
                && items(fields, "bound_audiences").is_empty()
                && text(fields, "bound_subject").is_empty()
                && fields.get("bound_claims").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
        }
        _ => false,
    };
    is_open.then_some(
        "the role admits every client of its auth method, which Steamer refuses: bind it to ServiceAccounts, audiences, a subject or claims, and import again",
    )
}

/// Returns true for an external group.
pub(crate) fn is_external(fields: &Fields) -> bool {
    text(fields, "type") == "external"
}

fn has_alias(fields: &Fields) -> bool {
    fields.get("alias").and_then(Value::as_object).is_some_and(|alias| !text(alias, "name").is_empty())
}

/// The details of a connection, as OpenBao returns them.
fn details(fields: &Fields) -> Option<&Value> {
    fields.get("connection_details")
}

fn needs_url(fields: &Fields) -> bool {
    ["postgresql", "mysql"].iter().any(|plugin| text(fields, "plugin_name").starts_with(plugin))
}

fn has_password(fields: &Fields) -> bool {
    details(fields)
        .and_then(|details| details.get("connection_url"))
        .cloned()
        .is_some_and(|mut url| masked(&mut url))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::resource::Place;

    #[rstest]
    #[case(Class::Role, "approle", json!({"token_policies": ["app", "root"]}), true)]
    #[case(Class::Role, "approle", json!({"token_policies": ["app"]}), false)]
    #[case(Class::Role, "token", json!({"allowed_policies": ["root"]}), true)]
    #[case(Class::Role, "kubernetes", json!({"bound_service_account_names": ["*"], "bound_service_account_namespaces": ["*"]}), true)]
    #[case(Class::Role, "kubernetes", json!({"bound_service_account_names": ["*"], "bound_service_account_namespaces": ["web"]}), false)]
    #[case(Class::Role, "jwt", json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": null}), true)]
    #[case(Class::Role, "jwt", json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["a"]}), false)]
    #[case(Class::Role, "oidc", json!({"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": ["a"]}), false)]
    #[case(Class::Group, "", json!({"policies": ["root"]}), true)]
    #[case(Class::Group, "", json!({"type": "external", "alias": {}}), true)]
    #[case(Class::Group, "", json!({"type": "external", "alias": {"name": "a"}}), false)]
    #[case(Class::Policy, "", json!({"policy": "\n"}), true)]
    #[case(Class::Connection, "", json!({"plugin_name": "postgresql-database-plugin", "connection_details": {"connection_url": "postgresql://u:xxxxx@h/db"}}), true)]
    #[case(Class::Connection, "", json!({"plugin_name": "postgresql-database-plugin", "connection_details": {"connection_url": "postgresql://{{username}}:{{password}}@h/db"}}), false)]
    #[case(Class::DynamicRole, "", json!({"creation_statements": []}), true)]
    fn what_steamer_refuses_is_recognized(
        #[case] class: Class,
        #[case] method: &str,
        #[case] fields: Value,
        #[case] refused: bool,
    ) {
        let place = Place::new(class, "", "x").inside("m", "role");
        let resource =
            Resource { place, method: method.to_owned(), fields: fields.as_object().cloned().unwrap() };
        assert_eq!(refusal(&resource).is_some(), refused);
    }
}
