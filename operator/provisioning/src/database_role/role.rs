//! The role of a spec in the mount of its connection.

use reqwest::Method;
use serde_json::{Map, Value};
use steamer_api::{DatabaseConnection, DatabaseRole};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::ObjectName;

use super::{parameters, statements};
use crate::database_names::{self as names, allowed_in};
use crate::general::{Found, General, Resource};

/// The role of a spec in the mount of its connection.
///
/// # Errors
/// [`Error::NotAllowed`] and [`Error::Waiting`] while the connection does not allow the role.
pub(crate) async fn role(
    object: &DatabaseRole,
    connection: &DatabaseConnection,
    found: &Found<'_>,
) -> Result<Resource, Error> {
    let name = names::role(object);
    listed(connection, &name)?;
    let path = names::role_path(object, connection);
    let is_owned = names::owns(found.owned, &path);
    if !is_owned {
        check_allowed(&name, connection, found).await?;
    }
    Ok(resource(object, (path, parameters_of(object, connection)?), is_owned))
}

/// The parameters of a role.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that a field sets.
pub(crate) fn parameters_of(
    object: &DatabaseRole,
    connection: &DatabaseConnection,
) -> Result<Map<String, Value>, Error> {
    parameters::of(&object.spec, &names::connection(connection))
}

/// The role at a path.
fn resource(
    role: &DatabaseRole,
    (path, parameters): (String, Map<String, Value>),
    is_owned: bool,
) -> Resource {
    let mut resource = Resource::at(role.title(), path, parameters);
    resource.sent_fixed = parameters::fixed(is_owned);
    resource.restricting = parameters::restricting(&role.spec);
    resource.open_maps = parameters::OPEN_MAPS.to_vec();
    resource.ordered = statements::NAMES.to_vec();
    resource
}

/// Checks that OpenBao has the connection and lets the role use it. Without it, a static role is refused, and the first
/// credential of another one.
async fn check_allowed(role: &str, connection: &DatabaseConnection, found: &Found<'_>) -> Result<(), Error> {
    let object = ObjectName::of(connection);
    match found.session.request_any(Method::GET, &names::connection_path(connection), None).await {
        Ok(answer) if allows(&answer, role) => Ok(()),
        Ok(_) => Err(Error::Waiting(format!("waits until DatabaseConnection {object} allows the role"))),
        Err(OpenBao::NotFound { .. }) => {
            Err(Error::Waiting(format!("DatabaseConnection {object} does not exist in OpenBao yet")))
        }
        Err(error) => Err(error.into()),
    }
}

fn allows(answer: &Value, role: &str) -> bool {
    names::allows(allowed_in(answer.pointer("/data/allowed_roles")), role)
}

/// Refuses a role that the spec of the connection does not list.
pub(super) fn listed(connection: &DatabaseConnection, role: &str) -> Result<(), Error> {
    let is_listed = |allowed: &Vec<String>| names::allows(allowed.iter().map(String::as_str), role);
    if connection.spec.allowed_roles.as_ref().is_none_or(is_listed) {
        return Ok(());
    }
    let object = ObjectName::of(connection);
    Err(Error::NotAllowed(format!(
        "allowedRoles of DatabaseConnection {object} does not contain {role}: add it, or remove allowedRoles to allow every \
         DatabaseRole that refers to the connection"
    )))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn change(spec: Value, is_owned: bool) -> Value {
        let role = DatabaseRole::new("app", serde_json::from_value(spec).unwrap());
        let parameters = parameters::of(&role.spec, "db").unwrap();
        let resource = resource(&role, ("database/static-roles/app".to_owned(), parameters), is_owned);
        Value::Object(resource.change_body().parameters)
    }

    #[rstest]
    fn a_change_of_a_static_role_contains_what_openbao_requires(#[values(true, false)] is_owned: bool) {
        let spec =
            json!({"connectionRef": {"name": "db"}, "static": {"username": "app", "rotationPeriod": "24h"}});
        let expected = json!({
            "username": "app", "db_name": "db", "rotation_period": 86_400, "rotation_statements": [],
        });
        assert_eq!(change(spec, is_owned), expected);
    }

    #[rstest]
    fn a_change_of_a_role_contains_the_connection(#[values(true, false)] is_owned: bool) {
        let spec = json!({"connectionRef": {"name": "db"}, "creationStatements": ["CREATE"]});
        assert_eq!(change(spec, is_owned)["db_name"], "db");
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
