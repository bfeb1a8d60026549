//! SecretsTenant: the namespaces that hold a tenant's projects.

mod apply;
mod fetch;
mod plan;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use steamer_api::{Mode, SecretsTenant};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_runtime::{Action, Dependencies, Edges, Key, ObjectName, Reconcile};

pub(crate) use crate::tenant::validate::claims;

pub(crate) struct Controller(pub(crate) Arc<Context>);

/// The key under which a tenant waits for its projects.
pub(crate) fn projects_of(tenant: ObjectName) -> Key {
    Key::new("SecretsProjectsOf", tenant)
}

/// The key under which tenants that claim the same namespace wait for each other.
pub(crate) fn tenant_claim(tenant: &SecretsTenant) -> Key {
    let cluster =
        steamer_core::references::target(&tenant.spec.cluster_ref, &tenant.namespace().unwrap_or_default());
    Key::new("TenantClaim", ObjectName::new(cluster.to_string(), layout::tenant(tenant).as_str()))
}

impl Reconcile for Controller {
    type Object = SecretsTenant;
    type Error = Error;
    const NAME: &'static str = "secretstenant";

    fn edges(tenant: &SecretsTenant) -> Edges {
        let own = Edges::of_self(tenant).by_any_change.into_iter();
        Edges { by_any_change: own.chain([tenant_claim(tenant)]).collect(), by_spec: Vec::new() }
    }

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
        self.0.add_finalizer(&*tenant).await?;
        apply::apply(&found.session, &plan).await?;
        let orphans = apply::remove_orphans(&self.0, &tenant, &found.session).await;
        // A namespace goes in the background; nothing tells when.
        let next = if orphans.is_empty() { self.0.drift_interval } else { Duration::from_secs(2) };
        status::applied(&self.0, &tenant, orphans).await?;
        Ok(Action::After(next))
    }
}
