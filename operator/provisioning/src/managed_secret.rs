//! ManagedSecret: one secret of a project.

pub(crate) mod change;
mod course;
mod desired;
mod entry;
mod fetch;
#[cfg(test)]
mod fixture;
mod keys;
mod place;
mod plan;
mod problem;
mod removal;
mod rest;
mod status;
mod step;
#[cfg(test)]
mod tests;
mod validate;
mod wanted;

use std::fmt::Debug;

use jiff::Timestamp;
use steamer_api::{
    DeletionPolicy, ManagedSecret, ManagedSecretStatus, OwnedResource, SecretsProject, SecretsTenant,
};
use steamer_core::error::Error;
use steamer_core::ownership::removal::Owned;
use steamer_core::references::target;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::ObjectName;
use steamer_runtime::conditions::Verdict;

use crate::engine::{Footprint, Lookup, Pass, Provision, Removal, Rights, Setting, Subject};
use crate::relations::tenant_of;
use crate::write::Plan;
use desired::Desired;
use entry::Entry;
use fetch::{Found, References};
use place::{namespace_of, project_of};

impl Provision for ManagedSecret {
    const NAME: &'static str = "managedsecret";
    const IN_TENANTS: bool = true;
    type References = References;
    type Withdrawn = ();
    type Found = Found;
    type Desired = Desired;
    type Observed = Option<Entry>;

    fn subject(&self) -> Option<Subject> {
        let established = self.status.as_ref().is_some_and(|status| status.provisioned.is_some());
        Some(Subject { name: format!("secret {}", self.spec.name), established })
    }

    fn cluster(&self, lookup: &Lookup<'_>) -> Option<ObjectName> {
        lookup.cached::<SecretsProject>(&project_of(self))?.cluster(lookup)
    }

    fn location(&self, lookup: &Lookup<'_>) -> Option<String> {
        let project = lookup.cached::<SecretsProject>(&project_of(self))?;
        let tenant = lookup.cached::<SecretsTenant>(&tenant_of(&project))?;
        Some(format!("namespace {}", namespace_of(&tenant, &project)))
    }

    fn references(&self, lookup: &Lookup<'_>) -> Result<References, Error> {
        fetch::references(self, lookup)
    }

    async fn fetch(&self, references: References, pass: &Pass<'_>) -> Result<(Session, Found), Error> {
        fetch::fetch(self, references, pass).await
    }

    fn validate(&self, found: Found, setting: &Setting<'_>) -> Result<Desired, Error> {
        validate::validate(self, found, setting)
    }

    /// The desired state depends on the entry, so it was read before.
    async fn observe(_session: &Session, desired: &Desired) -> Result<Self::Observed, Error> {
        Ok(desired.entry.clone())
    }

    fn state(observed: &Self::Observed) -> impl Debug {
        observed.as_ref().map(|entry| {
            let is_recorded = entry.recorded() == entry.current();
            (keys::stable(entry.custom()), entry.0.max_versions, entry.is_completed(), is_recorded)
        })
    }

    fn plan(desired: &Desired, observed: &Self::Observed, rights: &Rights<'_>) -> Result<Plan, Error> {
        let writes = plan::writes(desired, observed.as_ref(), rights)?;
        Ok(Plan { writes, expires_at: plan::next_change(desired) })
    }

    fn announcement(
        desired: &Desired,
        _observed: &Self::Observed,
        last: &ManagedSecretStatus,
    ) -> Option<ManagedSecretStatus> {
        status::announcement(desired, last)
    }

    fn compared(status: &mut ManagedSecretStatus, desired: &Desired) {
        status::write(status, desired);
    }

    fn published(desired: &Desired) -> NamespacePath {
        desired.root.join(desired.place.namespace.as_str())
    }

    fn applied(&self, status: &mut ManagedSecretStatus, desired: &Desired, _now: Timestamp) -> Verdict {
        status.provisioned = Some(desired.place.recorded());
        status.last_handled_rotate = desired.handled_request().or(status.last_handled_rotate.take());
        status::write(status, desired);
        status::verdict(desired)
    }

    /// A secret that is retained needs no removal: its deletion does not wait for OpenBao. Only the status of the cluster lists
    /// orphans by path.
    fn footprint(&self, last: &ManagedSecretStatus) -> Option<Footprint> {
        let is_deleted = self.spec.lifecycle.deletion_policy == DeletionPolicy::Delete;
        let provisioned = last.provisioned.as_ref().filter(|_| is_deleted)?;
        let own = ObjectName::of(self).namespace;
        let path = provisioned.path.clone();
        Some(Footprint {
            cluster: target(&provisioned.cluster_ref, &own),
            tenant: None,
            namespace: NamespacePath::new(&provisioned.openbao_namespace),
            resources: vec![OwnedResource { path, holds_values: true, ..OwnedResource::default() }],
        })
    }

    async fn remove(session: &Session, namespace: &NamespacePath, owned: Owned<'_>) -> Result<(), Error> {
        removal::remove(session, namespace, owned).await
    }

    /// A secret gives no access.
    async fn revoke(_removal: &Removal<'_>) -> Result<(), Error> {
        Ok(())
    }
}
