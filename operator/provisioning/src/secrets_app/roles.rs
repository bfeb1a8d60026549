//! Roles with which pods log in: those of the application and of its readers.

use std::collections::BTreeMap;

use steamer_api::{
    AppBinding, BaoAuthRole, BaoAuthRoleSpec, JwtRole, KubernetesRole, Lifecycle, LongDuration, Parameters,
    Placement, RoleServiceAccount, SecretsApp, TokenSettings,
};
use steamer_core::error::Error;

use super::bindings::{Login, Method, RuntimeRole};
use super::names::{self, is_repository};
use crate::bao_auth_role::role;
use crate::general::{Home, Resource};

/// The roles of the application and of its readers. With `rolesOwner: Repository`, CI jobs create those of the application.
///
/// # Errors
/// As [`role`].
pub(super) fn all(app: &SecretsApp, login: &Login, home: &Home) -> Result<Vec<Resource>, Error> {
    let mut resources = runtime(app, login, home)?;
    if is_repository(app) {
        // They were computed, because a policy must not allow CI jobs to write a role that belongs to Steamer.
        resources.clear();
    }
    for reader in &app.spec.readers {
        let object =
            object(app, login.method, &super::bindings::reader_role(reader), vec![reader.name.clone()]);
        resources.push(role(&object, home)?);
    }
    Ok(resources)
}

/// The roles of the application.
pub(super) fn runtime(app: &SecretsApp, login: &Login, home: &Home) -> Result<Vec<Resource>, Error> {
    let policies = vec!["default".to_owned(), names::app(app)];
    login.roles.iter().map(|it| role(&object(app, login.method, it, policies.clone()), home)).collect()
}

fn object(app: &SecretsApp, method: Method, role: &RuntimeRole, policies: Vec<String>) -> BaoAuthRole {
    let runtime = &app.spec.runtime;
    let spec = spec(&runtime.mount, policies, Some(&runtime.token_ttl));
    let spec = match method {
        Method::Kubernetes => BaoAuthRoleSpec { kubernetes: Some(kubernetes(app, role)), ..spec },
        Method::Jwt => BaoAuthRoleSpec { jwt: Some(jwt(app, role)), ..spec },
    };
    BaoAuthRole::new(&role.name, spec)
}

/// A role without a method.
pub(super) fn spec(mount: &str, policies: Vec<String>, ttl: Option<&LongDuration>) -> BaoAuthRoleSpec {
    BaoAuthRoleSpec {
        placement: Placement::default(),
        mount: mount.to_owned(),
        name: None,
        kubernetes: None,
        jwt: None,
        app_role: None,
        cert: None,
        user_pass: None,
        token: None,
        method: None,
        tokens: TokenSettings {
            token_policies: policies,
            token_ttl: ttl.cloned(),
            ..TokenSettings::default()
        },
        parameters: Parameters::default(),
        lifecycle: Lifecycle::default(),
    }
}

fn kubernetes(app: &SecretsApp, role: &RuntimeRole) -> KubernetesRole {
    let account = |it: &AppBinding| RoleServiceAccount {
        name: it.service_account.clone(),
        namespace: it.namespace.clone(),
    };
    KubernetesRole {
        service_accounts: role.bindings.iter().map(account).collect(),
        audience: Some(app.spec.runtime.audience.clone()),
        alias_name_source: steamer_api::AliasNameSource::default(),
    }
}

fn jwt(app: &SecretsApp, role: &RuntimeRole) -> JwtRole {
    let subject = |it: &AppBinding| format!("system:serviceaccount:{}:{}", it.namespace, it.service_account);
    let claims = BTreeMap::from([("sub".to_owned(), role.bindings.iter().map(subject).collect())]);
    jwt_role("sub", vec![app.spec.runtime.audience.clone()], claims)
}

/// A role that admits JWTs with one of the audiences and all of the claims.
pub(super) fn jwt_role(
    user_claim: &str,
    audiences: Vec<String>,
    claims: BTreeMap<String, Vec<String>>,
) -> JwtRole {
    JwtRole {
        role_type: steamer_api::JwtRoleType::JWT,
        bound_audiences: audiences,
        bound_subject: None,
        bound_claims: claims,
        bound_claims_type: steamer_api::BoundClaimsType::String,
        user_claim: user_claim.to_owned(),
        user_claim_json_pointer: false,
        groups_claim: None,
        claim_mappings: BTreeMap::new(),
        allowed_redirect_uris: Vec::new(),
        oidc_scopes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::bindings;
    use crate::secrets_app::fixture::{app as object, home};

    fn written(spec: Value, method: Method) -> Vec<(String, Value)> {
        let object = object(spec);
        let login = Login { method, roles: bindings::roles(&object, method) };
        let resources = all(&object, &login, &home()).unwrap();
        resources.into_iter().map(|it| (it.path, Value::Object(it.body.parameters))).collect()
    }

    #[test]
    fn the_role_of_the_guide() {
        let [(path, role)] = written(json!({}), Method::Kubernetes).try_into().unwrap();
        assert_eq!(path, "auth/kubernetes/role/web");
        for (name, value) in [
            ("bound_service_account_names", json!(["web"])),
            ("bound_service_account_namespaces", json!(["web"])),
            ("audience", json!("vault")),
            ("token_ttl", json!(3600)),
            ("token_policies", json!(["default", "web"])),
        ] {
            assert_eq!(role[name], value, "{name}");
        }
    }

    #[test]
    fn a_role_of_type_jwt_lists_the_subjects() {
        let spec = json!({"runtime": {"bindings": [{"serviceAccount": "a", "namespace": "x"}, {"serviceAccount": "b", "namespace": "y"}]}});
        let [(path, role)] = written(spec, Method::Jwt).try_into().unwrap();
        assert_eq!(path, "auth/kubernetes/role/web");
        assert_eq!(
            role["bound_claims"],
            json!({"sub": ["system:serviceaccount:x:a", "system:serviceaccount:y:b"]})
        );
        assert_eq!(role["bound_audiences"], json!(["vault"]));
    }

    #[test]
    fn a_repository_creates_its_roles_and_not_those_of_readers() {
        let reader = json!({"name": "web_reader", "serviceAccount": "r", "namespace": "n", "prefix": "p"});
        let spec = json!({
            "rolesOwner": "Repository", "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}, "readers": [reader],
        });
        let [(path, role)] = written(spec, Method::Kubernetes).try_into().unwrap();
        assert_eq!(
            (path.as_str(), &role["token_policies"]),
            ("auth/kubernetes/role/web_reader", &json!(["web_reader"]))
        );
    }

    #[rstest]
    #[case::steamer("Steamer")]
    #[case::repository("Repository")]
    fn a_role_of_an_administrator_is_refused(#[case] owner: &str) {
        let spec = json!({"app": "admin", "rolesOwner": owner, "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}});
        let object = object(spec);
        let login = Login { method: Method::Kubernetes, roles: bindings::roles(&object, Method::Kubernetes) };
        assert!(all(&object, &login, &home()).unwrap_err().to_string().contains("belongs to Steamer"));
    }
}
