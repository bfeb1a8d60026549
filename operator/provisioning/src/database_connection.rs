//! DatabaseConnection: a connection of a database engine to a database.

mod allowed;
mod location;
mod parameters;
mod root;
mod tls;

use serde_json::{Map, Value};
use steamer_api::{DatabaseConnection, DatabaseConnectionStatus, DeletionPolicy};
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;

use crate::engine::Lookup;
use crate::general::{FollowUp, Found, General, Resource, Site};
pub(crate) use location::{mount, name, path};
use root::{Root, Stage};

/// Reason of a rotation.
const ROTATED: &str = "the password is rotated";

impl General for DatabaseConnection {
    const NAME: &'static str = "databaseconnection";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("database connection {}/{}", mount(self), name(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let last: DatabaseConnectionStatus = found.pass.context.status(self);
        let root = Root::of(self, last.root_credential.as_ref(), found).await?;
        if root.password.is_none() {
            check_exists(self, found, &root).await?;
        }
        let tls = tls::load(self, found).await?;
        let allowed = allowed::roles(self, &found.lookup())?;
        let mut resource = Resource::at(self.title(), path(self), Map::new());
        resource.body.parameters = parameters::of(&self.spec, root.username.as_deref(), (&tls, allowed))?;
        resource.body.secrets = tls.secrets;
        resource.holds_values = true;
        resource.ordered = vec!["root_rotation_statements"];
        resource.read = parameters::read;
        if root.stage != Stage::Changed {
            resource.fixed = vec!["password"];
        }
        resource.follow_up = root.rotation().map(|is_due| FollowUp {
            path: format!("{}/rotate-root/{}", mount(self), name(self)),
            reason: ROTATED,
            is_due,
        });
        resource.stamp = Some(root.digest);
        Ok(vec![match root.password {
            Some(password) => resource.with_secret("password", password),
            None => resource,
        }])
    }

    fn facts(&self, status: &mut DatabaseConnectionStatus, resources: &[Resource]) {
        let Some(resource) = resources.first() else {
            return;
        };
        let is_rotated = resource.follow_up.as_ref().is_some_and(|it| it.is_due);
        let digest = resource.stamp.clone().unwrap_or_default();
        let now = is_rotated.then(jiff::Timestamp::now);
        status.root_credential = Some(root::after(status.root_credential.take(), digest, now));
    }

    fn deletable(&self, lookup: &Lookup<'_>) -> Result<(), Error> {
        match self.spec.lifecycle.deletion_policy {
            DeletionPolicy::Retain => Ok(()),
            DeletionPolicy::Delete => allowed::none_refer(self, lookup),
        }
    }
}

/// Checks that a connection exists whose password Steamer does not know.
async fn check_exists(connection: &DatabaseConnection, found: &Found<'_>, root: &Root) -> Result<(), Error> {
    match found.session.request_any(reqwest::Method::GET, &path(connection), None).await {
        Ok(_) => Ok(()),
        Err(OpenBao::NotFound { mounted: true, .. }) => Err(Error::Invalid(root.lost(connection))),
        Err(error) => Err(error.into()),
    }
}

/// The roles that may use a connection, as OpenBao returns them.
pub(crate) fn allowed_in(answer: &Value) -> Vec<&str> {
    let roles = answer.pointer("/data/allowed_roles").and_then(Value::as_array);
    roles.into_iter().flatten().filter_map(Value::as_str).collect()
}
