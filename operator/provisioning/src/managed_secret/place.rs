//! Location of a secret.

use steamer_api::{ManagedSecret, ProvisionedSecret, Reference, SecretsProject, SecretsTenant};
use steamer_core::layout::{self, DATA_ROOT};
use steamer_core::references::target;
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

/// Location of a secret.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) cluster: ObjectName,
    pub(super) tenant: ObjectName,
    /// OpenBao namespace of the project, relative to the root of the cluster.
    pub(super) namespace: NamespacePath,
    /// Mount of the engine.
    pub(super) mount: String,
    /// Path in the engine.
    pub(super) path: String,
}

impl Place {
    /// Path of the value, within the namespace.
    pub(super) fn data(&self) -> String {
        format!("{}/data/{}", self.mount, self.path)
    }

    /// The place as the status records it.
    pub(super) fn recorded(&self) -> ProvisionedSecret {
        let reference = |ObjectName { namespace, name }: &ObjectName| Reference {
            name: name.clone(),
            namespace: Some(namespace.clone()),
        };
        ProvisionedSecret {
            cluster_ref: reference(&self.cluster),
            tenant_ref: reference(&self.tenant),
            openbao_namespace: self.namespace.as_str().to_owned(),
            path: self.data(),
        }
    }
}

/// The project of a secret.
pub(super) fn project_of(secret: &ManagedSecret) -> ObjectName {
    target(&secret.spec.project_ref, &ObjectName::of(secret).namespace)
}

/// OpenBao namespace of a project.
pub(super) fn namespace_of(tenant: &SecretsTenant, project: &SecretsProject) -> NamespacePath {
    layout::tenant(tenant).join(&layout::project(project.spec.scope, project.spec.id))
}

/// Path of a secret in the engine of a project.
pub(super) fn path_of(name: &str) -> String {
    format!("{DATA_ROOT}/{name}")
}
