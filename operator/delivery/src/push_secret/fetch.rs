//! Everything that an object refers to: its Secrets, and its access to OpenBao.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{BaoPushSecret, LabelSelector};
use steamer_core::access::auth::{Access, access, auth_of};
use steamer_core::{Context, Error};
use steamer_openbao::NamespacePath;
use steamer_runtime::{Dependencies, ObjectName};

use super::origin::{Origin, Selected};
use super::selection::Selections;
use super::transformed::transformed;
use super::unpushed::Cause;
use super::{problem, status};

/// What an object refers to.
pub(super) struct Found {
    pub(super) access: Access,
    pub(super) origin: Origin,
    /// OpenBao namespace of the entries, from the root.
    pub(super) namespace: NamespacePath,
}

/// Finds the Secrets and the access. Sends no request to OpenBao.
pub(super) async fn fetch(
    context: &Context,
    selections: &Arc<Selections>,
    dependencies: &Dependencies,
    object: &BaoPushSecret,
) -> Result<Found, Error> {
    let origin = match (&object.spec.secret_ref, &object.spec.selector) {
        (Some(reference), _) => {
            let name = ObjectName::new(object.namespace().unwrap_or_default(), &reference.name);
            let secret = context.secrets.existing(dependencies, &name).await?;
            Origin::Named(transformed(context, dependencies, object, secret).await?)
        }
        (None, Some(selector)) => {
            Origin::Selected(selected(context, (selections, selector), dependencies, object).await?)
        }
        (None, None) => Origin::Nothing,
    };
    let access = own_access(context, dependencies, object).await?;
    let namespace = object.spec.namespace.as_deref();
    let namespace = namespace.map_or_else(|| access.login.namespace.clone(), NamespacePath::new);
    Ok(Found { access, origin, namespace })
}

/// The Secrets that the selector matches. A template that fails for one of them concerns only this one.
async fn selected(
    context: &Context,
    (selections, selector): (&Arc<Selections>, &LabelSelector),
    dependencies: &Dependencies,
    object: &BaoPushSecret,
) -> Result<Vec<Selected>, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let secrets = match selections.get(dependencies, &namespace, selector).await {
        Err(error @ Error::Invalid(_)) => {
            status::unselected(context, object).await?;
            return Err(error);
        }
        secrets => secrets?,
    };
    if secrets.is_empty() {
        status::unselected(context, object).await?;
        return Err(problem::unmatched(&namespace));
    }
    let mut all = Vec::new();
    for (name, secret) in &*secrets {
        let secret = transformed(context, dependencies, object, secret.clone()).await;
        // A template can take long: other objects continue in between.
        tokio::task::yield_now().await;
        all.push(Selected { name: name.clone(), secret: secret.map_err(|error| Cause::of(&error)) });
    }
    Ok(all)
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
