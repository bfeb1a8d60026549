//! Paths of an application, with the roles and groups that may write and read them.

use steamer_api::{AppPath, AppPathStatus, PathVerb, SecretsApp};

use super::bindings::RuntimeRole;
use super::names;

/// The paths. `roles` are those of the pods, and `credentials` is the path of the credentials of the database.
pub(super) fn paths(
    app: &SecretsApp,
    roles: &[RuntimeRole],
    credentials: Option<&str>,
) -> Vec<AppPathStatus> {
    let folder = names::folder(app);
    let pods: Vec<String> = roles.iter().map(|role| names::role_path(app, &role.name)).collect();
    let ops = ops(app);
    let mut paths = vec![AppPathStatus {
        path: format!("{folder}/*"),
        written_by: ops.clone(),
        read_by: pods.iter().chain(&ops).cloned().collect(),
    }];
    paths.extend(app.spec.readers.iter().map(|reader| AppPathStatus {
        path: format!("{folder}/{}/*", reader.prefix),
        written_by: ops.clone(),
        read_by: [names::role_path(app, &reader.name)].iter().chain(&pods).chain(&ops).cloned().collect(),
    }));
    let of_jobs = if names::is_repository(app) { &pods[..] } else { &[] };
    let of_database = credentials.filter(|_| names::is_repository(app)).and_then(database_role);
    paths.extend(of_jobs.iter().cloned().chain(of_database).map(|path| AppPathStatus {
        path,
        written_by: ops.clone(),
        read_by: ops.clone(),
    }));
    paths.extend(credentials.map(|path| AppPathStatus {
        path: path.to_owned(),
        written_by: Vec::new(),
        read_by: pods,
    }));
    paths.extend(app.spec.ops.extra_paths.iter().map(|extra| of_extra(extra, &ops)));
    paths
}

/// Path of the role of the database whose credentials have a path.
fn database_role(credentials: &str) -> Option<String> {
    credentials.rsplit_once("/creds/").map(|(mount, role)| format!("{mount}/roles/{role}"))
}

/// The role of the jobs, and the group of people with their rights.
fn ops(app: &SecretsApp) -> Vec<String> {
    names::ci_role_path(app).into_iter().chain(names::group_path(app)).collect()
}

fn of_extra(extra: &AppPath, ops: &[String]) -> AppPathStatus {
    let reads = |verb: &PathVerb| matches!(verb, PathVerb::Read | PathVerb::List);
    let allowed = |is_allowed: bool| if is_allowed { ops.to_vec() } else { Vec::new() };
    AppPathStatus {
        path: extra.path.clone(),
        written_by: allowed(extra.verbs.iter().any(|verb| !reads(verb))),
        read_by: allowed(extra.verbs.iter().any(reads)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secrets_app::bindings::{Method, roles};
    use crate::secrets_app::fixture::app as object;

    #[test]
    fn each_path_names_who_may_write_and_read_it() {
        let app = object(json!({
            "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}},
            "readers": [{"name": "web_reader", "serviceAccount": "reader", "namespace": "x", "prefix": "shared"}],
            "ops": {"extraPaths": [
                {"path": "kvv1/state", "verbs": ["read"]}, {"path": "kvv1/cloud/web/*", "verbs": ["create", "list"]},
            ]},
        }));
        let paths = paths(&app, &roles(&app, Method::Kubernetes), Some("postgres/creds/web"));
        let (pods, jobs, people) =
            ("auth/kubernetes/role/web", "auth/gitea_jwt/role/gitea_cicd_web", "identity/group/name/web-ops");
        let expected = json!([
            {"path": "kvv2/web/*", "writtenBy": [jobs, people], "readBy": [pods, jobs, people]},
            {"path": "kvv2/web/shared/*", "writtenBy": [jobs, people], "readBy": ["auth/kubernetes/role/web_reader", pods, jobs, people]},
            {"path": "postgres/creds/web", "readBy": [pods]},
            {"path": "kvv1/state", "readBy": [jobs, people]},
            {"path": "kvv1/cloud/web/*", "writtenBy": [jobs, people], "readBy": [jobs, people]},
        ]);
        assert_eq!(serde_json::to_value(paths).unwrap(), expected);
    }

    #[test]
    fn jobs_write_the_roles_of_a_repository() {
        let app = object(json!({
            "ci": {"audiences": ["a"], "boundClaims": {"r": ["x"]}}, "rolesOwner": "Repository",
            "identityGroup": {"enabled": false},
        }));
        let paths = paths(&app, &roles(&app, Method::Kubernetes), Some("creds/postgres/creds/web"));
        let (pods, jobs) = ("auth/kubernetes/role/web", "auth/gitea_jwt/role/gitea_cicd_web");
        let expected = json!([
            {"path": "kvv2/web/*", "writtenBy": [jobs], "readBy": [pods, jobs]},
            {"path": pods, "writtenBy": [jobs], "readBy": [jobs]},
            {"path": "creds/postgres/roles/web", "writtenBy": [jobs], "readBy": [jobs]},
            {"path": "creds/postgres/creds/web", "readBy": [pods]},
        ]);
        assert_eq!(serde_json::to_value(paths).unwrap(), expected);
    }
}
