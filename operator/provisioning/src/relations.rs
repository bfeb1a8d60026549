//! Relations between kinds: the parent of an object, and the keys under which a parent waits for its children.

use kube::ResourceExt;
use steamer_api::{DatabaseRole, Kind, SecretsProject, SecretsTenant};
use steamer_core::references::target;
use steamer_runtime::{Key, ObjectName};

/// The cluster of a tenant.
pub(crate) fn cluster_of(tenant: &SecretsTenant) -> ObjectName {
    target(&tenant.spec.cluster_ref, &tenant.namespace().unwrap_or_default())
}

/// The tenant of a project.
pub(crate) fn tenant_of(project: &SecretsProject) -> ObjectName {
    target(&project.spec.tenant_ref, &project.namespace().unwrap_or_default())
}

/// The connection of a role.
pub(crate) fn connection_of(role: &DatabaseRole) -> ObjectName {
    target(&role.spec.connection_ref, &role.namespace().unwrap_or_default())
}

/// The key of all children of one kind: a child that is created, changed or deleted requeues its parent.
pub(crate) fn children<K: Kind>(parent: ObjectName) -> Key {
    Key::new(format!("children of kind {}", K::KIND), parent)
}
