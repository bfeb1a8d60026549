use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{JWTIssuer, OpenBaoCluster, SecretsTenant};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::layout;
use steamer_core::ownership::removal::levels;
use steamer_openbao::{Namespace, NamespacePath, Session};
use steamer_runtime::Dependencies;

/// What is there for a tenant.
pub(crate) struct Found {
    pub(crate) session: Session,
    /// Each level of its namespace, outermost first, with what is in OpenBao.
    pub(crate) levels: Vec<(NamespacePath, Option<Namespace>)>,
}

pub(crate) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    tenant: &SecretsTenant,
) -> Result<Found, Error> {
    let namespace = tenant.namespace().unwrap_or_default();
    let cluster: Arc<OpenBaoCluster> =
        context.stores.resolve(dependencies, &tenant.spec.cluster_ref, &namespace)?;
    context.stores.resolve::<JWTIssuer>(dependencies, &tenant.spec.issuer_ref, &namespace)?;
    let session = context.operator_session(dependencies, &cluster).await?;
    let levels = levels(&session, &layout::tenant(tenant)).await?;
    Ok(Found { session, levels })
}
