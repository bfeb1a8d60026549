//! Objects of the general kinds: time from apply to Ready, a settled drift interval, a restart, and a bare loop that makes the
//! same requests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};
use steamer_testing::Ground;

use super::counts::{Counts, Since};
use super::rig::{Rig, all_ready_of};
use super::table::Column;

/// Requests of the bare loop at the same time: the number of workers of a controller of the operator.
const AT_ONCE: usize = 16;
/// Drift interval of the operator during the benchmark.
const DRIFT: Duration = Duration::from_secs(60);
/// The kinds, in equal shares.
const KINDS: [&str; 8] = [
    "BaoPolicy",
    "TransitKey",
    "PKIRole",
    "BaoAuthRole",
    "IdentityGroup",
    "BaoRateLimitQuota",
    "SecretEngine",
    "BaoNamespace",
];

/// Measures `objects` objects of all kinds together.
pub(super) async fn measure(servers: &Arc<Ground>, operator: &Path, objects: usize) -> Result<Column> {
    let mut column = Column::new(format!("{objects} of general kinds"));
    let mut rig = Rig::new(servers, operator, format!("general-{objects}")).await?;
    rig.argument(&format!("--drift-interval={}s", DRIFT.as_secs()));
    rig.root_scope().await?;
    prepare(&rig).await?;
    let bare = bare_loop(&rig, objects).await?;
    rig.start().await?;
    rig.ready().await?;
    let since = Since::now(&rig.ground)?;
    let started = Instant::now();
    for (index, kind) in KINDS.into_iter().enumerate() {
        let specs = numbers(index, objects).map(|number| (format!("o{number}"), spec(kind, number)));
        rig.objects(kind, specs).await?;
    }
    let applied = started.elapsed().as_secs_f64();
    for (index, kind) in KINDS.into_iter().enumerate() {
        all_ready_of(&rig, kind, numbers(index, objects).count()).await?;
    }
    let ready = started.elapsed().as_secs_f64();
    column.add("applied by the client", applied, " s");
    column.add("all Ready", ready, " s");
    column.add("bare loop of the same requests", bare, " s");
    column.add("throughput compared to the bare loop", bare / ready, "");
    column.add_counts(&CREATED, &since.counts(&rig.ground)?, objects);
    settled(&mut rig, &mut column, objects).await?;
    Ok(column)
}

const CREATED: [(&str, &str); 4] = [
    ("created: writes to OpenBao per object", "OpenBao: writes"),
    ("created: reads from OpenBao per object", "OpenBao: other reads"),
    ("created: status writes per object", "Kubernetes: status writes"),
    ("created: other writes to Kubernetes per object", "Kubernetes: other writes"),
];

const SETTLED: [(&str, &str); 4] = [
    ("settled: writes to OpenBao in a drift interval", "OpenBao: writes"),
    ("settled: reads from OpenBao per object and drift interval", "OpenBao: other reads"),
    ("settled: status writes in a drift interval", "Kubernetes: status writes"),
    ("settled: other writes to Kubernetes in a drift interval", "Kubernetes: other writes"),
];

const RESTARTED: [(&str, &str); 3] = [
    ("restart: writes to OpenBao", "OpenBao: writes"),
    ("restart: status writes", "Kubernetes: status writes"),
    ("restart: other writes to Kubernetes", "Kubernetes: other writes"),
];

/// Counts the requests of one drift interval, and those of a restart with the drift interval that follows it.
async fn settled(rig: &mut Rig, column: &mut Column, objects: usize) -> Result<()> {
    let divided = |counts: &Counts, figures: &[(&'static str, &str)], column: &mut Column| {
        for (figure, kind) in figures {
            let by = if figure.contains("per object") { objects } else { 1 };
            column.add_counts(&[(*figure, *kind)], counts, by);
        }
    };
    // The pass after the creation ends within an interval.
    tokio::time::sleep(DRIFT).await;
    let (since, used, from) = (Since::now(&rig.ground)?, rig.processor_time()?, Instant::now());
    tokio::time::sleep(DRIFT).await;
    let used = rig.processor_time()? - used;
    divided(&since.counts(&rig.ground)?, &SETTLED, column);
    column.add("processor, settled", used / from.elapsed().as_secs_f64() * 100.0, " %");
    column.add("memory, settled", rig.memory()?, " MiB");
    rig.stop()?;
    let since = Since::now(&rig.ground)?;
    rig.start().await?;
    rig.ready().await?;
    tokio::time::sleep(DRIFT).await;
    divided(&since.counts(&rig.ground)?, &RESTARTED, column);
    Ok(())
}

/// Numbers of the objects of a kind.
fn numbers(index: usize, objects: usize) -> impl Iterator<Item = usize> {
    (index..objects).step_by(KINDS.len())
}

async fn prepare(rig: &Rig) -> Result<()> {
    let admin = rig.ground.openbao.admin()?;
    for engine in ["transit", "pki", "kv"] {
        admin
            .request_any(Method::POST, &format!("sys/mounts/{engine}"), Some(json!({"type": engine})))
            .await?;
    }
    admin.request_any(Method::POST, "sys/auth/approle", Some(json!({"type": "approle"}))).await?;
    Ok(())
}

fn spec(kind: &str, number: usize) -> Value {
    let mut spec = match kind {
        "BaoPolicy" => json!({"rules": [{"path": format!("kv/data/{number}/*"), "capabilities": ["read"]}]}),
        "TransitKey" => json!({"mount": "transit", "deletionPolicy": "Delete"}),
        "PKIRole" => json!({"mount": "pki", "allowedDomains": ["example.com"], "keyType": "ec"}),
        "BaoAuthRole" => json!({"mount": "approle", "appRole": {}, "tokenPolicies": ["web"]}),
        "IdentityGroup" => json!({"policies": ["web"]}),
        "BaoRateLimitQuota" => json!({"rate": 100_000, "path": format!("kv/data/{number}")}),
        "SecretEngine" => json!({"type": "kv-v1", "deletionPolicy": "Delete"}),
        _ => json!({"customMetadata": {"team": "web"}, "deletionPolicy": "Delete"}),
    };
    spec["clusterRef"] = json!({"name": "main"});
    spec
}

/// The requests that create one object: to the API server (the object, its finalizer, two statuses), and to OpenBao (two reads
/// and the write). The names differ from those of the objects.
async fn bare_loop(rig: &Rig, objects: usize) -> Result<f64> {
    let started = Instant::now();
    let all: BTreeMap<usize, &str> = KINDS
        .into_iter()
        .enumerate()
        .flat_map(|(index, kind)| numbers(index, objects).map(move |it| (it, kind)))
        .collect();
    let admin = &rig.ground.openbao.admin()?;
    let sent = stream::iter(all).map(|(number, kind)| async move {
        let (path, body) = request(kind, number);
        let _ = admin.request_any(Method::GET, &path, None).await;
        admin.request_any(Method::POST, &path, Some(body)).await.with_context(|| path.clone())?;
        rig.bare_object(kind, &format!("b{number}"), spec(kind, number)).await
    });
    sent.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let took = started.elapsed().as_secs_f64();
    for kind in KINDS {
        let api: Api<DynamicObject> = rig.api(kind).await?;
        rig.without_finalizers(&api).await?;
        api.delete_collection(&Default::default(), &ListParams::default()).await?;
    }
    Ok(took)
}

fn request(kind: &str, number: usize) -> (String, Value) {
    match kind {
        "BaoPolicy" => {
            let policy = format!("path \"kv/data/{number}/*\" {{ capabilities = [\"read\"] }}");
            (format!("sys/policies/acl/b{number}"), json!({"policy": policy}))
        }
        "TransitKey" => (format!("transit/keys/b{number}"), json!({"type": "aes256-gcm96"})),
        "PKIRole" => {
            (format!("pki/roles/b{number}"), json!({"allowed_domains": ["example.com"], "key_type": "ec"}))
        }
        "BaoAuthRole" => (format!("auth/approle/role/b{number}"), json!({"token_policies": ["web"]})),
        "IdentityGroup" => {
            (format!("identity/group/name/b{number}"), json!({"type": "internal", "policies": ["web"]}))
        }
        "BaoRateLimitQuota" => (
            format!("sys/quotas/rate-limit/b{number}"),
            json!({"rate": 100_000, "path": format!("kv/data/b{number}")}),
        ),
        "SecretEngine" => {
            (format!("sys/mounts/b{number}"), json!({"type": "kv", "options": {"version": "1"}}))
        }
        _ => (format!("sys/namespaces/b{number}"), json!({"custom_metadata": {"team": "web"}})),
    }
}
