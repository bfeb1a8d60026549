//! SecretsTenant: the namespaces that hold a tenant's projects.

pub(crate) mod apply;
mod fetch;
mod plan;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use steamer_api::{Mode, SecretsTenant};
use steamer_runtime::{Action, Dependencies, Key, Name, Reconcile};

use crate::context::Context;
use crate::error::Error;

pub(crate) use validate::{claims, namespace_of};

pub(crate) struct Controller(pub(crate) Arc<Context>);

/// The key under which a tenant waits for its projects.
pub(crate) fn projects_of(tenant: Name) -> Key {
    Key::new("SecretsProjectsOf", tenant)
}

/// The key under which tenants that claim the same namespace wait for each other.
pub(crate) fn tenant_claim(tenant: &SecretsTenant) -> Key {
    let cluster =
        crate::references::target(&tenant.spec.cluster_ref, &tenant.namespace().unwrap_or_default());
    Key::new("TenantClaim", Name::new(cluster.to_string(), namespace_of(tenant).as_str()))
}

impl Reconcile for Controller {
    type Object = SecretsTenant;
    type Error = Error;
    const NAME: &'static str = "secretstenant";

    async fn reconcile(
        &self,
        tenant: Arc<SecretsTenant>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if tenant.metadata.deletion_timestamp.is_some() {
            return apply::delete(&self.0, dependencies, &tenant).await;
        }
        if tenant.spec.lifecycle.suspend {
            status::suspended(&self.0, &tenant).await?;
            return Ok(Action::AwaitChange);
        }
        let found = fetch::fetch(&self.0, dependencies, &tenant).await?;
        validate::validate(&self.0, dependencies, &tenant)?;
        let plan = plan::plan(&self.0, &tenant, &found)?;
        if tenant.spec.lifecycle.mode == Mode::Observe {
            status::observed(&self.0, &tenant, &plan).await?;
            return Ok(Action::After(self.0.drift_interval));
        }
        self.0.hold(&*tenant).await?;
        apply::apply(&found.session, &plan).await?;
        let orphans = apply::adopt_orphans(&self.0, &tenant, &found.session).await;
        // A namespace goes in the background; nothing tells when.
        let next = if orphans.is_empty() { self.0.drift_interval } else { Duration::from_secs(2) };
        status::applied(&self.0, &tenant, orphans).await?;
        Ok(Action::After(next))
    }
}
