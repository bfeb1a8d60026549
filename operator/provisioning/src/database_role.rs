//! DatabaseRole: a role of a database engine.

pub(crate) mod owner_check;
mod parameters;
mod role;
pub(crate) mod specs;
pub(crate) mod statements;

use std::sync::Arc;

use kube::ResourceExt;
use serde_json::Map;
use steamer_api::{DatabaseConnection, DatabaseRole, DatabaseRoleStatus};
use steamer_core::error::Error;
use steamer_runtime::Key;

use crate::database_names as names;
use crate::engine::Lookup;
use crate::general::{Found, General, Home, Resource, Site, requests_of};
use crate::relations::{children, connection_of};
use crate::write::Request;
use owner_check::OwnerCheck;
pub(crate) use role::{parameters_of, role};

impl General for DatabaseRole {
    const NAME: &'static str = "databaserole";

    fn site(&self) -> Site<'_> {
        Site::Connection(&self.spec.connection_ref)
    }

    fn title(&self) -> String {
        let kind = if self.spec.static_user.is_some() { "static database role" } else { "database role" };
        format!("{kind} {}", names::role(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        names::refuse_reserved(&names::role(self))?;
        let own = self.namespace().unwrap_or_default();
        let connection: Arc<DatabaseConnection> = found.lookup().resolve(&self.spec.connection_ref, &own)?;
        let role = role(self, &connection, found).await?;
        let check = owner_check(self, &role, (&connection, found)).await?;
        Ok(check.into_iter().chain([role]).collect())
    }

    fn outline(&self, _home: &Home, lookup: &Lookup<'_>) -> Vec<Request> {
        let paths = paths(self, lookup).into_iter();
        paths.flat_map(|path| requests_of(&Resource::at("", path, Map::new()))).collect()
    }

    fn claims(&self, _home: &Home, lookup: &Lookup<'_>) -> Vec<String> {
        let is_reserved = names::refuse_reserved(&names::role(self)).is_err();
        if is_reserved { Vec::new() } else { paths(self, lookup) }
    }

    fn facts(&self, status: &mut DatabaseRoleStatus, resources: &[Resource]) {
        status.credential_path = resources.iter().find_map(|it| names::credentials_path(self, &it.path));
    }

    fn parents(&self) -> Vec<Key> {
        vec![children::<Self>(connection_of(self))]
    }
}

/// Paths of the check of the owner role, and of the role. Empty if the connection is missing or does not allow the reference.
fn paths(object: &DatabaseRole, lookup: &Lookup<'_>) -> Vec<String> {
    let own = object.namespace().unwrap_or_default();
    let connection = lookup.resolve(&object.spec.connection_ref, &own);
    let Ok(connection): Result<Arc<DatabaseConnection>, Error> = connection else {
        return Vec::new();
    };
    let check = OwnerCheck::of(object, &connection).map(|it| it.path(&connection));
    check.into_iter().chain([names::role_path(object, &connection)]).collect()
}

/// The check of the owner role, which comes before the role. A role that exists without a check does not wait until the connection
/// allows one: nothing may write the connection.
async fn owner_check(
    object: &DatabaseRole,
    role: &Resource,
    (connection, found): (&DatabaseConnection, &Found<'_>),
) -> Result<Option<Resource>, Error> {
    let Some(check) = OwnerCheck::of(object, connection) else {
        return Ok(None);
    };
    match check.resource(connection, found).await {
        Err(Error::Waiting(_))
            if names::owns(found.owned, &role.path) && !names::owns_check(found.owned, object) =>
        {
            Ok(None)
        }
        check => check.map(Some),
    }
}
