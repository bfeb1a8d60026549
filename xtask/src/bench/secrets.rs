//! BaoStaticSecrets: first sync, settled state, new and changed objects, restarts, memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::Ground;

use super::counts::Since;
use super::rig::{NAMESPACE, Rig, all_ready};
use super::table::Column;

/// Number of repetitions of a timed operation.
const TRIES: usize = 20;
/// Duration of the measurement of a settled operator: one refresh of every object.
const SETTLED: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub(super) struct What {
    pub(super) objects: usize,
    pub(super) paths: usize,
    pub(super) foreign: usize,
}

pub(super) async fn measure(servers: &Arc<Ground>, operator: &Path, what: What) -> Result<Column> {
    let What { objects, paths, foreign } = what;
    let mut column = Column::new(format!("{objects} secrets, {paths} paths"));
    let mut rig = Rig::new(servers, operator, format!("secrets-{objects}-{paths}")).await?;
    prepare(&rig, paths).await?;
    rig.start().await?;
    rig.ready().await?;
    column.add("memory, idle", rig.memory()?, " MiB");
    rig.stop()?;
    rig.objects("BaoStaticSecret", (0..objects).map(|number| (format!("s{number}"), spec(number, paths))))
        .await?;

    let since = Since::now(&rig.ground)?;
    let started = rig.start().await?;
    all_ready::<BaoStaticSecret>(&rig, objects).await?;
    column.add("all Ready after a cold start", started.elapsed().as_secs_f64(), " s");
    column.add_counts(&FIRST, &since.counts(&rig.ground)?, objects);
    column.add("memory, loaded", rig.memory()?, " MiB");

    let (since, used, from) = (Since::now(&rig.ground)?, rig.processor_time()?, Instant::now());
    tokio::time::sleep(SETTLED).await;
    let used = rig.processor_time()? - used;
    column.add("processor, settled", used / from.elapsed().as_secs_f64() * 100.0, " %");
    column.add_counts(&SETTLED_COUNTS, &since.counts(&rig.ground)?, objects);

    column.add_times(
        ["kubectl steamer status", "kubectl steamer status: worst"],
        &status(&rig, &operator.with_file_name("kubectl-steamer"))?,
    );
    column.add_times(
        ["new object: Secret created", "new object: worst"],
        &new_objects(&rig, "new", paths).await?,
    );
    column.add_times(["edited Secret: repaired", "edited Secret: worst"], &edited(&rig).await?);
    column.add_times(
        ["changed value, reconcile requested: synced", "changed value: worst"],
        &changed(&rig).await?,
    );

    rig.stop()?;
    let since = Since::now(&rig.ground)?;
    let started = rig.start().await?;
    let new = new_objects(&rig, "restart", paths).await?;
    column.add("restart: first new object synced after", new.first().copied().unwrap_or_default(), " ms");
    refreshed(&rig, &since, paths.min(objects)).await?;
    column.add("restart: all values read", started.elapsed().as_secs_f64(), " s");
    column.add_counts(&RESTART, &since.counts(&rig.ground)?, objects);
    column.add("memory, after a restart", rig.memory()?, " MiB");

    if foreign > 0 {
        others(&rig, foreign).await?;
        rig.stop()?;
        let since = Since::now(&rig.ground)?;
        rig.start().await?;
        refreshed(&rig, &since, paths.min(objects)).await?;
        column.add("memory, with foreign Secrets", rig.memory()?, " MiB");
    }
    Ok(column)
}

/// Times of `kubectl steamer status` of all objects, in milliseconds.
fn status(rig: &Rig, plugin: &Path) -> Result<Vec<f64>> {
    let time = |_| {
        let from = Instant::now();
        let mut command = std::process::Command::new(plugin);
        command.arg("status").env("KUBECONFIG", &rig.ground.plane.kubeconfig);
        let output = command.output().with_context(|| format!("cannot run {}", plugin.display()))?;
        anyhow::ensure!(output.status.code().is_some_and(|code| code != 1), "status fails: {output:?}");
        Ok(from.elapsed().as_secs_f64() * 1e3)
    };
    (0..TRIES).map(time).collect()
}

const FIRST: [(&str, &str); 7] = [
    ("first sync: value reads per object", "OpenBao: value reads"),
    ("first sync: logins per object", "OpenBao: logins"),
    ("first sync: Secret writes per object", "Kubernetes: Secret writes"),
    ("first sync: status writes per object", "Kubernetes: status writes"),
    ("first sync: Events per object", "Kubernetes: Events"),
    ("first sync: Kubernetes reads per object", "Kubernetes: reads"),
    ("first sync: other writes per object", "Kubernetes: other writes"),
];

const SETTLED_COUNTS: [(&str, &str); 4] = [
    ("settled: value reads per object and minute", "OpenBao: value reads"),
    ("settled: Secret writes per object and minute", "Kubernetes: Secret writes"),
    ("settled: status writes per object and minute", "Kubernetes: status writes"),
    ("settled: Kubernetes reads per object and minute", "Kubernetes: reads"),
];

const RESTART: [(&str, &str); 3] = [
    ("restart: value reads per object", "OpenBao: value reads"),
    ("restart: Kubernetes reads per object", "Kubernetes: reads"),
    ("restart: writes per object, including new objects", "Kubernetes: Secret writes"),
];

pub(super) fn spec(number: usize, paths: usize) -> Value {
    json!({
        "mount": "bench", "path": format!("p{}", number % paths), "type": "kv-v2", "refreshAfter": "60s",
        "destination": {"name": format!("s{number}"), "create": true},
    })
}

pub(super) async fn prepare(rig: &Rig, paths: usize) -> Result<()> {
    let admin = rig.ground.openbao.admin()?;
    let post = |path: &'static str, body: Value| admin.request_any(Method::POST, path, Some(body));
    post("sys/mounts/bench", json!({"type": "kv", "options": {"version": "2"}})).await?;
    let policy = json!({"path": {"bench/*": {"capabilities": ["read"]}}}).to_string();
    post("sys/policies/acl/bench", json!({"policy": policy})).await?;
    let role = json!({
        "bound_service_account_names": ["*"], "bound_service_account_namespaces": [NAMESPACE],
        "audience": "openbao", "token_policies": ["bench"], "token_ttl": "10m",
    });
    post("auth/kubernetes/role/bench", role).await?;
    let value = json!({"username": "app", "password": "x".repeat(64), "certificate": "y".repeat(1024)});
    // A new mount rejects writes for a moment.
    steamer_testing::wait::eventually("the engine accepts a value", || async {
        admin.write_kv2("bench", "p0", &value).await.map_err(|error| error.to_string())
    })
    .await?;
    let write = |path: usize| {
        let (admin, value) = (&admin, &value);
        async move { admin.write_kv2("bench", &format!("p{path}"), value).await.map(drop) }
    };
    stream::iter(1..paths).map(write).buffer_unordered(16).try_collect::<()>().await?;
    let auth = json!({
        "clusterRef": {"name": "main"}, "method": "Kubernetes",
        "kubernetes": {"role": "bench", "serviceAccount": "default", "audiences": ["openbao"]},
    });
    rig.object("BaoAuth", "default", auth).await
}

/// Measures the times from the creation of an object to its Secret, in milliseconds.
async fn new_objects(rig: &Rig, prefix: &str, paths: usize) -> Result<Vec<f64>> {
    let objects: Api<BaoStaticSecret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let mut times = Vec::new();
    for number in 0..TRIES {
        let name = format!("{prefix}{number}");
        let mut spec = spec(number, paths);
        spec["destination"]["name"] = json!(name);
        let object: BaoStaticSecret = serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "BaoStaticSecret",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        }))?;
        let mut watch = watch(&secrets, &name).await?;
        let started = Instant::now();
        objects.create(&PostParams::default(), &object).await?;
        until(&mut watch, |_| true).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

type Events = BoxStream<'static, Result<WatchEvent<Secret>, kube::Error>>;

/// Watches a Secret, starting with its current state.
async fn watch(secrets: &Api<Secret>, name: &str) -> Result<Events> {
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
    Ok(secrets.watch(&parameters, "0").await?.boxed())
}

/// Waits until the Secret has the desired state.
async fn until(events: &mut Events, right: impl Fn(&Secret) -> bool) -> Result<()> {
    let wait = async {
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(secret) | WatchEvent::Modified(secret) if right(&secret) => return Ok(()),
                _ => {}
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.context("not complete within two minutes")?
}

/// Measures the times from an edit of a Secret to its repair, in milliseconds.
async fn edited(rig: &Rig) -> Result<Vec<f64>> {
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let mut times = Vec::new();
    for number in 0..TRIES {
        let name = format!("new{number}");
        let edit = json!({"stringData": {"password": "edited"}});
        let mut watch = watch(&secrets, &name).await?;
        secrets.patch(&name, &PatchParams::default(), &Patch::Merge(&edit)).await?;
        until(&mut watch, |secret| password(secret) == Some(b"edited")).await?;
        let started = Instant::now();
        until(&mut watch, |secret| password(secret) != Some(b"edited")).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

fn password(secret: &Secret) -> Option<&[u8]> {
    secret.data.as_ref()?.get("password").map(|value| value.0.as_slice())
}

/// Measures the times from a changed value, with a reconcile requested by annotation, to the updated Secret, in
/// milliseconds.
async fn changed(rig: &Rig) -> Result<Vec<f64>> {
    let secrets: Api<Secret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let objects: Api<BaoStaticSecret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    let admin = rig.ground.openbao.admin()?;
    let mut times = Vec::new();
    for number in 0..TRIES {
        let value = format!("changed {number}");
        let mut watch = watch(&secrets, "s0").await?;
        let started = Instant::now();
        admin.write_kv2("bench", "p0", &json!({"password": value})).await?;
        let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": value}}});
        objects.patch("s0", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
        until(&mut watch, |secret| password(secret) == Some(value.as_bytes())).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

/// Waits until the given number of values was read since then.
async fn refreshed(rig: &Rig, since: &Since, reads: usize) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(300) {
        if since.counts(&rig.ground)?.get("OpenBao: value reads").is_some_and(|count| *count >= reads) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("not every value was read within five minutes")
}

/// Creates Secrets that do not belong to Steamer.
async fn others(rig: &Rig, count: usize) -> Result<()> {
    rig.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "others"}})).await?;
    let api: Api<Secret> = Api::namespaced(rig.client.clone(), "others");
    let create = |number: usize| {
        let api = api.clone();
        async move {
            let secret: Secret = serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("foreign-{number}")},
                "stringData": {"value": "x".repeat(256)},
            }))?;
            api.create(&PostParams::default(), &secret).await?;
            anyhow::Ok(())
        }
    };
    stream::iter(0..count).map(create).buffer_unordered(32).try_collect::<()>().await
}
