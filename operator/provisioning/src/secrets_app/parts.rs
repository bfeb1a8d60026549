//! What the policies and roles of an application are computed from.

use steamer_api::SecretsApp;
use steamer_core::error::Error;

use super::bindings::Login;
use super::database::Database;
use super::engines::Engines;
use super::{ci, repository, rivals};
use crate::general::Found;

/// What the policies and roles are computed from.
pub(super) struct Parts {
    /// Login of the pods.
    pub(super) login: Login,
    /// Role of the database.
    pub(super) database: Option<Database>,
    /// Path of the credentials of the database.
    pub(super) credentials: Option<String>,
    /// Why the database is withheld: its connection does not allow the reference.
    pub(super) denied: Option<String>,
}

impl Parts {
    /// Finds what the spec refers to. A missing mount or connection is reported before anything is written.
    pub(super) async fn of(app: &SecretsApp, found: &Found<'_>) -> Result<Self, Error> {
        rivals::check(app, &found.lookup())?;
        let engines = Engines::read(found).await?;
        engines.check_kv(&app.spec.kv.mount)?;
        for extra in &app.spec.ops.extra_paths {
            engines.check_path(&extra.path)?;
        }
        ci::check(app, found).await?;
        let login = Login::of(app, found).await?;
        login.check_owner(app.spec.roles_owner)?;
        repository::check(app, &login, found).await?;
        let (database, denied) = granted(Database::of(app, found))?;
        let credentials = database.as_ref().map(|it| it.credentials.clone());
        Ok(Self { login, database, credentials, denied })
    }
}

/// A connection that denies the reference revokes the role of the database only, and not the application.
fn granted(database: Result<Option<Database>, Error>) -> Result<(Option<Database>, Option<String>), Error> {
    match database {
        Err(error @ (Error::Denied { .. } | Error::NotAllowed(_))) => {
            let text = format!(
                "database.connectionRef: {error}; until then, no credentials of the database are issued"
            );
            Ok((None, Some(text)))
        }
        database => Ok((database?, None)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_runtime::ObjectName;

    use super::*;

    #[rstest]
    #[case::denied(Error::Denied { kind: "DatabaseConnection", name: ObjectName::new("db", "pg"), from: "ns".to_owned() }, true)]
    #[case::not_allowed(Error::NotAllowed("scope".to_owned()), true)]
    #[case::missing(Error::NotFound { kind: "DatabaseConnection", name: ObjectName::new("db", "pg") }, false)]
    fn a_denied_connection_withholds_the_database_only(#[case] error: Error, #[case] expected: bool) {
        let found = granted(Err(error)).map(|(database, denied)| (database.is_none(), denied));
        match found {
            Ok((is_none, denied)) => {
                assert!(expected && is_none && denied.unwrap().contains("no credentials"))
            }
            Err(_) => assert!(!expected),
        }
    }
}
