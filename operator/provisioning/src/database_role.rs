//! DatabaseRole: a role of a database engine.

mod parameters;
mod statements;

use std::sync::Arc;

use kube::ResourceExt;
use reqwest::Method;
use serde_json::Value;
use steamer_api::{DatabaseConnection, DatabaseRole, DatabaseRoleStatus};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::{Key, ObjectName};

use crate::database_connection::{self as connection, allowed_in};
use crate::general::{Found, General, Resource, Site};
use crate::relations::{children, connection_of};

/// A role of this name allows all of them.
const EVERY_ROLE: &str = "*";

impl General for DatabaseRole {
    const NAME: &'static str = "databaserole";

    fn site(&self) -> Site<'_> {
        Site::Connection(&self.spec.connection_ref)
    }

    fn title(&self) -> String {
        let kind = if self.spec.static_user.is_some() { "static database role" } else { "database role" };
        format!("{kind} {}", name(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let own = self.namespace().unwrap_or_default();
        let connection: Arc<DatabaseConnection> = found.lookup().resolve(&self.spec.connection_ref, &own)?;
        listed(&connection, &name(self))?;
        let path = path(self, &connection);
        let is_recorded = found
            .owned
            .is_some_and(|owned| owned.resources.iter().any(|it| it.path == path && it.digest.is_some()));
        if !is_recorded {
            check_allowed(&name(self), &connection, found).await?;
        }
        let parameters = parameters::of(&self.spec, &connection::name(&connection))?;
        let mut resource = Resource::at(self.title(), path, parameters);
        resource.fixed = parameters::fixed(is_recorded);
        resource.ordered = statements::NAMES.to_vec();
        Ok(vec![resource])
    }

    fn facts(&self, status: &mut DatabaseRoleStatus, resources: &[Resource]) {
        let path = resources.first().map(|it| credentials(&it.path));
        status.credential_path = path;
    }

    fn parents(&self) -> Vec<Key> {
        vec![children::<Self>(connection_of(self))]
    }
}

/// Checks that OpenBao has the connection and lets the role use it. Without it, a static role is refused, and the first
/// credential of another one.
async fn check_allowed(role: &str, connection: &DatabaseConnection, found: &Found<'_>) -> Result<(), Error> {
    let object = ObjectName::of(connection);
    match found.session.request_any(Method::GET, &connection::path(connection), None).await {
        Ok(answer) if allows(&answer, role) => Ok(()),
        Ok(_) => Err(Error::Waiting(format!("waits until DatabaseConnection {object} allows the role"))),
        Err(OpenBao::NotFound { .. }) => {
            Err(Error::Waiting(format!("DatabaseConnection {object} does not exist in OpenBao yet")))
        }
        Err(error) => Err(error.into()),
    }
}

fn allows(answer: &Value, role: &str) -> bool {
    allowed_in(answer).into_iter().any(|it| it == EVERY_ROLE || it == role)
}

/// Refuses a role that the spec of the connection does not list.
fn listed(connection: &DatabaseConnection, role: &str) -> Result<(), Error> {
    let is_listed = |names: &Vec<String>| names.iter().any(|it| it == EVERY_ROLE || it == role);
    if connection.spec.allowed_roles.as_ref().is_none_or(is_listed) {
        return Ok(());
    }
    let object = ObjectName::of(connection);
    Err(Error::NotAllowed(format!(
        "allowedRoles of DatabaseConnection {object} does not contain {role}: add it, or remove allowedRoles to allow every \
         DatabaseRole that refers to the connection"
    )))
}

/// Name of the role in OpenBao.
pub(crate) fn name(role: &DatabaseRole) -> String {
    role.spec.name.clone().unwrap_or_else(|| role.name_any())
}

fn path(role: &DatabaseRole, connection: &DatabaseConnection) -> String {
    let folder = if role.spec.static_user.is_some() { "static-roles" } else { "roles" };
    format!("{}/{folder}/{}", connection::mount(connection), name(role))
}

/// Path of the credentials of a role.
fn credentials(path: &str) -> String {
    match path.rsplit_once("/static-roles/") {
        Some((mount, name)) => format!("{mount}/static-creds/{name}"),
        None => path
            .rsplit_once("/roles/")
            .map_or_else(String::new, |(mount, name)| format!("{mount}/creds/{name}")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("database/roles/app", "database/creds/app")]
    #[case("team/roles/db/roles/app", "team/roles/db/creds/app")]
    #[case("database/static-roles/app", "database/static-creds/app")]
    fn the_path_of_the_credentials_is_beside_that_of_the_role(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(credentials(path), expected);
    }

    #[rstest]
    #[case::by_reference(json!(null), true)]
    #[case::listed(json!(["other", "app"]), true)]
    #[case::every_role(json!(["*"]), true)]
    #[case::others(json!(["other"]), false)]
    #[case::none(json!([]), false)]
    fn a_role_that_the_connection_does_not_list_is_refused(#[case] roles: Value, #[case] expected: bool) {
        let mut spec = json!({"clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin"});
        if !roles.is_null() {
            spec["allowedRoles"] = roles.clone();
        }
        let connection = DatabaseConnection::new("db", serde_json::from_value(spec).unwrap());
        assert_eq!(listed(&connection, "app").is_ok(), expected);
        let answer = json!({"data": {"allowed_roles": roles}});
        assert_eq!(allows(&answer, "app"), expected && !roles.is_null());
    }
}
