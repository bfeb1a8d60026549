use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{JWTIssuer, OpenBaoCluster, SecretsTenant};
use steamer_openbao::{Namespace, NamespacePath, Session};
use steamer_runtime::Dependencies;

use super::namespace_of;
use crate::context::Context;
use crate::error::Error;

/// What is there for a tenant.
pub(super) struct Found {
    pub(super) session: Session,
    /// Each level of its namespace, outermost first, with what is in OpenBao.
    pub(super) levels: Vec<(NamespacePath, Option<Namespace>)>,
}

pub(super) async fn fetch(
    context: &Context,
    dependencies: &Dependencies,
    tenant: &SecretsTenant,
) -> Result<Found, Error> {
    let namespace = tenant.namespace().unwrap_or_default();
    let cluster: Arc<OpenBaoCluster> =
        context.stores.resolve(dependencies, &tenant.spec.cluster_ref, &namespace)?;
    context.stores.resolve::<JWTIssuer>(dependencies, &tenant.spec.issuer_ref, &namespace)?;
    let session = context.sessions.operator(dependencies, &cluster).await?;
    let levels = levels(&session, &namespace_of(tenant)).await?;
    Ok(Found { session, levels })
}

/// Looks at each level of a namespace; below one that is not there nothing is asked for.
pub(super) async fn levels(
    session: &Session,
    path: &NamespacePath,
) -> Result<Vec<(NamespacePath, Option<Namespace>)>, Error> {
    let mut paths = vec![path.clone()];
    while let Some((parent, _)) =
        paths.last().and_then(NamespacePath::split).filter(|(parent, _)| !parent.is_root())
    {
        paths.push(parent);
    }
    let mut levels: Vec<(NamespacePath, Option<Namespace>)> = Vec::new();
    for path in paths.into_iter().rev() {
        let below_nothing = levels.last().is_some_and(|(_, found)| found.is_none());
        let found = match path.split() {
            Some((parent, name)) if !below_nothing => {
                session.within(parent.as_str()).child_namespace(name).await?
            }
            _ => None,
        };
        levels.push((path, found));
    }
    Ok(levels)
}
