//! Names and paths of the connections and roles of database engines in OpenBao, and records of their owners.

use kube::ResourceExt;
use serde_json::Value;
use steamer_api::{DatabaseConnection, DatabaseRole, OwnedResources};

/// The entry of a list of allowed roles that allows every role.
const EVERY_ROLE: &str = "*";

/// Path of the mount of a connection, without `/` at its ends.
pub(crate) fn mount(connection: &DatabaseConnection) -> &str {
    connection.spec.mount.trim_matches('/')
}

/// Name of a connection in OpenBao.
pub(crate) fn connection(connection: &DatabaseConnection) -> String {
    connection.spec.name.clone().unwrap_or_else(|| connection.name_any())
}

/// Path of a connection.
pub(crate) fn connection_path(object: &DatabaseConnection) -> String {
    format!("{}/config/{}", mount(object), connection(object))
}

/// Name of a role in OpenBao.
pub(crate) fn role(role: &DatabaseRole) -> String {
    role.spec.name.clone().unwrap_or_else(|| role.name_any())
}

/// Path of a role in the mount of its connection.
pub(crate) fn role_path(object: &DatabaseRole, connection: &DatabaseConnection) -> String {
    format!("{}/{}", mount(connection), within_mount(object))
}

/// Path of the credentials of the role at a path. None for the path of another role.
pub(crate) fn credentials_path(object: &DatabaseRole, path: &str) -> Option<String> {
    let mount = path.strip_suffix(&within_mount(object))?.strip_suffix('/')?;
    let folder = if is_static(object) { "static-creds" } else { "creds" };
    Some(format!("{mount}/{folder}/{}", role(object)))
}

/// Path of a role, relative to the mount.
fn within_mount(object: &DatabaseRole) -> String {
    let folder = if is_static(object) { "static-roles" } else { "roles" };
    format!("{folder}/{}", role(object))
}

fn is_static(role: &DatabaseRole) -> bool {
    role.spec.static_user.is_some()
}

/// The roles in the parameter `allowed_roles` of a connection that OpenBao returned.
pub(crate) fn allowed_in(parameter: Option<&Value>) -> Vec<&str> {
    let roles = parameter.and_then(Value::as_array);
    roles.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Returns true if a list of allowed roles allows a role.
pub(crate) fn allows<'a>(allowed: impl IntoIterator<Item = &'a str>, role: &str) -> bool {
    allowed.into_iter().any(|it| it == EVERY_ROLE || it == role)
}

/// Returns true for the path of a resource that the object with that record owns.
pub(crate) fn owns(record: Option<&OwnedResources>, path: &str) -> bool {
    record.is_some_and(|owned| owned.resources.iter().any(|it| it.path == path && !it.pending))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use steamer_api::OwnedResource;

    use super::*;

    fn connection_at(mount: &str) -> DatabaseConnection {
        let spec =
            json!({"clusterRef": {"name": "main"}, "mount": mount, "plugin": "postgresql-database-plugin"});
        DatabaseConnection::new("db", serde_json::from_value(spec).unwrap())
    }

    #[rstest]
    #[case::dynamic("/database/", json!({}), "database/roles/app", "database/creds/app")]
    #[case::named("database", json!({"name": "web"}), "database/roles/web", "database/creds/web")]
    #[case::static_user(
        "database",
        json!({"static": {"username": "u", "rotationPeriod": "1h"}}),
        "database/static-roles/app",
        "database/static-creds/app"
    )]
    #[case::mount_with_roles("team/roles/db", json!({}), "team/roles/db/roles/app", "team/roles/db/creds/app")]
    #[case::mount_with_static_roles(
        "team/static-roles/db",
        json!({}),
        "team/static-roles/db/roles/app",
        "team/static-roles/db/creds/app"
    )]
    fn the_path_of_the_credentials_is_beside_that_of_the_role(
        #[case] mount: &str,
        #[case] mut spec: Value,
        #[case] path: &str,
        #[case] expected: &str,
    ) {
        spec["connectionRef"] = json!({"name": "db"});
        let role = DatabaseRole::new("app", serde_json::from_value(spec).unwrap());
        assert_eq!(role_path(&role, &connection_at(mount)), path);
        assert_eq!(credentials_path(&role, path).as_deref(), Some(expected));
        assert_eq!(credentials_path(&role, "database/roles/other"), None);
    }

    #[rstest]
    #[case::owned("a", false, true)]
    #[case::announced("a", true, false)]
    #[case::other("b", false, false)]
    fn an_announced_resource_is_not_owned_yet(
        #[case] path: &str,
        #[case] pending: bool,
        #[case] expected: bool,
    ) {
        let entry = OwnedResource { path: path.to_owned(), pending, ..OwnedResource::default() };
        let record = OwnedResources { resources: vec![entry], ..OwnedResources::default() };
        assert_eq!(owns(Some(&record), "a"), expected);
        assert!(!owns(None, "a"));
    }
}
