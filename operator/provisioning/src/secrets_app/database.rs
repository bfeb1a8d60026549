//! The role of the database of an application.

use std::sync::Arc;

use kube::ResourceExt;
use serde_json::{Map, Value};
use steamer_api::rules::is_no_app_path;
use steamer_api::{AppDatabase, DatabaseConnection, DatabaseRole, DatabaseRoleSpec, SecretsApp};
use steamer_core::error::Error;
use steamer_core::references::target;
use steamer_runtime::ObjectName;

use super::names::{self, is_repository, own};
use crate::database_names::{self, is_postgresql, mount};
use crate::database_role::owner_check::OwnerCheck;
use crate::database_role::specs::empty;
use crate::database_role::{parameters_of, role, statements};
use crate::engine::Lookup;
use crate::general::{Found, Home, Resource, Site};

/// Role of the database.
pub(super) struct Database {
    /// The connection.
    pub(super) connection: Arc<DatabaseConnection>,
    /// Path of the role.
    pub(super) role_path: String,
    /// Path of the credentials.
    pub(super) credentials: String,
    /// Parameters of the role.
    pub(super) parameters: Map<String, Value>,
}

/// The settings of the database, unless it is disabled.
pub(super) fn settings(app: &SecretsApp) -> Option<&AppDatabase> {
    app.spec.database.as_ref().filter(|it| it.enabled)
}

/// The connection that an application refers to.
pub(crate) fn connection_of(app: &SecretsApp) -> Option<ObjectName> {
    Some(target(&settings(app)?.connection_ref, &app.namespace().unwrap_or_default()))
}

/// Names of the roles that an application has in the mount of its connection.
pub(crate) fn role_names(app: &SecretsApp) -> [String; 2] {
    let app = names::app(app);
    [names::owner_check(&app), app]
}

impl Database {
    /// Finds the connection and computes the role. None without a database.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a connection that is elsewhere. Any error of a reference.
    pub(super) fn of(app: &SecretsApp, found: &Found<'_>) -> Result<Option<Self>, Error> {
        let connection = connection(app, found.home, &found.lookup())?;
        connection.map(|connection| Self::with(app, connection)).transpose()
    }

    /// The role at a connection.
    pub(super) fn with(app: &SecretsApp, connection: Arc<DatabaseConnection>) -> Result<Self, Error> {
        let object = object(app);
        let role_path = database_names::role_path(&object, &connection);
        let credentials = database_names::credentials_path(&object, &role_path).unwrap_or_default();
        let parameters = parameters_of(&object, &connection)?;
        Ok(Self { connection, role_path, credentials, parameters })
    }

    /// The check of the owner role, which comes before the role.
    ///
    /// # Errors
    /// As [`role`].
    pub(super) async fn check(&self, app: &SecretsApp, found: &Found<'_>) -> Result<Option<Resource>, Error> {
        if settings(app).is_none_or(|it| it.create_owner_role) {
            return Ok(None);
        }
        owner_check(app).resource(&self.connection, found).await.map(Some)
    }

    /// The role. With `rolesOwner: Repository`, CI jobs create it.
    ///
    /// # Errors
    /// As [`role`].
    pub(super) async fn role(&self, app: &SecretsApp, found: &Found<'_>) -> Result<Option<Resource>, Error> {
        if is_repository(app) {
            return Ok(None);
        }
        role(&object(app), &self.connection, found).await.map(Some)
    }
}

/// The connection of an application in that home. None without a database.
///
/// # Errors
/// As [`Database::of`].
pub(super) fn connection(
    app: &SecretsApp,
    own_home: &Home,
    lookup: &Lookup<'_>,
) -> Result<Option<Arc<DatabaseConnection>>, Error> {
    let Some(settings) = settings(app) else {
        return Ok(None);
    };
    let connection: Arc<DatabaseConnection> =
        lookup.resolve(&settings.connection_ref, &own(app).namespace)?;
    let home = Home::of(&*connection, &Site::Placed(&connection.spec.placement), lookup)?;
    check_place(&connection, &home, own_home)?;
    Ok(Some(connection))
}

/// Checks that a connection is in the root namespace of the cluster of the application, in a mount that a policy can name, and of a
/// plugin of PostgreSQL.
fn check_place(connection: &DatabaseConnection, home: &Home, own: &Home) -> Result<(), Error> {
    let name = ObjectName::of(connection);
    let problem =
        if ObjectName::of(&*home.cluster) != ObjectName::of(&*own.cluster) || !home.namespace.is_root() {
            format!("is not in the root namespace of OpenBaoCluster {}", ObjectName::of(&*own.cluster))
        } else if is_no_app_path(mount(connection)) {
            "has a mount with other characters than letters, digits, -, _, . and /".to_owned()
        } else if !is_postgresql(connection) {
            format!("has the plugin {} instead of one of PostgreSQL", connection.spec.plugin)
        } else {
            return Ok(());
        };
    Err(Error::Invalid(format!(
        "database.connectionRef: DatabaseConnection {name} {problem}: refer to another one"
    )))
}

/// The check of the owner role and of the database.
fn owner_check(app: &SecretsApp) -> OwnerCheck {
    OwnerCheck {
        name: names::owner_check(&names::app(app)),
        owner: names::owner_role(app),
        database: Some(names::database(app)),
        field: "database",
    }
}

/// The role as a DatabaseRole would have it.
fn object(app: &SecretsApp) -> DatabaseRole {
    let spec = settings(app).map(|settings| spec(app, settings));
    DatabaseRole::new(&names::app(app), spec.unwrap_or_else(empty))
}

fn spec(app: &SecretsApp, settings: &AppDatabase) -> DatabaseRoleSpec {
    let owner = names::owner_role(app);
    let mut spec = DatabaseRoleSpec {
        connection_ref: settings.connection_ref.clone(),
        default_ttl: settings.default_ttl.clone(),
        max_ttl: settings.max_ttl.clone(),
        creation_statements: settings.creation_statements.clone(),
        revocation_statements: settings.revocation_statements.clone(),
        ..empty()
    };
    if spec.revocation_statements.is_empty() {
        spec.revocation_statements = statements::revocation(&owner);
    }
    if settings.create_owner_role {
        spec.creation_statements = statements::creation_with_owner(&owner);
    } else if spec.creation_statements.is_empty() {
        spec.owner_role = Some(owner);
    }
    spec
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::secrets_app::fixture::{app as object, connection};

    fn parameters_of(database: Value) -> Map<String, Value> {
        let mut database = database;
        database["connectionRef"] = json!({"name": "db"});
        let app = object(json!({"database": database}));
        Database::with(&app, Arc::new(connection(json!({})))).unwrap().parameters
    }

    #[test]
    fn users_act_as_the_owner_role_and_are_dropped() {
        let parameters = parameters_of(json!({"defaultTTL": "1h"}));
        let statement = |name: &str, at: usize| parameters[name][at].as_str().unwrap().to_owned();
        assert!(statement("creation_statements", 0).ends_with(r#"IN ROLE "web_role";"#));
        assert!(
            statement("revocation_statements", 0).contains(r#"REASSIGN OWNED BY "{{name}}" TO "web_role";"#)
        );
        assert!(statement("revocation_statements", 0).contains("DROP ROLE"));
        assert_eq!((&parameters["db_name"], &parameters["default_ttl"]), (&json!("db"), &json!(3600)));
    }

    #[test]
    fn the_owner_role_is_created_before_the_user() {
        let parameters = parameters_of(json!({"createOwnerRole": true, "ownerRole": "it"}));
        let first = "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'it') THEN \
                     CREATE ROLE \"it\" NOLOGIN; END IF; END $$;";
        assert_eq!(parameters["creation_statements"][0], first);
        assert_eq!(parameters["creation_statements"].as_array().map(Vec::len), Some(3));
    }

    #[rstest]
    #[case::own_statements(json!({"creationStatements": ["CREATE"]}), json!(["CREATE"]))]
    fn statements_of_an_existing_module_are_kept(#[case] database: Value, #[case] expected: Value) {
        let parameters = parameters_of(database);
        assert_eq!(parameters["creation_statements"], expected);
        assert!(parameters["revocation_statements"][0].as_str().unwrap().contains("DROP ROLE"));
    }

    #[rstest]
    #[case::usable(json!({}), None)]
    #[case::namespace(json!({"namespace": "team"}), Some("is not in the root namespace"))]
    #[case::wildcard(json!({"mount": "+"}), Some("has a mount"))]
    #[case::mysql(json!({"plugin": "valkey-database-plugin"}), Some("has the plugin valkey-database-plugin"))]
    fn a_connection_elsewhere_is_refused(#[case] spec: Value, #[case] problem: Option<&str>) {
        let own = crate::secrets_app::fixture::home();
        let connection = connection(spec);
        let namespace = connection.spec.placement.namespace.as_deref().unwrap_or_default();
        let home = Home { namespace: steamer_openbao::NamespacePath::new(namespace), ..own.clone() };
        let message = check_place(&connection, &home, &own).err().map(|error| error.to_string());
        assert_eq!(message.is_some(), problem.is_some(), "{message:?}");
        assert!(message.unwrap_or_default().contains(problem.unwrap_or_default()));
    }

    #[test]
    fn a_disabled_database_has_no_role() {
        let app = object(json!({"database": {"enabled": false, "connectionRef": {"name": "db"}}}));
        assert!(settings(&app).is_none() && connection_of(&app).is_none());
    }
}
