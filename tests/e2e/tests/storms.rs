//! Writes and reads of one object are limited, whatever other clients do.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::{BaoStaticSecret, SecretsProject};
use steamer_testing::ground::apply;
use steamer_testing::wait::eventually;

use crate::drift::nudge;
use crate::fixture::ready_of;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

/// Time in which requests are counted.
const PERIOD: Duration = Duration::from_secs(8);

async fn rig(name: &'static str) -> Result<Rig> {
    let mut rig = Rig::new(name).await?;
    engine(&rig.case, name).await?;
    rig.case.admin()?.write_kv2(name, "app", &json!({"v": "1"})).await?;
    rig.case.object("BaoAuth", "default", auth(name)).await?;
    rig.start().await?;
    Ok(rig)
}

/// A rig with a BaoStaticSecret that is not due for an hour.
async fn synced(name: &'static str) -> Result<Rig> {
    let rig = rig(name).await?;
    let spec = json!({
        "mount": name, "path": "app", "type": "kv-v2", "refreshAfter": "1h",
        "destination": {"name": "app", "create": true},
    });
    rig.case.object("BaoStaticSecret", "app", spec).await?;
    rig.case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    Ok(rig)
}

fn writes(rig: &Rig) -> usize {
    let writes = |path: &str| path.contains("/secrets/") || path.ends_with("/secrets");
    rig.kubernetes
        .count(|asked| (asked.writes() && writes(&asked.path)).then(|| "write".to_owned()))
        .remove("write")
        .unwrap_or_default()
}

#[tokio::test]
async fn a_client_that_undoes_each_write_causes_no_storm() -> Result<()> {
    let rig = synced("storm").await?;
    rig.kubernetes.forget();
    let secrets: Api<Secret> = rig.case.api();
    let ends = tokio::time::Instant::now() + PERIOD;
    let mut undone = 0;
    while tokio::time::Instant::now() < ends {
        let edit = json!({"stringData": {"v": "stolen"}});
        secrets.patch("app", &PatchParams::default(), &Patch::Merge(&edit)).await?;
        undone += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.case.ready::<BaoStaticSecret>("app", "False/Conflict").await?;
    let writes = writes(&rig);
    println!("{writes} repairs of {undone} edits in {PERIOD:?}");
    assert!((1..=20).contains(&writes), "{writes} repairs of {undone} edits");
    removed_role(&rig).await
}

/// Removes a role of a project after each repair, until the project is paused.
async fn removed_role(rig: &Rig) -> Result<()> {
    let namespace = rig.case.project(118).await?;
    let inside = rig.case.admin()?.within(&namespace);
    let projects: Api<SecretsProject> = rig.case.api();
    let (role, mut repairs) = ("auth/pipeline_jwt/cel/role/all_pipelines", 0);
    let is_paused = loop {
        inside.request_any(Method::DELETE, role, None).await?;
        nudge(&rig.case, "SecretsProject", "web").await?;
        let is_paused = eventually("the role is repaired, or the project is paused", || async {
            let project = projects.get("web").await.map_err(|error| error.to_string())?;
            let value = serde_json::to_value(&project).map_err(|error| error.to_string())?;
            let paused =
                format!("False/Conflict: another client undoes each change of {namespace}/{role} in OpenBao");
            if ready_of(&value).starts_with(&paused) {
                return Ok(true);
            }
            let repaired = inside.cel_role("pipeline_jwt", "all_pipelines").await;
            repaired.map_err(|error| error.to_string())?.map(|_| false).ok_or(ready_of(&value))
        })
        .await?;
        repairs += usize::from(!is_paused);
        if is_paused || repairs > 10 {
            break is_paused;
        }
    };
    assert!(is_paused && repairs >= 5, "paused: {is_paused}, after {repairs} repairs");
    Ok(())
}

#[tokio::test]
async fn two_objects_of_one_secret_write_nothing_once_they_are_settled() -> Result<()> {
    let rig = rig("storm-rivals").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "merged", "namespace": rig.case.namespace},
        "data": {"own": "eA=="},
    });
    apply(&rig.case.client, secret).await?;
    let names = ["a", "b"].map(|end| format!("{}-{end}", "x".repeat(130)));
    for (name, expected) in names.iter().zip(["True/Applied", "False/Conflict"]) {
        let spec = json!({
            "mount": "storm-rivals", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "merged"},
        });
        rig.case.object("BaoStaticSecret", name, spec).await?;
        rig.case.ready::<BaoStaticSecret>(name, expected).await?;
    }
    rig.kubernetes.forget();
    tokio::time::sleep(PERIOD).await;
    assert_eq!(writes(&rig), 0);
    Ok(())
}

#[tokio::test]
async fn requested_reconciles_without_end_are_limited() -> Result<()> {
    let rig = synced("storm-nudges").await?;
    rig.openbao.forget();
    let objects: Api<BaoStaticSecret> = rig.case.api();
    let ends = tokio::time::Instant::now() + PERIOD;
    let mut last = String::new();
    let mut number = 0;
    while tokio::time::Instant::now() < ends {
        number += 1;
        last = format!("nudge-{number}");
        let patch = json!({"metadata": {"annotations": {"steamer.dev/reconcile": last}}});
        objects.patch("app", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reads = rig.openbao.count(|asked| asked.path.contains("data/app").then(|| "read".to_owned()));
    let reads = reads.get("read").copied().unwrap_or_default();
    println!("{reads} reads of {number} requests");
    assert!((1..=6).contains(&reads), "{reads} reads of {number} requests");
    // The last request is handled.
    eventually("the last request is handled", || async {
        let object = objects.get("app").await.map_err(|error| error.to_string())?;
        let handled =
            object.status.and_then(|status| status.sync.last_handled_reconcile_at).unwrap_or_default();
        if handled == last { Ok(()) } else { Err(handled) }
    })
    .await
}
