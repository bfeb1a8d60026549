//! Instant delivery: time from a written value to its Secret, and reads of unchanged values.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, WatchEvent, WatchParams};
use serde_json::json;
use steamer_api::{BaoStaticSecret, OpenBaoCluster};
use steamer_testing::Ground;
use steamer_testing::relay::{Place, Relay};
use steamer_testing::wait::eventually;

use super::counts::Since;
use super::rig::{NAMESPACE, Rig, all_ready};
use super::secrets::{prepare, spec};
use super::table::Column;

/// Number of writes.
const WRITES: usize = 1000;
/// Duration of the measurement of unchanged values: two refreshes of every object.
const SETTLED: Duration = Duration::from_secs(120);

pub(super) async fn measure(servers: &Arc<Ground>, operator: &Path, objects: usize) -> Result<Column> {
    let mut column = Column::new(format!("{objects} secrets, instant delivery"));
    let mut rig = Rig::new(servers, operator, format!("instant-{objects}")).await?;
    prepare(&rig, objects).await?;
    let _relay = relay(&rig, operator).await?;
    rig.objects("BaoStaticSecret", (0..objects).map(|number| (format!("s{number}"), spec(number, objects))))
        .await?;
    rig.start().await?;
    all_ready::<BaoStaticSecret>(&rig, objects).await?;
    covered(&rig).await?;
    let mut times = written(&rig, objects).await?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    column.add("written value to Secret: median", at(0.5), " ms");
    column.add("written value to Secret: p99", at(0.99), " ms");
    column.add("written value to Secret: worst", at(1.0), " ms");

    // Values that were read before the relay was connected are read once more.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (since, used, from) = (Since::now(&rig.ground)?, rig.processor_time()?, Instant::now());
    tokio::time::sleep(SETTLED).await;
    let used = rig.processor_time()? - used;
    column.add("processor, settled", used / from.elapsed().as_secs_f64() * 100.0, " %");
    let reads = [("settled: value reads per object in two minutes", "OpenBao: value reads")];
    column.add_counts(&reads, &since.counts(&rig.ground)?, objects);
    column.add("memory", rig.memory()?, " MiB");
    Ok(column)
}

/// Starts a relay beside the OpenBao of the rig, and states it in the cluster.
async fn relay(rig: &Rig, operator: &Path) -> Result<Arc<Relay>> {
    let openbao = &rig.ground.openbao;
    let certificate = openbao.certificate();
    let place = Place { certificate: &certificate, logs: &rig.ground.logs, binary: Some(operator) };
    let relay = Arc::new(Relay::new("relay", &place)?);
    let starting = relay.clone();
    rig.ground.at_home(async move { starting.start() }).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    eventually("the relay receives entries", || async {
        http.post(&relay.audit_url).body("{}").send().await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    openbao.add_audit_device(relay.audit_device()).await?;
    let token = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "relay", "namespace": NAMESPACE},
        "stringData": {"token": relay.token},
    });
    rig.apply(token).await?;
    let clusters: Api<OpenBaoCluster> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let mut spec = json!(clusters.get("main").await?.spec);
    spec["external"]["instantDelivery"] = json!({"relays": [relay.url], "tokenSecretRef": {"name": "relay"}});
    rig.object("OpenBaoCluster", "main", spec).await?;
    Ok(relay)
}

/// Waits until the relay reports every write.
async fn covered(rig: &Rig) -> Result<()> {
    let clusters: Api<OpenBaoCluster> = Api::namespaced(rig.client.clone(), NAMESPACE);
    eventually("the relay reports every write", || async {
        let status =
            clusters.get("main").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let is_set = |kind: &str| {
            status
                .common
                .conditions
                .iter()
                .any(|condition| condition.type_ == kind && condition.status == "True")
        };
        if is_set("InstantDelivery") { Ok(()) } else { Err(format!("{:?}", status.common.conditions)) }
    })
    .await
}

/// Measures the times from the request that writes a value to the Secret, in milliseconds, one after the other.
async fn written(rig: &Rig, objects: usize) -> Result<Vec<f64>> {
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let version = secrets.list(&Default::default()).await?.metadata.resource_version.unwrap_or_default();
    let parameters = WatchParams::default().timeout(290);
    let mut events = secrets.watch(&parameters, &version).await?.boxed();
    let admin = rig.ground.openbao.admin()?;
    let mut times = Vec::new();
    for number in 0..WRITES {
        let object = number * 7919 % objects;
        let (name, value) = (format!("s{object}"), format!("written {number}"));
        let started = Instant::now();
        admin.write_kv2("bench", &format!("p{object}"), &json!({"password": value})).await?;
        arrives(&mut events, (&name, &value)).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

type Events = BoxStream<'static, Result<WatchEvent<Secret>, kube::Error>>;

/// Waits until a Secret has a password.
async fn arrives(events: &mut Events, (name, value): (&str, &str)) -> Result<()> {
    let wait = async {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Added(secret) | WatchEvent::Modified(secret) = event
                && secret.name_any() == name
                && secret
                    .data
                    .as_ref()
                    .and_then(|data| data.get("password"))
                    .is_some_and(|it| it.0 == value.as_bytes())
            {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.context("not complete within two minutes")?
}
