//! Followers of the relays of all clusters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use steamer_api::{Kind, OpenBaoCluster};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_core::writes::{RelayState, relays_key};
use steamer_runtime::{Dependencies, Locked, ObjectName, caught_future, describe};
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
    /// Follows the relays of a cluster if it has some, and stops otherwise. An error is part of their state: it affects nothing
    /// else. Another state requeues the cluster.
    pub(crate) fn keep(
        &self,
        context: &Arc<Context>,
        dependencies: &Dependencies,
        (cluster, target): (&ObjectName, Result<Option<RelayTarget>, Error>),
    ) {
        let Some(target) = target.transpose() else { return self.stop(context, cluster) };
        dependencies.on(relays_key(cluster));
        if let Err(error) = target.and_then(|target| self.follow(context, target)) {
            self.0.lock().remove(cluster);
            context.writes.observe(cluster, RelayState::Incomplete(describe(&error)), Timestamp::now());
        }
    }

    fn follow(&self, context: &Arc<Context>, target: RelayTarget) -> Result<(), Error> {
        let (cluster, digest) = (target.cluster.clone(), target.digest());
        if self.0.lock().get(&cluster).is_some_and(|running| running.digest == digest) {
            return Ok(());
        }
        self.stop(context, &cluster);
        // Checks the settings before the task starts.
        Follower::new(context.clone(), target.clone())?;
        let _task = AbortOnDropHandle::new(tokio::spawn(restarted(context.clone(), target)));
        self.0.lock().insert(cluster, Running { digest, _task });
        Ok(())
    }

    /// Stops following the relays of a cluster. Its objects return to their own intervals.
    pub(crate) fn stop(&self, context: &Context, cluster: &ObjectName) {
        self.0.lock().remove(cluster);
        context.runtime.metrics.no_relays(cluster);
        context.writes.forget(cluster);
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
