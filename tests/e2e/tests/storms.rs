//! Writes and reads of one object are limited, whatever other clients do.

use std::time::Duration;

use anyhow::{Result, ensure};
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

/// Engine of the test.
const MOUNT: &str = "storms";

/// A rig with one synced object for each test below. They run at the same time, with their own values and Secrets.
async fn rig() -> Result<Rig> {
    let mut rig = Rig::new("storms").await?;
    engine(&rig.case, MOUNT).await?;
    for path in ["undone", "merged", "nudged"] {
        rig.case.admin()?.write_kv2(MOUNT, path, &json!({"v": "1"})).await?;
    }
    rig.case.object("BaoAuth", "default", auth(MOUNT)).await?;
    rig.start().await?;
    synced(&rig, "undone").await?;
    synced(&rig, "nudged").await?;
    rivals(&rig).await?;
    Ok(rig)
}

/// Creates a BaoStaticSecret that is not due for an hour.
async fn synced(rig: &Rig, name: &str) -> Result<()> {
    let spec = json!({
        "mount": MOUNT, "path": name, "type": "kv-v2", "refreshAfter": "1h",
        "destination": {"name": name, "create": true},
    });
    rig.case.object("BaoStaticSecret", name, spec).await?;
    rig.case.ready::<BaoStaticSecret>(name, "True/Applied").await.map(drop)
}

/// Creates two objects of one Secret.
async fn rivals(rig: &Rig) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "merged", "namespace": rig.case.namespace},
        "data": {"own": "eA=="},
    });
    apply(&rig.case.client, secret).await?;
    let names = ["a", "b"].map(|end| format!("{}-{end}", "x".repeat(130)));
    for (name, expected) in names.iter().zip(["True/Applied", "False/Conflict"]) {
        let spec = json!({
            "mount": MOUNT, "path": "merged", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "merged"},
        });
        rig.case.object("BaoStaticSecret", name, spec).await?;
        rig.case.ready::<BaoStaticSecret>(name, expected).await?;
    }
    Ok(())
}

/// Number of writes of the operator to Secrets, without those to the Secrets of the other tests.
fn writes(rig: &Rig, others: [&str; 2]) -> usize {
    let is_of_secret = |path: &str| path.contains("/secrets/") || path.ends_with("/secrets");
    let is_of_others = |path: &str| others.iter().any(|name| path.ends_with(&format!("/secrets/{name}")));
    rig.kubernetes.number(|asked| asked.writes() && is_of_secret(&asked.path) && !is_of_others(&asked.path))
}

#[tokio::test]
async fn edits_rivals_and_requests_without_end_cause_no_storm() -> Result<()> {
    let rig = rig().await?;
    rig.kubernetes.forget();
    rig.openbao.forget();
    tokio::try_join!(
        a_client_that_undoes_each_write_causes_no_storm(&rig),
        two_objects_of_one_secret_write_nothing_once_they_are_settled(&rig),
        requested_reconciles_without_end_are_limited(&rig),
    )?;
    removed_role(&rig).await
}

async fn a_client_that_undoes_each_write_causes_no_storm(rig: &Rig) -> Result<()> {
    let secrets: Api<Secret> = rig.case.api();
    let ends = tokio::time::Instant::now() + PERIOD;
    let mut undone = 0;
    while tokio::time::Instant::now() < ends {
        let edit = json!({"stringData": {"v": "stolen"}});
        secrets.patch("undone", &PatchParams::default(), &Patch::Merge(&edit)).await?;
        undone += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.case.ready::<BaoStaticSecret>("undone", "False/Conflict").await?;
    let writes = writes(rig, ["merged", "nudged"]);
    println!("{writes} repairs of {undone} edits in {PERIOD:?}");
    ensure!((1..=20).contains(&writes), "{writes} repairs of {undone} edits");
    Ok(())
}

async fn two_objects_of_one_secret_write_nothing_once_they_are_settled(rig: &Rig) -> Result<()> {
    tokio::time::sleep(PERIOD).await;
    assert_eq!(writes(rig, ["undone", "nudged"]), 0);
    Ok(())
}

async fn requested_reconciles_without_end_are_limited(rig: &Rig) -> Result<()> {
    let objects: Api<BaoStaticSecret> = rig.case.api();
    let ends = tokio::time::Instant::now() + PERIOD;
    let mut last = String::new();
    let mut number = 0;
    while tokio::time::Instant::now() < ends {
        number += 1;
        last = format!("nudge-{number}");
        let patch = json!({"metadata": {"annotations": {"steamer.dev/reconcile": last}}});
        objects.patch("nudged", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reads = rig.openbao.number(|asked| asked.path.contains("data/nudged"));
    println!("{reads} reads of {number} requests");
    ensure!((1..=6).contains(&reads), "{reads} reads of {number} requests");
    // The last request is handled.
    eventually("the last request is handled", || async {
        let object = objects.get("nudged").await.map_err(|error| error.to_string())?;
        let handled =
            object.status.and_then(|status| status.sync.last_handled_reconcile_at).unwrap_or_default();
        if handled == last { Ok(()) } else { Err(handled) }
    })
    .await
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
                format!("False/Conflict: {namespace}/{role} in OpenBao is missing after each creation");
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
