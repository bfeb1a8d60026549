//! Alerts and the dashboard of a managed cluster, with a real Prometheus that scrapes the operator and the node.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::json;
use steamer_testing::prometheus::{Prometheus, Target, queries};

use crate::bao::Bao;

impl Bao {
    /// Starts a Prometheus that scrapes the operator and the first node.
    async fn prometheus(&self) -> Result<Prometheus> {
        let running = self.fleet.running.lock().await;
        let operator =
            running.as_ref().context("no operator")?.admin.trim_start_matches("http://").to_owned();
        drop(running);
        let pod = Api::<Pod>::namespaced(self.kube.clone(), &self.namespace).get("main-0").await?;
        let node = pod.status.and_then(|status| status.pod_ip).context("the pod has no address")?;
        let targets = [
            Target { job: "steamer", address: operator },
            Target { job: "openbao", address: format!("{node}:9101") },
        ];
        let (folder, logs) = (self.fleet.folder.join(&self.namespace), self.fleet.logs.clone());
        let started = async move { Prometheus::start(&folder, &logs, &targets).await };
        self.fleet.at_home(started).await
    }
}

#[tokio::test]
async fn every_panel_of_a_cluster_has_data_and_a_lost_database_fires_its_alerts() -> Result<()> {
    let bao = Bao::with_own_postgres("monitored").await?;
    let bao = bao.up(|spec| spec["managed"]["replicas"] = json!(1)).await?;
    let prometheus = bao.prometheus().await?;
    // Only a takeover has a duration.
    let has_data = |query: &String| !query.contains("takeover");
    let queries: Vec<String> = queries("clusters")?.into_iter().filter(has_data).collect();
    prometheus.answers(&queries).await?;
    bao.postgres.kill();
    let fires = |alert: &str| {
        format!("ALERTS{{alertstate=\"firing\", alertname=\"{alert}\", namespace=\"monitored\"}}")
    };
    prometheus.answers(&["OpenBaoDatabaseUnreachable", "OpenBaoUnavailable"].map(fires)).await?;
    let postgres = bao.postgres.clone();
    bao.fleet.at_home(async move { postgres.again().await }).await?;
    bao.ready().await?;
    let ended =
        ["OpenBaoDatabaseUnreachable", "OpenBaoUnavailable"].map(|alert| format!("absent({})", fires(alert)));
    prometheus.answers(&ended).await
}
