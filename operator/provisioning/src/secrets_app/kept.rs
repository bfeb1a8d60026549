//! Role of the database of an application while its DatabaseConnection is missing: Steamer cannot compute it, and keeps it as it is
//! if the spec still names the same connection.

use serde_json::Map;
use steamer_api::{AppDatabaseStatus, SecretsApp};

use super::database::{connection_of, role_names};
use super::names;
use crate::general::Resource;

/// What an application has in the mount of a missing connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Path of the credentials.
    pub(super) credentials: String,
    /// Paths of the check of the owner role, and of the role.
    pub(super) roles: Vec<String>,
}

impl Kept {
    /// What the last status names. None without a database, and if the spec names another connection now.
    pub(super) fn of(app: &SecretsApp, last: Option<&AppDatabaseStatus>) -> Option<Self> {
        let (connection, last) = (connection_of(app)?.to_string(), last?);
        if last.connection.as_ref().is_some_and(|former| *former != connection) {
            return None;
        }
        let credentials = last.credential_path.clone();
        let mount = credentials.strip_suffix(&format!("/creds/{}", names::app(app)))?;
        let [check, role] = role_names(app);
        let roles = vec![format!("{mount}/static-roles/{check}"), format!("{mount}/roles/{role}")];
        Some(Self { credentials, roles })
    }

    /// The roles, without a parameter that a write would change.
    pub(super) fn resources(&self) -> impl Iterator<Item = Resource> {
        self.roles.iter().map(|path| Resource::at(format!("role {path}"), path, Map::new()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::fixture::app as object;

    fn recorded(connection: Option<&str>, path: &str) -> AppDatabaseStatus {
        AppDatabaseStatus {
            credential_path: path.to_owned(),
            connection: connection.map(str::to_owned),
            ..AppDatabaseStatus::default()
        }
    }

    #[rstest]
    #[case::same(json!({"connectionRef": {"name": "db"}}), recorded(Some("ns/db"), "postgres/creds/web"), true)]
    #[case::earlier_version(json!({"connectionRef": {"name": "db"}}), recorded(None, "postgres/creds/web"), true)]
    #[case::other(json!({"connectionRef": {"name": "new"}}), recorded(Some("ns/db"), "postgres/creds/web"), false)]
    #[case::disabled(
        json!({"connectionRef": {"name": "db"}, "enabled": false}), recorded(Some("ns/db"), "postgres/creds/web"), false
    )]
    #[case::another_application(json!({"connectionRef": {"name": "db"}}), recorded(None, "postgres/creds/shop"), false)]
    fn the_role_of_a_missing_connection_is_kept_while_the_spec_names_it(
        #[case] database: Value,
        #[case] last: AppDatabaseStatus,
        #[case] expected: bool,
    ) {
        let kept = Kept::of(&object(json!({"database": database})), Some(&last));
        let roles = ["postgres/static-roles/web.owner", "postgres/roles/web"].map(str::to_owned).to_vec();
        let same = Kept { credentials: "postgres/creds/web".to_owned(), roles };
        assert_eq!(kept, expected.then_some(same));
    }
}
