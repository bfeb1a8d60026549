//! Objects of the kinds that issue, render, push and restart: first sync, leases and their renewals, settled state, memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::{BaoDynamicSecret, BaoPKISecret, BaoPushSecret, BaoStaticSecret};
use steamer_testing::database::{self, Connection};
use steamer_testing::openbao::mount_kv;
use steamer_testing::{Ground, demo};

use super::counts::Since;
use super::rig::{NAMESPACE, Rig, all_ready, seen};
use super::table::Column;

/// Duration of the measurement of a settled operator: one lease of every credential.
const SETTLED: Duration = Duration::from_secs(60);
/// Number of workloads that a changed Secret restarts.
const WORKLOADS: usize = 50;

/// Measures `objects` of each kind on one operator.
pub(super) async fn measure(servers: &Arc<Ground>, operator: &Path, objects: usize) -> Result<Column> {
    let mut column = Column::new(format!("{objects} of each kind"));
    let mut rig = Rig::new(servers, operator, format!("kinds-{objects}")).await?;
    prepare(&rig).await?;
    rig.start().await?;
    rig.ready().await?;
    column.add("memory, idle", rig.memory()?, " MiB");
    synced::<BaoDynamicSecret>(&rig, &mut column, ("BaoDynamicSecret", "dynamic: all Ready", objects))
        .await?;
    synced::<BaoPKISecret>(&rig, &mut column, ("BaoPKISecret", "certificates: all Ready", objects)).await?;
    synced::<BaoStaticSecret>(&rig, &mut column, ("BaoStaticSecret", "templates: all Ready", objects))
        .await?;
    synced::<BaoPushSecret>(&rig, &mut column, ("BaoPushSecret", "push: all Ready", objects)).await?;
    column.add("memory, loaded", rig.memory()?, " MiB");
    column.add("leases held", leases(&rig).await? as f64, "");

    let (since, used, from) = (Since::now(&rig.ground)?, rig.processor_time()?, Instant::now());
    tokio::time::sleep(SETTLED).await;
    let used = rig.processor_time()? - used;
    column.add("processor, settled", used / from.elapsed().as_secs_f64() * 100.0, " %");
    column.add_counts(&SETTLED_COUNTS, &since.counts(&rig.ground)?, objects);
    column.add("restart of 50 workloads: all restarted", restarted(&rig).await?, " ms");

    rig.stop()?;
    let since = Since::now(&rig.ground)?;
    rig.start().await?;
    rig.ready().await?;
    all_ready::<BaoDynamicSecret>(&rig, objects).await?;
    column.add_counts(&RESTART, &since.counts(&rig.ground)?, objects);
    Ok(column)
}

const SETTLED_COUNTS: [(&str, &str); 6] = [
    ("settled: lease renewals per object and minute", "OpenBao: lease renewals"),
    ("settled: token renewals per object and minute", "OpenBao: token renewals"),
    ("settled: credentials per object and minute", "OpenBao: credentials"),
    ("settled: certificates per object and minute", "OpenBao: certificates"),
    ("settled: status writes per object and minute", "Kubernetes: status writes"),
    ("settled: Secret writes per object and minute", "Kubernetes: Secret writes"),
];

const RESTART: [(&str, &str); 3] = [
    ("restart: credentials per object", "OpenBao: credentials"),
    ("restart: certificates per object", "OpenBao: certificates"),
    ("restart: writes per object, including new objects", "Kubernetes: Secret writes"),
];

/// Creates objects of a kind and measures the time until all of them are Ready.
async fn synced<K>(
    rig: &Rig,
    column: &mut Column,
    (kind, figure, objects): (&str, &'static str, usize),
) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Send
        + 'static,
{
    let started = Instant::now();
    rig.objects(kind, (0..objects).map(|number| (format!("o{number}"), spec(kind, number)))).await?;
    all_ready::<K>(rig, objects).await?;
    column.add(figure, started.elapsed().as_secs_f64(), " s");
    Ok(())
}

fn spec(kind: &str, number: usize) -> Value {
    let prefix = kind.to_lowercase();
    let mut destination = json!({"name": format!("{prefix}-{number}"), "create": true});
    match kind {
        "BaoDynamicSecret" => json!({
            "mount": "bench-db", "path": "creds/bench", "renewalPercent": 50, "destination": destination,
        }),
        "BaoPKISecret" => json!({
            "mount": "pki", "role": "web", "commonName": "web.example.com", "ttl": "24h",
            "destination": destination,
        }),
        "BaoPushSecret" => json!({
            "secretRef": {"name": "source"}, "refreshAfter": "60s",
            "data": [{"mount": "bench-kv", "path": format!("pushed/{number}"), "type": "kv-v2"}],
        }),
        _ => {
            let text = r#"{{ range $key, $value := .Secrets }}{{ $key }}={{ $value | b64enc }};{{ end }}"#;
            destination["transformation"] = json!({"templates": {"env": {"text": text}}});
            json!({
                "mount": "bench-kv", "path": "app", "type": "kv-v2", "refreshAfter": "60s",
                "destination": destination,
            })
        }
    }
}

/// Creates the engines, a login for all of them, and the Secret that is pushed.
async fn prepare(rig: &Rig) -> Result<()> {
    let admin = rig.ground.openbao.admin()?;
    let post = async |path: &str, body: Value| admin.request_any(Method::POST, path, Some(body)).await;
    let url = database::url(&format!("127.0.0.1:{}", rig.ground.postgres.port), "disable");
    let connection = Connection { url: &url, user: "postgres", password: "trusted" };
    database::engine(&admin, "bench-db", connection).await?;
    database::role(&admin, "bench-db/roles/bench", ("60s", "24h")).await?;
    demo::pki(&admin).await?;
    // The key of each certificate is generated by OpenBao: an EC key costs little beside the operator.
    let role = json!({"allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "720h", "key_type": "ec"});
    post("pki/roles/web", role).await?;
    mount_kv(&admin, "bench-kv").await?;
    admin.write_kv2("bench-kv", "app", &json!({"username": "app", "password": "x".repeat(64)})).await?;
    let all = json!({"capabilities": ["create", "read", "update", "delete"]});
    let paths: BTreeMap<&str, &Value> =
        ["bench-db/*", "bench-kv/*", "pki/*"].into_iter().map(|path| (path, &all)).collect();
    let policy = json!({"path": paths}).to_string();
    post("sys/policies/acl/bench", json!({"policy": policy})).await?;
    let role = json!({
        "bound_service_account_names": ["*"], "bound_service_account_namespaces": [NAMESPACE],
        "audience": "openbao", "token_policies": ["bench"], "token_ttl": "24h",
    });
    post("auth/kubernetes/role/bench", role).await?;
    let auth = json!({
        "clusterRef": {"name": "main"}, "method": "Kubernetes",
        "kubernetes": {"role": "bench", "serviceAccount": "default", "audiences": ["openbao"]},
    });
    rig.object("BaoAuth", "default", auth).await?;
    rig.apply(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "source", "namespace": NAMESPACE},
        "stringData": {"username": "app", "password": "y".repeat(64)},
    }))
    .await
}

/// Number of leases of the database engine.
async fn leases(rig: &Rig) -> Result<usize> {
    let admin = rig.ground.openbao.admin()?;
    let list = Method::from_bytes(b"LIST")?;
    let answer = admin.request_any(list, "sys/leases/lookup/bench-db/creds/bench", None).await?;
    Ok(answer["data"]["keys"].as_array().context("no leases")?.len())
}

/// Measures the time from a changed value, with a reconcile requested by annotation, to the last restarted workload, in
/// milliseconds.
async fn restarted(rig: &Rig) -> Result<f64> {
    let labels = json!({"app": "restarted"});
    for number in 0..WORKLOADS {
        let template = json!({
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        rig.apply(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": format!("w{number}"), "namespace": NAMESPACE, "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }))
        .await?;
    }
    let mut changed = spec("BaoStaticSecret", 0);
    changed["path"] = json!("restarts");
    changed["destination"]["name"] = json!("restarts");
    changed["rolloutRestartTargets"] = json!([{"kind": "Deployment", "selector": {"matchLabels": labels}}]);
    changed["rolloutRestart"] = json!({"debounce": "0s"});
    let admin = rig.ground.openbao.admin()?;
    admin.write_kv2("bench-kv", "restarts", &json!({"a": "1"})).await?;
    rig.object("BaoStaticSecret", "restarts", changed).await?;
    let objects: Api<BaoStaticSecret> = Api::namespaced(rig.client.clone(), NAMESPACE);
    seen(objects.clone(), |object| {
        object.name_any() == "restarts"
            && object.status.as_ref().is_some_and(|status| status.version == Some(1))
    })
    .await?;
    let started = Instant::now();
    admin.write_kv2("bench-kv", "restarts", &json!({"a": "2"})).await?;
    let nudge = json!({"metadata": {"annotations": {"steamer.dev/reconcile": "restart"}}});
    objects.patch("restarts", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
    let mut done = std::collections::BTreeSet::new();
    seen(Api::<Deployment>::namespaced(rig.client.clone(), NAMESPACE), |workload| {
        if workload.metadata.generation == Some(2) {
            done.insert(workload.name_any());
        }
        done.len() >= WORKLOADS
    })
    .await?;
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}
