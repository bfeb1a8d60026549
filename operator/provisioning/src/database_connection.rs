//! DatabaseConnection: a connection of a database engine to a database.

mod allowed;
mod connection_url;
mod parameters;
mod root;
mod tls;

use serde_json::{Map, Value};
use steamer_api::{DatabaseConnection, DatabaseConnectionStatus, DeletionPolicy};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::database_names::{allowed_in, connection, connection_path, mount, owns};
use crate::engine::Lookup;
use crate::general::{FollowUp, Found, General, Resource, Site};
use crate::mounts::configuration::resolved;
use root::{Root, Stage};
use tls::Tls;

/// Parameter with the roles that may use a connection.
const ALLOWED: &str = "allowed_roles";

/// Reason of a rotation.
const ROTATED: &str = "the password is rotated";

impl General for DatabaseConnection {
    const NAME: &'static str = "databaseconnection";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("database connection {}/{}", mount(self), connection(self))
    }

    async fn resources(&self, found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let last: DatabaseConnectionStatus = found.pass.context.status(self);
        let root = Root::of(self, last.root_credential.as_ref(), found).await?;
        let mut tls = tls::load(self, found).await?;
        let allowed = allowed::roles(self, &found.lookup())?;
        let parameters = parameters::of(&self.spec, root.username.as_deref(), &tls, allowed)?;
        tls.secrets.extend(resolved(&self.spec.secret_parameters, &ObjectName::of(self), found).await?);
        let mut resource = found.read(resource(self, parameters, tls, root.stage)).await?;
        check_existing(self, &resource, found, &root)?;
        connection_url::unify(&mut resource);
        resource.follow_up = root.rotation().map(|is_due| FollowUp {
            path: format!("{}/rotate-root/{}", mount(self), connection(self)),
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

    fn unwritten(status: &mut DatabaseConnectionStatus, former: &DatabaseConnectionStatus) {
        let written = status.root_credential.take();
        status.root_credential = root::after_pause(written, former.root_credential.clone());
    }

    fn deletable(&self, lookup: &Lookup<'_>) -> Result<(), Error> {
        match self.spec.lifecycle.deletion_policy {
            DeletionPolicy::Retain => Ok(()),
            DeletionPolicy::Delete => allowed::none_refer(self, lookup),
        }
    }
}

/// The connection, without the password.
fn resource(object: &DatabaseConnection, parameters: Map<String, Value>, tls: Tls, stage: Stage) -> Resource {
    let mut resource = Resource::at(object.title(), connection_path(object), parameters);
    resource.body.secrets = tls.secrets;
    resource.holds_values = true;
    resource.ordered = vec!["root_rotation_statements"];
    resource.read = parameters::read;
    if stage != Stage::Changed {
        resource.fixed = vec!["password"];
    }
    resource
}

/// Checks that a connection exists whose password Steamer does not know, and that an adoption keeps the access of its roles.
fn check_existing(
    object: &DatabaseConnection,
    resource: &Resource,
    found: &Found<'_>,
    root: &Root,
) -> Result<(), Error> {
    let existing = match resource.found() {
        Some(existing) => existing,
        None if root.password.is_none() => return Err(Error::Invalid(root.lost(object))),
        None => return Ok(()),
    };
    if owns(found.owned, &resource.path) {
        return Ok(());
    }
    let computed = allowed_in(resource.body.parameters.get(ALLOWED));
    allowed::keeps_roles(object, &computed, existing.get(ALLOWED))
}
