//! Alerts and dashboards, with a real Prometheus that scrapes the operator.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams};
use serde_json::json;
use steamer_api::{BaoStaticSecret, OpenBaoCluster};
use steamer_testing::prometheus::{Prometheus, Target, queries};

use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

impl Rig {
    /// Starts a Prometheus that scrapes the operator.
    async fn prometheus(&self) -> Result<Prometheus> {
        let admin = &self.running.as_ref().context("no operator")?.admin;
        let target = Target { job: "steamer", address: admin.trim_start_matches("http://").to_owned() };
        let ground = self.case.ground.clone();
        let started = async move { Prometheus::start(&ground.folder, &ground.logs, &[target]).await };
        self.case.ground.at_home(started).await
    }

    async fn synced(&self, name: &str, path: &str) -> Result<()> {
        let spec = json!({
            "mount": "monitoring", "path": path, "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": name, "create": true},
        });
        self.case.object("BaoStaticSecret", name, spec).await.map(drop)
    }
}

#[tokio::test]
async fn every_panel_has_data_and_an_outage_fires_its_alerts() -> Result<()> {
    let mut rig = Rig::new("monitoring").await?;
    rig.start().await?;
    let prometheus = rig.prometheus().await?;
    let case = &rig.case;
    engine(case, "monitoring").await?;
    case.object("BaoAuth", "default", auth("monitoring")).await?;
    let bao = case.admin()?;
    let write = async |value: &str| bao.write_kv2("monitoring", "app", &json!({"value": value})).await;
    write("one").await?;
    rig.synced("app", "app").await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    rig.synced("none", "none").await?;
    case.ready::<BaoStaticSecret>("none", "False/SourceMissing").await?;
    // Only the delivery of a later version has a duration. Prometheus computes an increase from an earlier sample.
    prometheus.answers(&["steamer_secret_delivery_seconds_count".to_owned()]).await?;
    write("two").await?;
    prometheus.answers(&queries("operator")?).await?;
    prometheus.only_fires(&["SteamerObjectsNotReady"]).await?;
    case.api::<BaoStaticSecret>().delete("none", &DeleteParams::default()).await?;
    prometheus.only_fires(&[]).await?;

    let mut openbao = case.ground.own_openbao("monitoring-own").await?;
    case.cluster("own", &openbao).await?;
    case.ready::<OpenBaoCluster>("own", "True/Applied").await?;
    openbao.stop();
    prometheus.only_fires(&["OpenBaoUnavailable", "SteamerObjectsNotReady"]).await?;
    let sealed = async move {
        openbao.run_sealed()?;
        Ok(openbao)
    };
    let openbao = case.ground.at_home(sealed).await?;
    prometheus.fires(&["OpenBaoSealed", "OpenBaoUnavailable", "SteamerObjectsNotReady"]).await?;
    let clusters: Api<OpenBaoCluster> = case.api();
    clusters.delete("own", &DeleteParams::default()).await?;
    prometheus.only_fires(&[]).await?;
    drop(openbao);

    rig.kill().await?;
    prometheus.only_fires(&["SteamerDown"]).await
}
