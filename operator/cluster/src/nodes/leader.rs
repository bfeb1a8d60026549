//! What is done once there is a leader, and when another is wanted.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use steamer_api::OpenBaoClusterStatus;
use steamer_core::error::Error;
use steamer_openbao::Session;

use crate::cluster::{ACTIVE, STEP_DOWN};
use crate::managed::apply::{Done, Work};
use crate::seal::recovery;
use crate::server::Seen;

/// On the StatefulSet: the step-down that was carried out last.
const STEPPED_DOWN: &str = "steamer.dev/stepped-down";

impl Work<'_> {
    /// What is done once there is a leader.
    pub(crate) async fn after_start(
        &self,
        done: &Done,
        seen: &Seen,
        live: Option<&StatefulSet>,
    ) -> Result<(), Error> {
        let Ok(storage) = &done.storage else { return Ok(()) };
        if !seen.serves() {
            return Ok(());
        }
        let session = self.context.operator_session(self.dependencies, self.object).await?;
        if storage.contents.initialized && !storage.contents.recovery_keys {
            recovery::make(self.cluster, &session, &self.child_api.api()).await?;
        }
        let last: OpenBaoClusterStatus = self.context.last(self.object);
        let first_seen = storage.contents.recovery_keys && last.recovery_keys.is_none();
        if first_seen && recovery::may_be_unwritten(self.cluster, &self.child_api.all()) {
            recovery::recover(self.cluster, &session, &self.child_api.api()).await?;
        }
        if let Some(live) = live {
            self.step_down(&session, live, done).await?;
        }
        Ok(())
    }

    /// Says on the pods which of them leads, for the Service of the leader. OpenBao could do so itself, and would neither start
    /// nor lead for minutes while the Kubernetes API is away.
    pub(crate) async fn label_leader(&self, leader: &str) -> Result<(), Error> {
        let api = self.child_api.api::<Pod>();
        for pod in self.child_api.all::<Pod>() {
            let name = pod.name_any();
            let active = if name == leader { "true" } else { "false" };
            if pod.labels().get(ACTIVE).map(String::as_str) == Some(active) {
                continue;
            }
            let patch = json!({"metadata": {"uid": pod.uid(), "labels": {ACTIVE: active}}});
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                // It is gone, or another by now.
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Moves the leader where someone asks for it. Not where its machine is cordoned: the eviction that follows hands over as
    /// fast, and a node that has stepped down rests for ten seconds before it ends.
    async fn step_down(&self, session: &Session, live: &StatefulSet, done: &Done) -> Result<(), Error> {
        let others = done.members.iter().filter(|member| member.serves() && member.answer.is_standby());
        let asked = self.annotations().get(STEP_DOWN);
        let open = asked.filter(|asked| live.annotations().get(STEPPED_DOWN) != Some(*asked));
        let leader = done.members.iter().find(|member| member.answer.is_active());
        let (Some(asked), Some(leader), true) = (open, leader, others.count() > 0) else { return Ok(()) };
        let patch = json!({"metadata": {"annotations": {STEPPED_DOWN: asked}}});
        let api = self.child_api.api::<StatefulSet>();
        api.patch(&self.cluster.name.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        tracing::info!(cluster = %self.cluster.name, pod = leader.name(), "the leader steps down");
        // It is told itself: whoever leads by now is not meant, and would rest for ten seconds like this one.
        let own = self.node(&leader.name())?.session(session.identity().clone());
        own.request_any(reqwest::Method::PUT, "sys/step-down", None).await?;
        Ok(())
    }
}
