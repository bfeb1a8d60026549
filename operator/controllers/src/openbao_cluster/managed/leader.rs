//! What is done once there is a leader, and when another is wanted.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use steamer_openbao::Session;
use steamer_runtime::{Key, Name};

use super::apply::{Done, Work};
use crate::error::Error;
use crate::openbao_cluster::cluster::{ACTIVE, STEP_DOWN};
use crate::openbao_cluster::fetch::Seen;
use crate::openbao_cluster::guard::Sight;
use crate::openbao_cluster::members::Member;
use crate::openbao_cluster::recovery;

/// On the StatefulSet: the step-down that was carried out last.
const STEPPED_DOWN: &str = "steamer.dev/stepped-down";

impl Work<'_> {
    /// What is done once there is a leader.
    pub(super) async fn after_start(
        &self,
        done: &Done,
        seen: &Seen,
        live: Option<&StatefulSet>,
        sight: &Sight,
    ) -> Result<(), Error> {
        let Ok(storage) = &done.storage else { return Ok(()) };
        if !seen.serves() {
            return Ok(());
        }
        let session = self.context.sessions.operator(self.dependencies, self.object).await?;
        if storage.contents.initialized && !storage.contents.recovery_keys {
            recovery::make(self.cluster, &session, &self.keeper.api()).await?;
        }
        if let Some(live) = live {
            self.step_down(&session, live, (done, sight)).await?;
        }
        Ok(())
    }

    /// Says on the pods which of them leads, for the Service of the leader. OpenBao could do so itself, and would neither start
    /// nor lead for minutes while the Kubernetes API is away.
    pub(super) async fn label_leader(&self, leader: &str) -> Result<(), Error> {
        let api = self.keeper.api::<Pod>();
        for pod in self.keeper.all::<Pod>() {
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

    /// Moves the leader where someone asks for it, or where its machine takes no more pods and will be drained.
    async fn step_down(
        &self,
        session: &Session,
        live: &StatefulSet,
        (done, sight): (&Done, &Sight),
    ) -> Result<(), Error> {
        let others = done.members.iter().filter(|member| member.serves() && member.answer.is_standby());
        let asked = self.annotations().get(STEP_DOWN);
        let open = asked.filter(|asked| live.annotations().get(STEPPED_DOWN) != Some(*asked));
        let leader = done.members.iter().find(|member| member.answer.is_active());
        let leaves = leader.is_some_and(|leader| self.is_cordoned(leader) && sight.leader.is_some())
            && others.clone().any(|member| !self.is_cordoned(member));
        let Some(leader) = leader.filter(|_| (open.is_some() || leaves) && others.count() > 0) else {
            return Ok(());
        };
        if let Some(asked) = open {
            let patch = json!({"metadata": {"annotations": {STEPPED_DOWN: asked}}});
            let api = self.keeper.api::<StatefulSet>();
            api.patch(&self.cluster.name.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        tracing::info!(cluster = %self.cluster.name, pod = leader.name(), "the leader steps down");
        // It is told itself: whoever leads by now is not meant, and would rest for ten seconds like this one.
        let own = self.node(&leader.name())?.session(session.identity().clone());
        own.request_any(reqwest::Method::PUT, "sys/step-down", None).await?;
        Ok(())
    }

    fn is_cordoned(&self, member: &Member) -> bool {
        let Some(node) = member.node() else { return false };
        self.dependencies.on(Key::new("Node", Name::new("", &node)));
        let node = self.context.stores.nodes.get(&Name::new("", &node));
        node.and_then(|node: Arc<Node>| node.spec.as_ref()?.unschedulable).unwrap_or(false)
    }
}
