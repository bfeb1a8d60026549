//! What syncing costs, counted: requests, writes, time, memory. Prints figures and judges none.

use std::time::Instant;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::Ground;
use steamer_testing::ground::apply;
use steamer_testing::wait::eventually;

const NAMESPACE: &str = "bench";

/// Makes `objects` BaoStaticSecrets on `paths` paths and prints what their first sync took.
pub(crate) async fn bench(objects: usize, paths: usize) -> Result<()> {
    let ground = Ground::shared();
    let client = ground.client().await?;
    prepare(&ground, paths).await?;
    let (requests, started) = (counted(&ground)?, Instant::now());
    for number in 0..objects {
        let spec = json!({
            "mount": "bench", "path": format!("p{}", number % paths.max(1)), "type": "kv-v2", "refreshAfter": "1h",
            "destination": {"name": format!("s{number}"), "create": true},
        });
        object(&ground, "BaoStaticSecret", &format!("s{number}"), spec).await?;
    }
    let api: Api<BaoStaticSecret> = Api::namespaced(client, NAMESPACE);
    eventually("all are Ready", || async {
        let list = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let ready = list.items.iter().filter(|object| is_ready(object)).count();
        if ready == objects { Ok(()) } else { Err(format!("{ready} of {objects}")) }
    })
    .await?;
    let took = started.elapsed();
    let after = counted(&ground)?;
    let memory = memory(&ground).await?;
    println!(
        "{objects} BaoStaticSecrets on {paths} paths, made one after the other and synced: {:.1}s",
        took.as_secs_f64()
    );
    for (name, before, after) in
        [("reads of values", requests.0, after.0), ("Kubernetes requests", requests.1, after.1)]
    {
        println!("  {name}: {} ({:.2} an object)", after - before, (after - before) as f64 / objects as f64);
    }
    println!("  memory of the operator: {memory} KiB (debug build)");
    Ok(())
}

async fn prepare(ground: &Ground, paths: usize) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let client = ground.client().await?;
    apply(&client, namespace).await?;
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.get(NAMESPACE).await?;
    let admin = ground.openbao.admin()?;
    let post = |path: &'static str, body: Value| admin.request_any(http::Method::POST, path, Some(body));
    post("sys/mounts/bench", json!({"type": "kv", "options": {"version": "2"}})).await?;
    let policy = json!({"path": {"bench/*": {"capabilities": ["read"]}}}).to_string();
    post("sys/policies/acl/bench", json!({"policy": policy})).await?;
    let role = json!({
        "bound_service_account_names": ["*"], "bound_service_account_namespaces": [NAMESPACE],
        "audience": "openbao", "token_policies": ["bench"], "token_ttl": "10m",
    });
    post("auth/kubernetes/role/bench", role).await?;
    for path in 0..paths.max(1) {
        admin.write_kv2("bench", &format!("p{path}"), &json!({"value": "x".repeat(256)})).await?;
    }
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca", "namespace": NAMESPACE},
        "stringData": {"ca.crt": ground.openbao.ca},
    });
    apply(&ground.client().await?, ca).await?;
    object(ground, "BaoConnection", "bao", json!({"address": ground.openbao.url, "caCertSecretRef": "ca"}))
        .await?;
    let auth = json!({
        "connectionRef": {"name": "bao"}, "method": "Kubernetes",
        "kubernetes": {"role": "bench", "serviceAccount": "default", "audiences": ["openbao"]},
    });
    object(ground, "BaoAuth", "default", auth).await
}

async fn object(ground: &Ground, kind: &str, name: &str, spec: Value) -> Result<()> {
    let object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    });
    apply(&ground.client().await?, object).await.map(drop)
}

fn is_ready(object: &BaoStaticSecret) -> bool {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Reads of values by OpenBao's audit log, and the operator's requests by the API server's.
fn counted(ground: &Ground) -> Result<(usize, usize)> {
    let reads = std::fs::read_to_string(&ground.openbao.audit)?;
    let reads =
        reads.lines().filter(|line| line.contains(r#""type":"response""#) && line.contains("bench/data/p"));
    let requests = std::fs::read_to_string(&ground.plane.audit)?;
    let requests = requests.lines().filter(|line| {
        line.contains("system:serviceaccount:steamer-system:steamer") && line.contains("/namespaces/bench/")
    });
    Ok((reads.count(), requests.count()))
}

async fn memory(ground: &Ground) -> Result<u64> {
    let id = ground.running.lock().await.as_ref().map(|running| running.process.id()).unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
