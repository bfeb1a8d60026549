//! Cost of clusters for the operator, from its own metrics. `make bench` prints it; nothing is asserted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::api::{Api, ListParams};
use serde_json::json;
use steamer_api::OpenBaoCluster;
use steamer_testing::Fleet;
use steamer_testing::objects::apply;
use steamer_testing::wait::eventually;

use crate::bao::{Bao, is_ready, whole};

/// Returns the number of requests so far: to Kubernetes, OpenBao and PostgreSQL.
async fn requests(fleet: &Fleet) -> Result<[f64; 3]> {
    let url = fleet.running.lock().await.as_ref().map(|operator| format!("{}/metrics", operator.admin));
    let text = reqwest::get(url.context("the operator is not running")?).await?.text().await?;
    let value = |name: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(&format!("steamer_{name}_requests_total ")));
        line.and_then(|value| value.parse().ok()).with_context(|| format!("the metric {name} is missing"))
    };
    Ok([value("kubernetes")?, value("openbao")?, value("database")?])
}

/// Prints the requests of the operator in one minute, and its memory.
async fn told(fleet: &Fleet, what: &str) -> Result<()> {
    let before = requests(fleet).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = requests(fleet).await?;
    let memory =
        fleet.running.lock().await.as_ref().context("the operator is not running")?.process.memory()?;
    let [kubernetes, openbao, database] = [0, 1, 2].map(|at| after[at] - before[at]);
    println!(
        "{what}, settled, per minute: {kubernetes:.0} requests to Kubernetes, {openbao:.0} to OpenBao, {database:.0} to \
         PostgreSQL; memory {} MiB (debug build)",
        memory / 1024
    );
    Ok(())
}

async fn all_ready(bao: &Bao, count: usize) -> Result<()> {
    let clusters: Api<OpenBaoCluster> = Api::all(bao.kube.clone());
    // Longer than the usual deadline: each start takes about one CPU second.
    for _ in 0..=count / 10 {
        let ready = eventually("all clusters are Ready", || async {
            let all = clusters.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let ready = all.iter().filter(|cluster| is_ready(cluster)).count();
            if ready == count { Ok(()) } else { Err(format!("{ready} of {count}")) }
        });
        if ready.await.is_ok() {
            return Ok(());
        }
    }
    anyhow::bail!("not all of {count} clusters became Ready")
}

#[tokio::test]
#[ignore = "measurement of about 30 minutes: run `make bench`"]
async fn the_cost_of_one_and_of_fifty_clusters_is_measured() -> Result<()> {
    let bao = Bao::alone("figures").await?;
    let started = Instant::now();
    bao.apply(|_| {}).await?;
    bao.until("three nodes serve", whole).await?;
    println!("from apply to three nodes serving: {:.1} s", started.elapsed().as_secs_f64());
    told(&bao.fleet, "1 cluster of three nodes").await?;
    let count = std::env::var("STEAMER_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(50);
    let started = Instant::now();
    for number in 1..count {
        let name = format!("figures-{number}");
        bao.fleet.namespace(&name).await?;
        bao.postgres.database(&name)?;
        for secret in bao.postgres.secrets(&name, &name) {
            apply(&bao.kube, secret).await?;
        }
        let mut cluster = bao.cluster();
        cluster["metadata"]["namespace"] = json!(name);
        cluster["spec"]["managed"]["replicas"] = json!(1);
        cluster["spec"]["managed"]["storage"]["postgresql"]["maxConnectionsPerPod"] = json!(4);
        cluster["spec"]["administrators"] = json!([]);
        apply(&bao.kube, cluster).await?;
    }
    all_ready(&bao, count).await?;
    println!("{} more clusters of one node each: {:.0} s", count - 1, started.elapsed().as_secs_f64());
    told(&bao.fleet, &format!("{count} clusters, all but one of one node")).await?;
    let kubectl = bao.fleet.kubectl()?;
    for number in 1..count {
        kubectl.run(&["delete", "namespace", &format!("figures-{number}"), "--wait=false"])?;
    }
    Ok(())
}
