//! Requests of an application as far as its spec determines them, for a message about missing rights.

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
    let mut paths: Vec<String> = policies::names(app).iter().map(|name| policy_path(name)).collect();
    paths.extend(app.spec.identity_group.enabled.then(|| format!("identity/group/name/{}", names::ops(app))));
    paths.extend(roles(app));
    let mut reads = references(app);
    if let Some(connection) = connection(app, lookup) {
        let [check, role] = role_names(app);
        let mount = mount(&connection);
        paths.extend([format!("{mount}/static-roles/{check}"), format!("{mount}/roles/{role}")]);
        reads.push(connection_path(&connection));
    }
    let owned = paths.into_iter().flat_map(|path| requests_of(&Resource::at("", path, Map::new())));
    let listed = is_repository(app).then(|| Request::list(format!("auth/{}/role", app.spec.runtime.mount)));
    owned.chain(reads.iter().map(|path| Request::new(&Method::GET, path))).chain(listed).collect()
}

/// The connection, if it allows the reference: a message must reveal nothing about another one.
fn connection(app: &SecretsApp, lookup: &Lookup<'_>) -> Option<Arc<DatabaseConnection>> {
    lookup.resolve(&settings(app)?.connection_ref, &own(app).namespace).ok()
}

/// Paths of the roles of pods, readers and jobs.
fn roles(app: &SecretsApp) -> Vec<String> {
    let own = bindings::roles(app, Login::Kubernetes).into_iter().map(|it| it.name);
    let readers = app.spec.readers.iter().map(|it| it.name.clone());
    let path = |name| format!("auth/{}/role/{name}", app.spec.runtime.mount);
    let jobs = app.spec.ci.as_ref().zip(names::ci_role(app));
    let jobs = jobs.map(|(ci, name)| format!("auth/{}/role/{name}", ci.mount));
    own.chain(readers).map(path).chain(jobs).collect()
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
    use serde_json::json;

    use super::*;
    use crate::secrets_app::fixture::app as object;

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
