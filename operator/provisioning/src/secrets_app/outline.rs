//! Resources of an application as far as its spec determines them: their requests, for a message about missing rights, and those
//! that the application claims before OpenBao is asked.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Map;
use steamer_api::{DatabaseConnection, SecretsApp};

use super::bindings::{self, Method as Login};
use super::database::{role_names, settings};
use super::names::{self, is_repository, own};
use super::policies;
use crate::database_names::{connection_path, mount};
use crate::engine::Lookup;
use crate::general::{Resource, requests_of};
use crate::write::{Request, policy_path};

/// The requests.
pub(super) fn requests(app: &SecretsApp, lookup: &Lookup<'_>) -> Vec<Request> {
    let mut paths = rights(app);
    paths.extend(roles(app));
    let mut reads = references(app);
    if let Some(connection) = connection(app, lookup) {
        paths.extend(of_database(app, &connection));
        reads.push(connection_path(&connection));
    }
    let owned = paths.into_iter().flat_map(|path| requests_of(&Resource::at("", path, Map::new())));
    let listed = is_repository(app).then(|| Request::list(format!("auth/{}/role", app.spec.runtime.mount)));
    owned.chain(reads.iter().map(|path| Request::new(&Method::GET, path))).chain(listed).collect()
}

/// Paths of the resources that the application claims. Empty for a name that no application can have. Only OpenBao knows the type
/// of the mount at which pods log in, which decides whether there is a role for each namespace: these names are claimed in any
/// case, so an application at a mount of another type reserves names that it never creates.
pub(super) fn claims(app: &SecretsApp, connection: Option<&DatabaseConnection>) -> Vec<String> {
    if names::check(app).is_err() {
        return Vec::new();
    }
    let [check, role] = connection.map(|it| of_database(app, it).map(Some)).unwrap_or_default();
    let has_check = settings(app).is_some_and(|it| !it.create_owner_role);
    let mut paths = rights(app);
    paths.extend(other_roles(app));
    paths.extend(check.filter(|_| has_check));
    // Otherwise, CI jobs create them.
    if !is_repository(app) {
        paths.extend(pod_roles(app).into_iter().chain(role));
    }
    paths
}

/// Paths of the policies and of the group.
fn rights(app: &SecretsApp) -> Vec<String> {
    let mut paths: Vec<String> = policies::names(app).iter().map(|name| policy_path(name)).collect();
    paths.extend(names::group_path(app));
    paths
}

/// Paths of the check of the owner role, and of the role of the database.
fn of_database(app: &SecretsApp, connection: &DatabaseConnection) -> [String; 2] {
    let ([check, role], mount) = (role_names(app), mount(connection));
    [format!("{mount}/static-roles/{check}"), format!("{mount}/roles/{role}")]
}

/// The connection, if it allows the reference: a message must reveal nothing about another one.
fn connection(app: &SecretsApp, lookup: &Lookup<'_>) -> Option<Arc<DatabaseConnection>> {
    lookup.resolve(&settings(app)?.connection_ref, &own(app).namespace).ok()
}

/// Paths of the roles of pods, readers and jobs.
fn roles(app: &SecretsApp) -> Vec<String> {
    pod_roles(app).into_iter().chain(other_roles(app)).collect()
}

/// Paths of the roles of pods.
fn pod_roles(app: &SecretsApp) -> Vec<String> {
    bindings::roles(app, Login::Kubernetes).iter().map(|it| names::role_path(app, &it.name)).collect()
}

/// Paths of the roles of readers and jobs.
fn other_roles(app: &SecretsApp) -> Vec<String> {
    let readers = app.spec.readers.iter().map(|it| names::role_path(app, &it.name));
    readers.chain(names::ci_role_path(app)).collect()
}

/// Paths that are read to find what the spec refers to.
fn references(app: &SecretsApp) -> Vec<String> {
    let mounts = [&app.spec.runtime.mount].into_iter().chain(app.spec.ci.iter().map(|it| &it.mount));
    let mounts = mounts.map(|mount| format!("sys/auth/{mount}"));
    let policies = app.spec.ops.extra_policies.iter().map(|name| policy_path(name));
    let members = app.spec.identity_group.member_entities.iter().flatten();
    let members = members.map(|name| format!("identity/entity/name/{name}"));
    ["sys/mounts".to_owned()].into_iter().chain(mounts).chain(policies).chain(members).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::fixture::{app as object, connection};

    /// The policies and the group of `web`.
    const RIGHTS: [&str; 3] =
        ["sys/policies/acl/web", "sys/policies/acl/web-ops", "identity/group/name/web-ops"];

    fn database(settings: Value) -> Value {
        let mut database = json!({"connectionRef": {"name": "db"}});
        database.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        json!({"database": database})
    }

    #[rstest]
    #[case::without_a_database(json!({}), &["auth/kubernetes/role/web"])]
    #[case::database(
        database(json!({})),
        &["postgres/static-roles/web.owner", "auth/kubernetes/role/web", "postgres/roles/web"]
    )]
    #[case::own_owner_role(
        database(json!({"createOwnerRole": true})),
        &["auth/kubernetes/role/web", "postgres/roles/web"]
    )]
    #[case::disabled_database(database(json!({"enabled": false})), &["auth/kubernetes/role/web"])]
    #[case::jobs(
        json!({"ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}}),
        &["auth/gitea_jwt/role/gitea_cicd_web", "auth/kubernetes/role/web"]
    )]
    #[case::named_role_of_jobs(
        json!({"ci": {"role": "deploy", "audiences": ["a"], "boundClaims": {"r": ["x"]}}}),
        &["auth/gitea_jwt/role/deploy", "auth/kubernetes/role/web"]
    )]
    #[case::roles_of_the_repository(
        json!({"rolesOwner": "Repository", "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}}),
        &["auth/gitea_jwt/role/gitea_cicd_web"]
    )]
    fn the_spec_determines_the_claims(#[case] spec: Value, #[case] further: &[&str]) {
        let object = object(spec);
        let connection = settings(&object).map(|_| connection(json!({})));
        assert_eq!(claims(&object, connection.as_ref()), [&RIGHTS[..], further].concat());
    }

    #[test]
    fn the_policy_and_the_role_of_a_reader_are_claimed() {
        let reader = json!({"name": "x_conf", "serviceAccount": "r", "namespace": "n", "prefix": "p"});
        let paths = claims(&object(json!({"readers": [reader]})), None);
        for path in ["sys/policies/acl/x_conf", "auth/kubernetes/role/x_conf"] {
            assert!(paths.iter().any(|claimed| claimed == path), "{paths:?}");
        }
    }

    #[test]
    fn no_application_claims_names_that_are_not_its_own() {
        assert!(claims(&object(json!({"app": "web-ops"})), None).is_empty());
    }

    #[test]
    fn every_resource_and_every_reference_is_named() {
        let app = object(json!({
            "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}, "ops": {"extraPolicies": ["further"]},
            "readers": [{"name": "web_reader", "serviceAccount": "r", "namespace": "n", "prefix": "p"}],
        }));
        assert_eq!(
            roles(&app),
            [
                "auth/kubernetes/role/web",
                "auth/kubernetes/role/web_reader",
                "auth/gitea_jwt/role/gitea_cicd_web"
            ]
        );
        assert_eq!(
            references(&app),
            ["sys/mounts", "sys/auth/kubernetes", "sys/auth/gitea_jwt", "sys/policies/acl/further"]
        );
        assert_eq!(policies::names(&app), ["web", "web-ops", "web_reader"]);
    }
}
