//! Orphans: resources in OpenBao whose object is gone. The parent of the object keeps a list of them in its status and
//! removes them when OpenBao is reachable.

use steamer_api::{KindId, OpenBaoCluster, OpenBaoClusterStatus, Orphan, SecretsTenant, SecretsTenantStatus};
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::ObjectName;

use super::mark::Owner;
use super::removal::{Owned, remove_namespaces, remove_project};
use crate::context::Context;
use crate::error::Error;

/// Orphans, and the parents that can take care of them.
pub struct Handover {
    /// What remains in OpenBao.
    pub orphans: Vec<Orphan>,
    /// Cluster that runs the OpenBao.
    pub cluster: ObjectName,
    /// Tenant of the deleted object, if it had one. The tenant takes precedence over the cluster.
    pub tenant: Option<ObjectName>,
}

impl Handover {
    /// The OpenBao namespaces of all orphans, for a message.
    pub(super) fn namespaces(&self) -> String {
        self.orphans.iter().map(|orphan| orphan.openbao_namespace.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Writes the orphans to the status of the tenant, or of the cluster if the tenant is gone. If both are gone, only the
    /// Event reports the orphans.
    pub(super) async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { orphans, cluster, tenant } = self;
        let tenant = tenant.and_then(|name| context.stores.of::<SecretsTenant>().get(&name));
        if let Some(tenant) = tenant.filter(|tenant| tenant.metadata.deletion_timestamp.is_none()) {
            let mut status: SecretsTenantStatus = context.last(&*tenant);
            remember(&mut status.orphans, orphans);
            context.runtime.statuses.write(&*tenant, &status).await?;
        } else if let Some(cluster) = context.stores.of::<OpenBaoCluster>().get(&cluster) {
            let mut status: OpenBaoClusterStatus = context.last(&*cluster);
            remember(&mut status.orphans, orphans);
            context.runtime.statuses.write(&*cluster, &status).await?;
        }
        Ok(())
    }
}

fn remember(known: &mut Vec<Orphan>, orphans: Vec<Orphan>) {
    for orphan in orphans {
        if !known.contains(&orphan) {
            known.push(orphan);
        }
    }
}

/// Removes orphans from OpenBao. Returns those that remain. An object that was recreated owns its resources again.
pub async fn remove_orphans(context: &Context, session: &Session, orphans: Vec<Orphan>) -> Vec<Orphan> {
    let mut left: Vec<Orphan> = Vec::new();
    for orphan in orphans {
        let below = format!("{}/", orphan.openbao_namespace);
        let contains_another = left.iter().any(|other| other.openbao_namespace.starts_with(&below));
        let removed = if contains_another {
            Err(Error::Deleting("the namespace contains another orphan".to_owned()))
        } else {
            remove(context, session, &orphan).await
        };
        if let Err(error) = removed {
            let error = &error as &dyn std::error::Error;
            tracing::info!(namespace = orphan.openbao_namespace, error, "an orphan is not removed yet");
            left.push(orphan);
        }
    }
    left
}

async fn remove(context: &Context, session: &Session, orphan: &Orphan) -> Result<(), Error> {
    let mark = context.mark(Owner::parse(&orphan.kind), ObjectName::new(&orphan.namespace, &orphan.name));
    let namespace = NamespacePath::new(&orphan.openbao_namespace);
    let owned = Owned { mark: &mark, policy: orphan.deletion_policy };
    match mark.owner {
        _ if context.exists(&mark) => Ok(()),
        Owner::Object(KindId::SecretsTenant) => remove_namespaces(session, &namespace, owned).await,
        _ => remove_project(session, &namespace, owned).await,
    }
}
