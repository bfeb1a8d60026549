//! Followers of the relays of all clusters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use steamer_api::{Kind, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::writes::relays_key;
use steamer_runtime::{Dependencies, Locked, ObjectName, caught_future};
use tokio_util::task::AbortOnDropHandle;

use super::follower::Follower;
use super::target::RelayTarget;

/// Followers of the relays of all clusters.
#[derive(Default)]
pub(crate) struct Relays(Locked<HashMap<ObjectName, Running>>);

struct Running {
    digest: String,
    _task: AbortOnDropHandle<()>,
}

impl Relays {
    /// Follows the relays of a cluster if it has some, and stops otherwise.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub(crate) fn keep(
        &self,
        context: &Arc<Context>,
        dependencies: &Dependencies,
        (cluster, target): (&ObjectName, Option<RelayTarget>),
    ) -> Result<(), Error> {
        match target {
            Some(target) => self.follow(context, dependencies, target),
            None => {
                self.stop(context, cluster);
                Ok(())
            }
        }
    }

    /// Follows the relays of a cluster. Another state of the relays requeues the cluster.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the CA or the token cannot be used.
    fn follow(
        &self,
        context: &Arc<Context>,
        dependencies: &Dependencies,
        target: RelayTarget,
    ) -> Result<(), Error> {
        dependencies.on(relays_key(&target.cluster));
        let digest = target.digest();
        let is_same = |running: &Running| running.digest == digest;
        if self.0.lock().get(&target.cluster).is_some_and(is_same) {
            return Ok(());
        }
        self.stop(context, &target.cluster);
        // Checks the settings before the task starts.
        Follower::new(context.clone(), target.clone())?;
        let cluster = target.cluster.clone();
        let _task = AbortOnDropHandle::new(tokio::spawn(restarted(context.clone(), target)));
        self.0.lock().insert(cluster, Running { digest, _task });
        Ok(())
    }

    /// Stops following the relays of a cluster. Its objects return to their own intervals.
    pub(crate) fn stop(&self, context: &Context, cluster: &ObjectName) {
        if self.0.lock().remove(cluster).is_some() {
            context.runtime.metrics.no_relays(cluster);
            context.writes.forget(cluster);
        }
    }
}

/// Follows without end. After a panic, it starts again.
async fn restarted(context: Arc<Context>, target: RelayTarget) {
    loop {
        let Ok(follower) = Follower::new(context.clone(), target.clone()) else { return };
        if caught_future(follower.run()).await.is_err() {
            context.runtime.metrics.panicked(OpenBaoCluster::KIND);
            tracing::error!(cluster = %target.cluster, "a panic in the follower of relays; it starts again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
