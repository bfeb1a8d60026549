//! Check that the owner role and the database exist. Steamer has no access to the database, and OpenBao runs the statements of a
//! static role when the role is created. Those of this static role only read, so it changes no password, and its creation fails
//! while something is missing: the role of the database, which follows it, is then not created, and no credential is issued. With
//! `rolesOwner: Repository`, CI jobs create the role, and the check only reports.

use std::sync::Arc;

use steamer_api::{DatabaseConnection, LongDuration, SecretsApp, StaticUser};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::ObjectName;

use super::names;
use super::role_specs::static_role;
use crate::auth_mounts::ABSENT;
use crate::database_role::{role, statements};
use crate::general::{Found, Receipt, Resource};

/// Time between two runs of the statements: one year, because a later failure changes nothing.
const PERIOD: u64 = 8760 * 3600;
/// Code of PostgreSQL for a role that does not exist.
const NO_ROLE: &str = "SQLSTATE 42704";
/// Code of PostgreSQL for a database that does not exist.
const NO_DATABASE: &str = "SQLSTATE 3D000";

/// The static role.
///
/// # Errors
/// As [`role`].
pub(super) async fn resource(
    app: &SecretsApp,
    connection: &DatabaseConnection,
    found: &Found<'_>,
) -> Result<Resource, Error> {
    let check = Check::of(app, connection);
    let user = StaticUser {
        username: check.owner.clone(),
        rotation_period: LongDuration::from_secs(PERIOD),
        rotation_statements: vec![statements::existence(&check.owner, &check.database)],
    };
    let name = names::owner_check(&names::app(app));
    let resource = role(&static_role(&name, user), connection, found).await?;
    let title = format!("check of the owner role {}", check.owner);
    Ok(Resource { name: title, receipt: Some(Arc::new(check)), ..resource })
}

/// What is checked.
#[derive(Debug)]
struct Check {
    owner: String,
    database: String,
    connection: ObjectName,
}

impl Check {
    fn of(app: &SecretsApp, connection: &DatabaseConnection) -> Self {
        let connection = ObjectName::of(connection);
        Self { owner: names::owner_role(app), database: names::database(app), connection }
    }
}

impl Receipt for Check {
    fn failed(&self, error: OpenBao) -> Error {
        let Self { owner, database, connection } = self;
        let message = error.to_string();
        let is_about =
            |code: &str, name: &str| message.contains(code) && message.contains(&format!("\"{name}\""));
        let (problem, statement) = if is_about(NO_ROLE, owner) {
            (format!("the owner role {owner} does not exist"), format!("CREATE ROLE \"{owner}\" NOLOGIN"))
        } else if is_about(NO_DATABASE, database) {
            (
                format!("the database {database} does not exist"),
                format!("CREATE DATABASE \"{database}\" OWNER \"{owner}\""),
            )
        } else {
            return error.into();
        };
        Error::SourceMissing(
            format!(
                "database: {problem} in the server of DatabaseConnection {connection}, and Steamer creates no role of the database \
                 before: run {statement}, or correct the name"
            ),
            ABSENT,
        )
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::secrets_app::fixture::{app, connection};

    #[rstest]
    #[case::role(
        r#"failed to execute query: ERROR: role "web_role" does not exist (SQLSTATE 42704)"#,
        "database: the owner role web_role does not exist in the server of DatabaseConnection ns/db, and Steamer creates no role of \
         the database before: run CREATE ROLE \"web_role\" NOLOGIN, or correct the name"
    )]
    #[case::database(
        r#"ERROR: database "web" does not exist (SQLSTATE 3D000)"#,
        "database: the database web does not exist in the server of DatabaseConnection ns/db, and Steamer creates no role of the \
         database before: run CREATE DATABASE \"web\" OWNER \"web_role\", or correct the name"
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
        let app = app(json!({"database": {"connectionRef": {"name": "db"}}}));
        let error = OpenBao::Server { status: 500, path: "p".to_owned(), message: message.to_owned() };
        assert_eq!(Check::of(&app, &connection(json!({}))).failed(error).to_string(), expected);
    }
}
