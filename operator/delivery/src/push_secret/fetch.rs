//! Everything that an object refers to: its Secret, and its access to OpenBao.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use steamer_api::BaoPushSecret;
use steamer_core::access::auth::{Access, access, auth_of};
use steamer_core::{Context, Error};
use steamer_openbao::NamespacePath;
use steamer_runtime::{Dependencies, ObjectName};

use super::transformed::transformed;

/// What an object refers to.
pub(super) struct Found {
    pub(super) access: Access,
    /// The Secret, with the keys that the transformation makes.
    pub(super) secret: Option<Arc<Secret>>,
    /// OpenBao namespace of the entries, from the root.
    pub(super) namespace: NamespacePath,
}

/// Finds the Secret and the access. Sends no request to OpenBao.
pub(super) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    object: &BaoPushSecret,
) -> Result<Found, Error> {
    let secret = match &object.spec.secret_ref {
        None => None,
        Some(reference) => {
            let name = ObjectName::new(object.namespace().unwrap_or_default(), &reference.name);
            let secret = context.secrets.existing(dependencies, &name).await?;
            Some(transformed(context, dependencies, object, secret).await?)
        }
    };
    let access = own_access(context, dependencies, object).await?;
    let namespace = object.spec.namespace.as_deref();
    let namespace = namespace.map_or_else(|| access.login.namespace.clone(), NamespacePath::new);
    Ok(Found { access, secret, namespace })
}

/// The access of the object's identity.
pub(super) async fn own_access(
    context: &Context,
    dependencies: &Dependencies,
    object: &BaoPushSecret,
) -> Result<Access, Error> {
    let consumer = object.namespace().unwrap_or_default();
    let auth = auth_of(context, dependencies, object.spec.auth_ref.as_ref(), &consumer)?;
    access(context, dependencies, &auth, &consumer).await
}
