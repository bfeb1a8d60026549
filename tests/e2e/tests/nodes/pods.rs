//! Test helpers for the pods of a managed cluster.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use steamer_testing::wait::eventually;

use crate::bao::{Bao, whole};

impl Bao {
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        let mut pods = api.list(&ListParams::default().labels("steamer.dev/cluster=main")).await?.items;
        pods.sort_by_key(ResourceExt::name_any);
        Ok(pods)
    }

    /// Returns the number of restarts of each pod's server.
    pub async fn restarts(&self) -> Result<BTreeMap<String, i32>> {
        let of = |pod: &Pod| Some(pod.status.as_ref()?.container_statuses.as_ref()?.first()?.restart_count);
        Ok(self.pods().await?.iter().filter_map(|pod| Some((pod.name_any(), of(pod)?))).collect())
    }

    /// Waits until a pod is ready and returns the ID of its server container.
    pub async fn run_of(&self, pod: &str) -> Result<String> {
        eventually(&format!("{pod} is ready"), || async {
            self.ready_run(pod).await.map_err(|error| error.to_string())
        })
        .await
    }

    async fn ready_run(&self, pod: &str) -> Result<String> {
        let container = |found: &Pod| {
            let status = found.status.as_ref()?.container_statuses.as_ref()?.first()?;
            status.container_id.clone().filter(|_| status.ready)
        };
        let pods = self.pods().await?;
        let found = pods.iter().find(|found| found.name_any() == pod).and_then(container);
        found.with_context(|| format!("{pod} is not ready"))
    }

    /// Waits until a pod's server was restarted and all three nodes are Ready; the status alone may predate the fault.
    pub async fn comes_back(&self, pod: &str, before: &str) -> Result<()> {
        self.runs_again(pod, before).await?;
        self.until("all three nodes are Ready", whole).await.map(drop)
    }

    /// Waits until a pod's server was restarted and is ready.
    pub async fn runs_again(&self, pod: &str, before: &str) -> Result<()> {
        eventually(&format!("{pod} runs a new container"), || async {
            let run = self.ready_run(pod).await.map_err(|error| error.to_string())?;
            if run == before { Err(run) } else { Ok(()) }
        })
        .await
        .with_context(|| self.story())
    }

    /// Deletes a pod, and returns its replacement once that is ready.
    pub async fn lost_pod(&self, pod: &str) -> Result<Pod> {
        let before = self.run_of(pod).await?;
        self.delete_pod(pod).await?;
        self.runs_again(pod, &before).await?;
        let found = self.pods().await?.into_iter().find(|found| found.name_any() == pod);
        found.context("the pod does not exist")
    }

    /// Waits until the label of the leader, which the Service `main-active` selects, is on this pod alone.
    pub async fn labeled(&self, pod: &str) -> Result<()> {
        eventually("only the leader has the label", || async {
            let pods = self.pods().await.map_err(|error| error.to_string())?;
            let active =
                pods.iter().filter(|pod| pod.labels().get("openbao-active").is_some_and(|is| is == "true"));
            let active: Vec<String> = active.map(ResourceExt::name_any).collect();
            if active == [pod] { Ok(()) } else { Err(active.join(", ")) }
        })
        .await
        .with_context(|| self.story())
    }

    /// Returns the Kubernetes node that a pod runs on.
    pub async fn machine_of(&self, pod: &str) -> Result<String> {
        let found = self.pods().await?.into_iter().find(|found| found.name_any() == pod);
        found.and_then(|pod| pod.spec?.node_name).context("the pod has no Kubernetes node")
    }

    /// Deletes a pod, as an eviction does.
    pub async fn delete_pod(&self, pod: &str) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), &self.namespace);
        api.delete(pod, &DeleteParams::default()).await.map(drop)?;
        Ok(())
    }

    /// Deletes a pod and waits until its replacement serves.
    pub async fn replace_pod(&self, pod: &str) -> Result<()> {
        let before = self.run_of(pod).await?;
        self.delete_pod(pod).await?;
        self.comes_back(pod, &before).await
    }

    /// Returns the IP address of a pod.
    pub async fn address(&self, pod: &str) -> Result<String> {
        let pods = self.pods().await?;
        let found = pods
            .iter()
            .find(|found| found.name_any() == pod)
            .and_then(|pod| pod.status.as_ref()?.pod_ip.clone());
        found.context("the pod has no address")
    }

    /// Waits until the kubelet backs off before it restarts a pod's server.
    pub async fn pod_backs_off(&self, pod: &str) -> Result<()> {
        eventually("the pod is in CrashLoopBackOff", || async {
            let pods = self.pods().await.map_err(|error| error.to_string())?;
            let found = pods.iter().find(|found| found.name_any() == pod);
            let status = found.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref()?.first());
            let waiting = status.and_then(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
            if waiting.as_deref() == Some("CrashLoopBackOff") { Ok(()) } else { Err(format!("{waiting:?}")) }
        })
        .await
    }

    /// Returns the content of a file in a pod's server container.
    pub fn file_in(&self, pod: &str, path: &str) -> Result<String> {
        let process = self.fleet.cluster.process_of(&self.namespace, pod)?;
        Ok(std::fs::read_to_string(format!("/proc/{process}/root{path}"))?)
    }
}
