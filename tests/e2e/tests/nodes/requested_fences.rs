//! Fence of a node by the annotation `steamer.dev/fence`, also across a restart of the operator.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use steamer_api::{Fenced, OpenBaoCluster};
use steamer_testing::wait::eventually;

use crate::bao::{Bao, NODES, condition, is_ready, whole};
use crate::registers::Registers;

const FENCE: &str = "steamer.dev/fence";

/// Message of the condition `Fenced` in this state.
fn fenced<'a>(object: &'a OpenBaoCluster, state: &str) -> Option<&'a str> {
    let (_, _, message) = condition(object, "Fenced").filter(|(status, ..)| *status == state)?;
    Some(message)
}

impl Bao {
    /// Sets the annotation as a client of this name.
    async fn request_fence(&self, pod: &str) -> Result<()> {
        let api: Api<OpenBaoCluster> = Api::namespaced(self.kube.clone(), &self.namespace);
        let parameters = PatchParams { field_manager: Some("jane".to_owned()), ..PatchParams::default() };
        let patch = json!({"metadata": {"annotations": {FENCE: pod}}});
        api.patch("main", &parameters, &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Waits until a pod is fenced on request, and returns its entry in the status.
    async fn fenced_on_request(&self, pod: &str, uid: &str) -> Result<Fenced> {
        let entry = |object: &OpenBaoCluster| {
            let mut fences = object.status.as_ref()?.fenced.iter();
            fences.find(|fence| fence.pod == pod && fence.uid == uid).cloned()
        };
        let what = format!("{pod} is fenced");
        let in_force = |object: &OpenBaoCluster| {
            fenced(object, "True").is_some() && entry(object).is_some() && is_ready(object)
        };
        let object = self.until(&what, in_force).await?;
        entry(&object).context("no entry")
    }

    /// Sessions of the database role, and whether it can log in.
    fn role(&self, role: &str) -> Result<String> {
        let sql = format!(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'), rolcanlogin FROM pg_roles \
             WHERE rolname = '{role}'"
        );
        Ok(self.postgres.sql(&self.namespace, &sql)?.trim().to_owned())
    }

    /// Deletes a pod by force. Returns the UID of the next one.
    async fn recreated(&self, pod: &str, uid: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        pods.delete(pod, &at_once).await?;
        eventually("the pod is recreated", || async {
            let uids = self.uids().await.map_err(|error| error.to_string())?;
            uids.get(pod).filter(|next| *next != uid).cloned().ok_or_else(|| format!("{uids:?}"))
        })
        .await
    }

    /// Waits until the operator has reconciled the cluster again: it restores a Service.
    async fn is_reconciled(&self) -> Result<()> {
        let services: Api<Service> = Api::namespaced(self.kube.clone(), &self.namespace);
        services.delete("main-metrics", &DeleteParams::default()).await?;
        eventually("the operator restores the Service", || async {
            services.get("main-metrics").await.map(drop).map_err(|error| error.to_string())
        })
        .await
    }
}

#[tokio::test]
async fn an_annotation_fences_the_leader_until_it_is_removed() -> Result<()> {
    let bao = Bao::alone("fence").await?.up(|_| {}).await?;
    bao.request_fence("main-7").await?;
    let refused = bao.until("the name is refused", |object| fenced(object, "False").is_some()).await?;
    let message = fenced(&refused, "False").unwrap_or_default();
    ensure!(message.contains("`main-7` is not a pod of this cluster"), "{message}");
    ensure!(message.contains(&NODES.join(", ")), "{message}");
    let registers = Registers::start(&bao).await?;
    let (leader, terms, before) = (bao.leader().await?, bao.terms()?, bao.uids().await?);
    let uid = before.get(&*leader).context("the leader has no pod")?;

    bao.request_fence(&leader).await?;
    let entry = bao.fenced_on_request(&leader, uid).await?;
    let reason = "the annotation steamer.dev/fence requests it, field manager jane";
    ensure!(entry.reason == reason, "{}", entry.reason);
    let role = entry.role.context("no role")?;
    ensure!(bao.role(&role)? == "0|f", "role {role}: {}", bao.role(&role)?);
    let next = bao.leads_after(&leader).await?;
    ensure!(*next != *leader, "the fenced node leads");
    ensure!(bao.terms()? == terms + 1, "the leader changed {} times", bao.terms()? - terms);
    registers.goes_on().await?;

    // The request and the note in the database are all that the next operator knows.
    bao.fleet.stop_operator().await;
    bao.fleet.start_operator().await?;
    bao.is_reconciled().await?;
    bao.fenced_on_request(&leader, uid).await?;
    ensure!(bao.uids().await? == before, "a pod was replaced: {:?}, {before:?}", bao.uids().await?);
    ensure!(bao.role(&role)? == "0|f", "role {role}: {}", bao.role(&role)?);

    // The next pod of the node has the same blocked login: it is fenced, too, and not repaired.
    let next_uid = bao.recreated(&leader, uid).await?;
    bao.fenced_on_request(&leader, &next_uid).await?;
    bao.is_reconciled().await?;
    ensure!(bao.uids().await?.get(&*leader) == Some(&next_uid), "the fenced pod was replaced");
    ensure!(bao.role(&role)? == "0|f", "role {role}: {}", bao.role(&role)?);

    bao.plugin(&["unfence", "main"], &[]).await?;
    let returned = |object: &OpenBaoCluster| whole(object) && condition(object, "Fenced").is_none();
    bao.until("the node returns", returned).await?;
    let after = bao.uids().await?;
    let kept = NODES.iter().filter(|pod| before.get(**pod) == after.get(**pod)).count();
    ensure!(
        kept == 2 && after.get(&*leader) != Some(&next_uid),
        "only the fenced pod is replaced: {after:?}"
    );
    ensure!(bao.role(&role)? == "0|f" || bao.role(&role)?.is_empty(), "its former login is valid");
    println!("fence on request: {}", registers.check(&bao).await?);
    Ok(())
}

#[tokio::test]
async fn the_only_node_is_not_fenced() -> Result<()> {
    let bao = Bao::serving("fence-alone", |spec| spec["managed"]["replicas"] = json!(1)).await?;
    let before = bao.uids().await?;
    bao.request_fence("main-0").await?;
    let refused = bao.until("the fence is refused", |object| fenced(object, "False").is_some()).await?;
    let message = fenced(&refused, "False").unwrap_or_default();
    ensure!(message.starts_with("main-0 is not fenced: no other node serves"), "{message}");
    bao.is_reconciled().await?;
    ensure!(is_ready(&bao.object().await?) && bao.uids().await? == before, "the node was disturbed");
    Ok(())
}
