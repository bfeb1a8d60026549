//! A backup is restored into a cluster's own database while no node runs.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use steamer_api::OpenBaoCluster;
use steamer_core::error::Error;

use crate::cluster::{RESTORE, RESTORING};
use crate::managed::apply::{Done, Work};
use crate::managed::fetch::Found;

/// Whether someone restores the database; what is suspended is left as it is.
pub(crate) fn is_under_way(object: &OpenBaoCluster) -> bool {
    object.annotations().contains_key(RESTORING) && !object.spec.suspend
}

impl Work<'_> {
    /// Stops every node; what is said meanwhile.
    pub(crate) async fn stop_for_restore(&self, live: Option<&StatefulSet>) -> Result<Error, Error> {
        let name = &self.cluster.name.name;
        let wanted = live.and_then(|live| live.spec.as_ref()?.replicas);
        if wanted.is_some_and(|wanted| wanted > 0) {
            let patch = json!({"spec": {"replicas": 0}});
            let sets = self.child_api.api::<StatefulSet>();
            sets.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        let pods = self.child_api.all::<Pod>().len();
        Ok(Error::Waiting(if pods > 0 {
            format!("{pods} pods end, for the database is to be restored")
        } else {
            format!(
                "no node runs: restore database `{}`, then remove the annotation {RESTORING}",
                self.cluster.owner.database
            )
        }))
    }

    /// A lock that came with a backup is nobody's.
    pub(crate) async fn start_afresh(&self, done: &Done, now: Option<i32>) -> Result<(), Error> {
        if now == Some(0) && done.members.is_empty() {
            self.guard_target.owner.clear_locks().await?;
        }
        Ok(())
    }
}

/// Why what is in the database is not this cluster's, by its own word.
pub(crate) fn another(found: &Found, done: &Done) -> Option<Error> {
    let health = done.seen.as_ref()?.health.as_ref().ok()?;
    let known = found.last.cluster_id.as_ref().filter(|_| !found.adopted)?;
    (!health.cluster_id.is_empty() && *known != health.cluster_id).then(|| {
        Error::Conflict(format!(
            "the database holds OpenBao {}, and this cluster was {known}: restore its own backup, or go on with what is there \
             by the annotation {RESTORE}=<today>",
            health.cluster_id
        ))
    })
}
