//! Path of a connection, and the Secret that it needs.

use kube::ResourceExt;
use steamer_api::DatabaseConnection;
use steamer_runtime::ObjectName;

/// Path of the mount, without `/` at its ends.
pub(crate) fn mount(connection: &DatabaseConnection) -> &str {
    connection.spec.mount.trim_matches('/')
}

/// Name of the connection in OpenBao.
pub(crate) fn name(connection: &DatabaseConnection) -> String {
    connection.spec.name.clone().unwrap_or_else(|| connection.name_any())
}

/// Path of the connection.
pub(crate) fn path(connection: &DatabaseConnection) -> String {
    format!("{}/config/{}", mount(connection), name(connection))
}

/// The Secret with the user and password.
pub(super) fn secret(connection: &DatabaseConnection) -> Option<ObjectName> {
    let reference = connection.spec.root_secret_ref.as_ref()?;
    Some(ObjectName::new(connection.namespace().unwrap_or_default(), &reference.name))
}
