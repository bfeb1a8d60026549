//! Objects that grant access to secrets of a project: PipelinePolicy and UserPolicy. Several of them can share one OpenBao
//! policy, so the project writes the policies; the controller reports whether the project has applied an object.

pub(crate) mod controller;
pub(crate) mod in_force;
mod verdict;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use steamer_api::{Kind, Reference};
use steamer_core::references::target;
use steamer_runtime::ObjectName;

/// A kind whose objects grant access to secrets of a project.
pub(crate) trait Grant: Kind + Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    /// Name of the controller.
    const NAME: &'static str;

    /// The project of the secrets.
    fn project_ref(&self) -> &Reference;

    /// Time from which the object grants nothing.
    fn expires_at(&self) -> Option<Timestamp>;

    /// Returns true if the spec revokes the grants.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Message of an object that is in force.
    fn summary(&self) -> String;

    /// Writes the facts of the object to its status.
    fn facts(&self, status: &mut Self::Status, is_effective: bool);
}

/// Returns true if an object grants its secrets at `now`.
pub(crate) fn is_effective<G: Grant>(grant: &G, now: Timestamp) -> bool {
    let is_expired = grant.expires_at().is_some_and(|at| at <= now);
    !grant.is_cancelled() && !is_expired && grant.meta().deletion_timestamp.is_none()
}

/// The project of an object.
pub(crate) fn project_of<G: Grant>(grant: &G) -> ObjectName {
    target(grant.project_ref(), &ObjectName::of(grant).namespace)
}
