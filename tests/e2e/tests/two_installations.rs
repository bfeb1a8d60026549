//! Two installations of Steamer, and an operator and a person, never alternate writes to one resource.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::Session;
use steamer_testing::audit;
use steamer_testing::ground::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, account_token};
use steamer_testing::wait::eventually;

use crate::drift::{nudge, passes};
use crate::fixture::{Case, ready_of};
use crate::rig::Rig;

/// Audience of the second installation.
const AUDIENCE: &str = "openbao-second";
const POLICY: &str = "sys/policies/acl/shared";

/// Lets the operator of another Kubernetes cluster log in to the OpenBao of a rig, at the auth mount `second`.
async fn second_login(admin: &Session, other: &Case) -> Result<()> {
    let plane = &other.ground.plane;
    let reviewer = account_token(&other.client, OPERATOR_NAMESPACE, "openbao", &[]).await?;
    let post = async |path: &str, body: Value| admin.request_any(Method::POST, path, Some(body)).await;
    post("sys/auth/second", json!({"type": "kubernetes"})).await?;
    let config = json!({
        "kubernetes_host": plane.url, "kubernetes_ca_cert": plane.ca, "token_reviewer_jwt": reviewer,
        "disable_local_ca_jwt": true,
    });
    post("auth/second/config", config).await?;
    let role = json!({
        "bound_service_account_names": [OPERATOR_ACCOUNT], "bound_service_account_namespaces": [OPERATOR_NAMESPACE],
        "audience": AUDIENCE, "token_policies": ["steamer"], "token_ttl": "10m",
    });
    post("auth/second/role/steamer", role).await?;
    Ok(())
}

/// A cluster of the second installation, at the OpenBao of the first one.
async fn second_cluster(rig: &Rig, other: &Case) -> Result<()> {
    let openbao = &rig.case.ground.openbao;
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "second-ca", "namespace": other.namespace},
        "stringData": {"ca.crt": openbao.ca},
    });
    steamer_testing::ground::apply(&other.client, ca).await?;
    let login = json!({"mount": "second", "role": "steamer", "audience": AUDIENCE});
    let external = json!({
        "address": openbao.url, "caSecretRef": {"name": "second-ca"}, "managementAuth": {"kubernetes": login},
    });
    let spec = json!({"external": external, "operatorScope": "Root"});
    other.object("OpenBaoCluster", "second", spec).await.map(drop)
}

fn policy(cluster: &str, path: &str, adopt: &str) -> Value {
    let rule = json!({"path": path, "capabilities": ["read"]});
    json!({"clusterRef": {"name": cluster}, "name": "shared", "adopt": adopt, "rules": [rule]})
}

async fn text(admin: &Session) -> Result<String> {
    let answer = admin.request_any(Method::GET, POLICY, None).await?;
    Ok(answer["data"]["policy"].as_str().unwrap_or_default().to_owned())
}

/// Number of versions of the policy: each write of any client makes one.
async fn versions(admin: &Session) -> Result<i64> {
    let answer = admin.request_any(Method::GET, POLICY, None).await?;
    answer["data"]["version"].as_i64().context("no version")
}

async fn state(case: &Case, name: &str) -> Result<String, String> {
    let api = case.dynamic("BaoPolicy").map_err(|error| error.to_string())?;
    let object = api.get(name).await.map_err(|error| error.to_string())?;
    Ok(ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?))
}

async fn says(case: &Case, name: &str, expected: &str) -> Result<()> {
    eventually(&format!("{name} says {expected}"), || async {
        let seen = state(case, name).await?;
        if seen.starts_with(expected) { Ok(()) } else { Err(seen) }
    })
    .await
}

#[tokio::test]
async fn two_installations_and_a_person_never_alternate_writes_without_end() -> Result<()> {
    let other = Case::new("second-installation").await?;
    let mut rig = Rig::new("first-installation").await?;
    rig.install_root_scope().await?;
    let admin = rig.case.admin()?;
    second_login(&admin, &other).await?;
    second_cluster(&rig, &other).await?;
    rig.start().await?;
    without_adoption(&rig, &other, &admin).await?;
    both_adopt(&rig, &other, &admin).await?;
    other.dynamic("BaoPolicy")?.delete("theirs", &Default::default()).await?;
    crate::openbao_outage::gone(&other.dynamic("BaoPolicy")?, "theirs").await?;
    a_person_edits_repeatedly(&rig, &admin).await
}

/// The resource belongs to the installation that created it. The other one reports a conflict and writes nothing.
async fn without_adoption(rig: &Rig, other: &Case, admin: &Session) -> Result<()> {
    rig.case.object("BaoPolicy", "ours", policy("main", "kv/first/*", "Never")).await?;
    says(&rig.case, "ours", "True/Applied").await?;
    other.object("BaoPolicy", "theirs", policy("second", "kv/second/*", "Never")).await?;
    says(other, "theirs", "False/Conflict").await?;
    let before = versions(admin).await?;
    for _ in 0..3 {
        nudge(&rig.case, "BaoPolicy", "ours").await?;
        nudge(other, "BaoPolicy", "theirs").await?;
        says(&rig.case, "ours", "True/Applied").await?;
        says(other, "theirs", "False/Conflict").await?;
    }
    ensure!(
        versions(admin).await? == before && text(admin).await?.contains("kv/first/"),
        "the policy was written"
    );
    Ok(())
}

/// Two administrators who adopt the same resource get a bounded number of writes, and then a conflict.
async fn both_adopt(rig: &Rig, other: &Case, admin: &Session) -> Result<()> {
    let before = versions(admin).await?;
    other.object("BaoPolicy", "theirs", policy("second", "kv/second/*", "IfUnowned")).await?;
    eventually("one of the installations reports a conflict", || async {
        nudge(&rig.case, "BaoPolicy", "ours").await.map_err(|error| error.to_string())?;
        nudge(other, "BaoPolicy", "theirs").await.map_err(|error| error.to_string())?;
        let states = [state(&rig.case, "ours").await?, state(other, "theirs").await?];
        let paused = "False/Conflict: another client undoes each change";
        if states.iter().any(|it| it.starts_with(paused)) { Ok(()) } else { Err(states.join("; ")) }
    })
    .await?;
    // Each installation can have a write in progress; then no person writes.
    let paused = versions(admin).await?;
    let reads = || -> Result<usize> { Ok(audit::entries(&rig.case.ground.openbao.audit, POLICY)?.len()) };
    for _ in 0..3 {
        passes(&rig.case, "BaoPolicy", "ours", reads).await?;
        passes(other, "BaoPolicy", "theirs", reads).await?;
    }
    let last = versions(admin).await?;
    println!("{} writes of two installations that adopt one policy", last - before);
    ensure!(last - paused <= 2, "{} writes after the conflict was reported", last - paused);
    ensure!(last - before <= 40, "{} writes", last - before);
    Ok(())
}

/// A person who edits the policy after each repair gets a bounded number of repairs, and then the conflict is reported.
async fn a_person_edits_repeatedly(rig: &Rig, admin: &Session) -> Result<()> {
    rig.case
        .object("BaoPolicy", "edited", {
            let mut spec = policy("main", "kv/edited/*", "Never");
            spec["name"] = json!("edited");
            spec
        })
        .await?;
    says(&rig.case, "edited", "True/Applied").await?;
    let path = "sys/policies/acl/edited";
    let mut repairs = 0;
    let is_paused = loop {
        let edit = json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"});
        admin.request_any(Method::POST, path, Some(edit)).await?;
        nudge(&rig.case, "BaoPolicy", "edited").await?;
        let is_paused = eventually("the policy is repaired, or the object reports the conflict", || async {
            if state(&rig.case, "edited")
                .await?
                .starts_with("False/Conflict: another client undoes each change")
            {
                return Ok(true);
            }
            let answer =
                admin.request_any(Method::GET, path, None).await.map_err(|error| error.to_string())?;
            let found = answer["data"]["policy"].as_str().unwrap_or_default().to_owned();
            if found.contains("kv/edited/") { Ok(false) } else { Err(found) }
        })
        .await?;
        repairs += usize::from(!is_paused);
        if is_paused || repairs > 12 {
            break is_paused;
        }
    };
    println!("{repairs} repairs of one edit");
    ensure!(is_paused && repairs >= 3, "paused: {is_paused}, after {repairs} repairs");
    Ok(())
}
