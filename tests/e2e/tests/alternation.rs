//! Two clients never alternate writes without end, also if each of them writes only once in an interval. No reconcile is
//! requested here.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use steamer_api::BaoPolicy;
use steamer_openbao::Session;
use steamer_testing::wait::eventually;

use crate::fixture::ready_of;
use crate::rig::Rig;

/// Five repairs take longer than a minute.
const INTERVAL: &str = "--drift-interval=13s";
const PATH: &str = "sys/policies/acl/alternating";
const PAUSED: &str =
    "False/Conflict: another client undoes each change of sys/policies/acl/alternating in OpenBao";

async fn rig() -> Result<Rig> {
    let mut rig = Rig::new("alternation").await?;
    rig.install_root_scope().await?;
    for argument in &mut rig.operator.arguments {
        if argument.starts_with("--drift-interval") {
            INTERVAL.clone_into(argument);
        }
    }
    rig.start().await?;
    Ok(rig)
}

#[tokio::test]
async fn a_tool_that_undoes_the_repair_of_each_interval_is_reported() -> Result<()> {
    let rig = rig().await?;
    let admin = rig.case.admin()?;
    let rule = json!({"path": "kv/alternating/*", "capabilities": ["read"]});
    let spec = json!({"clusterRef": {"name": "main"}, "rules": [rule]});
    rig.case.object("BaoPolicy", "alternating", spec).await?;
    rig.case.ready::<BaoPolicy>("alternating", "True/Applied").await?;
    let mut repairs = 0;
    while !is_paused(&rig, &admin).await? {
        repairs += 1;
        ensure!(repairs <= 8, "{repairs} repairs, and no conflict is reported");
    }
    ensure!(repairs >= 3, "paused after {repairs} repairs");
    let writes = rig.writes(|path| path.ends_with(PATH));
    ensure!(writes.len() == repairs + 1, "{repairs} repairs: {writes:?}");
    Ok(())
}

/// Undoes the last repair, and waits for the next one. Returns true if the object reports the other client instead.
async fn is_paused(rig: &Rig, admin: &Session) -> Result<bool> {
    let edit = json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"});
    admin.request_any(Method::POST, PATH, Some(edit)).await?;
    let policies = rig.case.api::<BaoPolicy>();
    eventually("the policy is repaired, or the object reports the conflict", || async {
        let object = policies.get("alternating").await.map_err(|error| error.to_string())?;
        let state = ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?);
        if state.starts_with(PAUSED) {
            return Ok(true);
        }
        let answer = admin.request_any(Method::GET, PATH, None).await.map_err(|error| error.to_string())?;
        let text = answer["data"]["policy"].as_str().unwrap_or_default();
        if text.contains("kv/alternating/") { Ok(false) } else { Err(state) }
    })
    .await
}
