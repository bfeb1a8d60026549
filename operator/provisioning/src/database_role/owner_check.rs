//! Check that the owner role, and the database, of a role exist. Steamer has no access to the database, and OpenBao runs the
//! statements of a static role when the role is created. Those of this static role only read, so it changes no password, and its
//! creation fails while something is missing: the role of the database, which follows it, is then not created, and no credential is
//! issued. With `rolesOwner: Repository` of a SecretsApp, CI jobs create the role, and the check only reports.

use std::sync::Arc;

use steamer_api::{DatabaseConnection, DatabaseRole, LongDuration, StaticUser};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::ObjectName;

use super::role::{listed, role};
use super::specs::static_role;
use super::statements;
use crate::auth_mounts::ABSENT;
use crate::database_names as names;
use crate::general::{Found, Receipt, Resource};

/// Time between two runs of the statements: one year, because a later failure changes nothing.
const PERIOD: u64 = 8760 * 3600;
/// Code of PostgreSQL for a role that does not exist.
const NO_ROLE: &str = "SQLSTATE 42704";
/// Code of PostgreSQL for a database that does not exist.
const NO_DATABASE: &str = "SQLSTATE 3D000";

/// What is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerCheck {
    /// Name of the static role.
    pub(crate) name: String,
    /// The owner role.
    pub(crate) owner: String,
    /// The database. None: only the owner role is checked.
    pub(crate) database: Option<String>,
    /// Field of the spec that states them, for messages.
    pub(crate) field: &'static str,
}

impl OwnerCheck {
    /// The check of a DatabaseRole. None without an owner role, and where Steamer cannot check it: the plugin is not that of
    /// PostgreSQL, or `allowedRoles` of the connection does not list the check.
    pub(crate) fn of(object: &DatabaseRole, connection: &DatabaseConnection) -> Option<Self> {
        let name = names::owner_check(object).filter(|_| names::is_postgresql(connection))?;
        let owner = object.spec.owner_role.clone()?;
        listed(connection, &name).is_ok().then_some(Self { name, owner, database: None, field: "ownerRole" })
    }

    /// Path of the static role.
    pub(crate) fn path(&self, connection: &DatabaseConnection) -> String {
        format!("{}/static-roles/{}", names::mount(connection), self.name)
    }

    /// The static role.
    ///
    /// # Errors
    /// As [`role`].
    pub(crate) async fn resource(
        self,
        connection: &DatabaseConnection,
        found: &Found<'_>,
    ) -> Result<Resource, Error> {
        let user = StaticUser {
            username: self.owner.clone(),
            rotation_period: LongDuration::from_secs(PERIOD),
            rotation_statements: vec![statements::existence(&self.owner, self.database.as_deref())],
        };
        let resource = role(&static_role(&self.name, user), connection, found).await?;
        let title = format!("check of the owner role {}", self.owner);
        let creation = Creation { check: self, connection: ObjectName::of(connection) };
        Ok(Resource { name: title, receipt: Some(Arc::new(creation)), ..resource })
    }
}

/// The creation of the static role.
#[derive(Debug)]
struct Creation {
    check: OwnerCheck,
    connection: ObjectName,
}

impl Creation {
    /// What is missing according to a message, and the statement that creates it.
    fn missing(&self, message: &str) -> Option<(String, String)> {
        let is_about =
            |code: &str, name: &str| message.contains(code) && message.contains(&format!("\"{name}\""));
        let OwnerCheck { owner, database, .. } = &self.check;
        if is_about(NO_ROLE, owner) {
            let statement = format!("CREATE ROLE {} NOLOGIN", statements::quoted(owner));
            return Some((format!("the owner role {owner} does not exist"), statement));
        }
        let database = database.as_ref().filter(|database| is_about(NO_DATABASE, database))?;
        let (named, owner) = (statements::quoted(database), statements::quoted(owner));
        let statement = format!("CREATE DATABASE {named} OWNER {owner}");
        Some((format!("the database {database} does not exist"), statement))
    }
}

impl Receipt for Creation {
    fn failed(&self, error: OpenBao) -> Error {
        let Some((problem, statement)) = self.missing(&error.to_string()) else {
            return error.into();
        };
        Error::SourceMissing(
            format!(
                "{}: {problem} in the server of DatabaseConnection {}, and Steamer does not write the database role until it exists: \
                 run {statement}, or correct the name",
                self.check.field, self.connection
            ),
            ABSENT,
        )
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn connection(changes: &Value) -> DatabaseConnection {
        let mut spec = json!({"clusterRef": {"name": "main"}, "mount": "database", "plugin": "postgresql-database-plugin"});
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut connection = DatabaseConnection::new("db", serde_json::from_value(spec).unwrap());
        connection.metadata.namespace = Some("ns".to_owned());
        connection
    }

    fn checked(role: Value, changes: Value) -> Option<OwnerCheck> {
        let mut spec = json!({"connectionRef": {"name": "db"}});
        spec.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
        let role = DatabaseRole::new("app", serde_json::from_value(spec).unwrap());
        OwnerCheck::of(&role, &connection(&changes))
    }

    #[rstest]
    #[case::computed_list(json!({"ownerRole": "app_rw"}), json!({}), true)]
    #[case::every_role(json!({"ownerRole": "app_rw"}), json!({"allowedRoles": ["*"]}), true)]
    #[case::listed(json!({"ownerRole": "app_rw"}), json!({"allowedRoles": ["app", "app.owner-337b432d"]}), true)]
    #[case::not_listed(json!({"ownerRole": "app_rw"}), json!({"allowedRoles": ["app"]}), false)]
    #[case::other_plugin(json!({"ownerRole": "app_rw"}), json!({"plugin": "mysql-database-plugin"}), false)]
    #[case::no_owner(json!({"creationStatements": ["CREATE"]}), json!({}), false)]
    fn an_owner_role_is_checked_where_the_connection_lets_the_check_run(
        #[case] role: Value,
        #[case] changes: Value,
        #[case] expected: bool,
    ) {
        let check = OwnerCheck {
            name: "app.owner-337b432d".to_owned(),
            owner: "app_rw".to_owned(),
            database: None,
            field: "ownerRole",
        };
        assert_eq!(checked(role, changes), expected.then_some(check));
    }

    #[test]
    fn another_owner_role_has_another_check() {
        let name = |owner: &str| checked(json!({"ownerRole": owner}), json!({})).unwrap().name;
        assert_ne!(name("a"), name("b"));
    }

    fn explained(database: Option<&str>, message: &str) -> String {
        let check = OwnerCheck {
            name: "web.owner".to_owned(),
            owner: "web_role".to_owned(),
            database: database.map(str::to_owned),
            field: "database",
        };
        let creation = Creation { check, connection: ObjectName::of(&connection(&json!({}))) };
        let error = OpenBao::Server { status: 500, path: "p".to_owned(), message: message.to_owned() };
        creation.failed(error).to_string()
    }

    #[rstest]
    #[case::role(
        r#"failed to execute query: ERROR: role "web_role" does not exist (SQLSTATE 42704)"#,
        "database: the owner role web_role does not exist in the server of DatabaseConnection ns/db, and Steamer does not write the \
         database role until it exists: run CREATE ROLE \"web_role\" NOLOGIN, or correct the name"
    )]
    #[case::database(
        r#"ERROR: database "web" does not exist (SQLSTATE 3D000)"#,
        "database: the database web does not exist in the server of DatabaseConnection ns/db, and Steamer does not write the \
         database role until it exists: run CREATE DATABASE \"web\" OWNER \"web_role\", or correct the name"
    )]
    #[case::other_name(
        r#"ERROR: type "x" does not exist (SQLSTATE 42704)"#,
        "OpenBao returned status 500 for p: ERROR: type \"x\" does not exist (SQLSTATE 42704)"
    )]
    #[case::other("connection refused", "OpenBao returned status 500 for p: connection refused")]
    fn what_is_missing_is_reported_with_the_statement_that_creates_it(
        #[case] message: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(explained(Some("web"), message), expected);
    }

    #[test]
    fn a_database_that_is_not_checked_is_not_reported() {
        let message = r#"ERROR: database "web" does not exist (SQLSTATE 3D000)"#;
        assert!(explained(None, message).starts_with("OpenBao returned status 500"));
    }
}
