//! Names and paths of the connections and roles of database engines in OpenBao, and records of their owners.

use kube::ResourceExt;
use serde_json::Value;
use steamer_api::{DatabaseConnection, DatabaseRole, OwnedResources};
use steamer_core::digest::digest;
use steamer_core::error::Error;

/// The entry of a list of allowed roles that allows every role.
const EVERY_ROLE: &str = "*";

/// Plugin that runs the statements that Steamer generates.
const POSTGRESQL: &str = "postgresql";
/// Text between the name of a role and the digest of its owner role in the name of its check.
const OWNER_CHECK: &str = ".owner-";
/// Characters of the digest of an owner role in the name of its check.
const DIGEST: usize = 8;

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

/// Returns true for a connection with a plugin of PostgreSQL.
pub(crate) fn is_postgresql(connection: &DatabaseConnection) -> bool {
    connection.spec.plugin.contains(POSTGRESQL)
}

/// Name of the static role that checks the owner role of a role. Each owner role has another one, because OpenBao cannot change
/// the user of a static role. None without an owner role.
pub(crate) fn owner_check(object: &DatabaseRole) -> Option<String> {
    let owner = object.spec.owner_role.as_ref()?;
    Some(format!("{}{OWNER_CHECK}{}", role(object), &digest(owner.as_bytes())[..DIGEST]))
}

/// Refuses the names of the static roles that check owner roles.
///
/// # Errors
/// [`Error::Invalid`] for such a name.
pub(crate) fn refuse_reserved(name: &str) -> Result<(), Error> {
    let is_hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = |text: &str| text.len() == DIGEST && text.bytes().all(is_hex);
    match name.rsplit_once(OWNER_CHECK) {
        Some((_, digest)) if is_digest(digest) => Err(Error::Invalid(format!(
            "database role {name} has a name that is reserved for the check of an owner role: choose a name that does not end with \
             {OWNER_CHECK} and {DIGEST} hexadecimal digits"
        ))),
        _ => Ok(()),
    }
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
    record.is_some_and(|owned| owned.owns(path))
}

/// Returns true if the object with that record owns a check of a role, of any owner role.
pub(crate) fn owns_check(record: Option<&OwnedResources>, object: &DatabaseRole) -> bool {
    let start = format!("/static-roles/{}{OWNER_CHECK}", role(object));
    record.is_some_and(|owned| owned.resources.iter().any(|it| it.path.contains(&start) && !it.pending))
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
    #[case::check("app.owner-0123abcd", true)]
    #[case::other_digits("app.owner-0123abcg", false)]
    #[case::upper_case("app.owner-0123ABCD", false)]
    #[case::shorter("app.owner-0123abc", false)]
    #[case::longer("app.owner-0123abcd0", false)]
    #[case::plain("app", false)]
    fn the_names_of_checks_are_reserved(#[case] name: &str, #[case] is_reserved: bool) {
        assert_eq!(refuse_reserved(name).is_err(), is_reserved);
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

    #[rstest]
    #[case::former_owner("database/static-roles/app.owner-0123abcd", false, true)]
    #[case::announced("database/static-roles/app.owner-0123abcd", true, false)]
    #[case::role("database/roles/app", false, false)]
    #[case::other_role("database/static-roles/my-app.owner-0123abcd", false, false)]
    fn a_check_belongs_to_its_role(#[case] path: &str, #[case] pending: bool, #[case] expected: bool) {
        let entry = OwnedResource { path: path.to_owned(), pending, ..OwnedResource::default() };
        let record = OwnedResources { resources: vec![entry], ..OwnedResources::default() };
        let spec = json!({"connectionRef": {"name": "db"}, "ownerRole": "app_rw"});
        let role = DatabaseRole::new("app", serde_json::from_value(spec).unwrap());
        assert_eq!(owns_check(Some(&record), &role), expected);
    }
}
