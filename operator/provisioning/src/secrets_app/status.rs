//! Facts about an application in the status of its object.

use steamer_api::{AppBinding, AppCiStatus, AppDatabaseStatus, AppRoleStatus, SecretsApp, SecretsAppStatus};

use super::bindings::{Method, RuntimeRole, reader_role, roles};
use super::names::{self, is_repository};
use super::{database, inventory, policies};
use crate::general::Resource;

/// Writes the facts.
pub(super) fn write(app: &SecretsApp, status: &mut SecretsAppStatus, resources: &[Resource]) {
    status.app = Some(names::app(app));
    status.policies = policies::names(app);
    status.kv_path = Some(names::folder(app));
    let pods = pod_roles(app, resources);
    let readers = app.spec.readers.iter().map(reader_role);
    status.roles = pods.iter().cloned().chain(readers).map(|role| role_status(app, &role)).collect();
    status.ci = app
        .spec
        .ci
        .as_ref()
        .zip(names::ci_role(app))
        .map(|(ci, role)| AppCiStatus { role, login_path: format!("auth/{}/login", ci.mount) });
    status.database = database_status(app, resources);
    let credentials = status.database.as_ref().map(|it| it.credential_path.as_str());
    status.inventory = inventory::paths(app, &pods, credentials);
}

/// The roles of the pods, which CI jobs create with `rolesOwner: Repository`.
fn pod_roles(app: &SecretsApp, resources: &[Resource]) -> Vec<RuntimeRole> {
    let is_jwt = |it: &Resource| it.path == own_role(app) && it.body.parameters.contains_key("bound_claims");
    let is_jwt = !is_repository(app) && resources.iter().any(is_jwt);
    roles(app, if is_jwt { Method::Jwt } else { Method::Kubernetes })
}

fn own_role(app: &SecretsApp) -> String {
    names::role_path(app, &names::app(app))
}

fn role_status(app: &SecretsApp, role: &RuntimeRole) -> AppRoleStatus {
    let account = |it: &AppBinding| format!("{}/{}", it.namespace, it.service_account);
    AppRoleStatus {
        name: role.name.clone(),
        login_path: format!("auth/{}/login", app.spec.runtime.mount),
        service_accounts: role.bindings.iter().map(account).collect(),
    }
}

/// The policy of the pods carries the path of the credentials, which the connection determines.
fn database_status(app: &SecretsApp, resources: &[Resource]) -> Option<AppDatabaseStatus> {
    let connection = database::connection_of(app)?;
    Some(AppDatabaseStatus {
        credential_path: resources.first()?.stamp.clone()?,
        name: names::database(app),
        owner_role: names::owner_role(app),
        connection: Some(connection.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::secrets_app::fixture::app as object;

    fn status(spec: Value, claims: bool) -> SecretsAppStatus {
        let app = object(spec);
        let policy =
            Resource { stamp: Some("postgres/creds/web".to_owned()), ..Resource::at("", "p", Map::new()) };
        let parameters = if claims { json!({"bound_claims": {}}) } else { json!({}) };
        let role = Resource::at("", own_role(&app), parameters.as_object().unwrap().clone());
        let mut status = SecretsAppStatus::default();
        write(&app, &mut status, &[policy, role]);
        status
    }

    #[rstest]
    #[case::kubernetes(false, &["web", "web.y"])]
    #[case::jwt(true, &["web"])]
    fn the_status_names_roles_and_paths(#[case] claims: bool, #[case] expected: &[&str]) {
        let spec = json!({
            "database": {"connectionRef": {"name": "db"}}, "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}},
            "runtime": {"bindings": [{"serviceAccount": "a", "namespace": "x"}, {"serviceAccount": "b", "namespace": "y"}]},
        });
        let status = status(spec, claims);
        assert_eq!(status.roles.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(status.policies, ["web", "web-ops"]);
        assert_eq!(status.kv_path.as_deref(), Some("kvv2/web"));
        assert_eq!(status.ci.unwrap().login_path, "auth/gitea_jwt/login");
        let database = status.database.unwrap();
        assert_eq!(database.credential_path, "postgres/creds/web");
        assert_eq!(database.connection.as_deref(), Some("ns/db"));
    }

    #[test]
    fn an_application_without_a_database_has_no_credentials() {
        let status = status(json!({"identityGroup": {"enabled": false}}), false);
        assert_eq!((status.database, status.ci), (None, None));
        assert_eq!(status.policies, ["web"]);
    }
}
