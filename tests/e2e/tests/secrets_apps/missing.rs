//! While something that the spec refers to is missing, access that the spec no longer grants ends, and nothing is added.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::{Apps, account, pod, value};
use crate::general::Scene;

const ROLE: &str = "auth/kubernetes/role/web";

/// The applications `web` and `webapp` exist and are Ready, before and afterwards.
pub async fn access_that_the_spec_no_longer_grants_ends(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    a_removed_account_cannot_log_in_without_a_policy(scene).await?;
    a_wider_policy_is_repaired_without_an_entity(scene).await?;
    a_missing_mount_ends_the_access_to_the_former_one(scene).await?;
    a_missing_connection_ends_the_access_to_the_former_one(scene).await
}

async fn change(scene: &Scene, name: &str, spec: Value) -> Result<()> {
    scene.change("SecretsApp", name, json!({"spec": spec})).await
}

/// The ServiceAccounts that the role of `web` admits.
async fn admitted(scene: &Scene) -> Result<Value> {
    Ok(scene.state(ROLE).await?.context("no role")?["bound_service_account_names"].take())
}

/// The text of a policy.
async fn text(scene: &Scene, policy: &str) -> Result<String> {
    let policy = scene.state(&format!("sys/policies/acl/{policy}")).await?.context("no policy")?;
    policy["policy"].as_str().map(str::to_owned).context("no text")
}

async fn a_removed_account_cannot_log_in_without_a_policy(scene: &Scene) -> Result<()> {
    let further = json!({"policy": "path \"kvv2/data/web/further\" { capabilities = [\"read\"] }"});
    scene.post("sys/policies/acl/web-further", further.clone()).await?;
    let accounts = |names: &[&str]| json!({"runtime": {"serviceAccounts": names, "namespaces": ["web"]}});
    let mut spec = accounts(&["web", "compromised"]);
    spec["ops"] = json!({"extraPolicies": ["web-further"]});
    change(scene, "web", spec).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    account(scene, ("web", "compromised")).await?;
    pod(scene, "web", ("web", "compromised")).await.context("the account before it is removed")?;

    scene.admin.request_any(Method::DELETE, "sys/policies/acl/web-further", None).await?;
    change(scene, "web", accounts(&["web", "new"])).await?;
    let missing = "False/SourceMissing: ops.extraPolicies: policy web-further does not exist";
    scene.ready("SecretsApp", "web", missing).await?;
    ensure!(admitted(scene).await? == json!(["web"]), "an account is admitted, or one was added");
    ensure!(
        pod(scene, "web", ("web", "compromised")).await.is_err(),
        "an account that was removed from the spec logs in"
    );
    let pod = pod(scene, "web", ("web", "web")).await?;
    ensure!(value(&pod, "kvv2/data/web/config").await? == "web", "the access that the spec grants ended");
    // A settled object is not written, and its facts are those of the complete application.
    let before = scene.writes()?;
    scene.nudge("SecretsApp", "web").await?;
    let object = scene.ready("SecretsApp", "web", missing).await?;
    assert_eq!(scene.writes()?, before);
    ensure!(object.pointer("/status/database/connection").is_some(), "{object}");

    scene.post("sys/policies/acl/web-further", further).await?;
    scene.nudge("SecretsApp", "web").await?;
    scene.ready("SecretsApp", "web", "True/Applied").await?;
    ensure!(admitted(scene).await? == json!(["new", "web"]), "the new account is not admitted");
    Ok(())
}

async fn a_wider_policy_is_repaired_without_an_entity(scene: &Scene) -> Result<()> {
    let right = text(scene, "web").await?;
    let spec = json!({"runtime": null, "ops": null, "identityGroup": {"memberEntities": ["no-entity"]}});
    change(scene, "web", spec).await?;
    let missing = "False/SourceMissing: entity no-entity does not exist";
    scene.ready("SecretsApp", "web", missing).await?;
    ensure!(
        admitted(scene).await? == json!(["web"]),
        "an account that was removed from the spec is admitted"
    );
    let wide = json!({"policy": "path \"kvv2/*\" { capabilities = [\"read\"] }"});
    scene.post("sys/policies/acl/web", wide).await?;
    scene.nudge("SecretsApp", "web").await?;
    let expected = scene.state("sys/policies/acl/web").await?.map(|mut policy| {
        policy["policy"] = json!(right);
        policy
    });
    scene.becomes("sys/policies/acl/web", expected.as_ref()).await?;
    scene.ready("SecretsApp", "web", missing).await?;
    change(scene, "web", json!({"identityGroup": null})).await?;
    scene.ready("SecretsApp", "web", "True/Applied").await.map(drop)
}

async fn a_missing_mount_ends_the_access_to_the_former_one(scene: &Scene) -> Result<()> {
    let right = [text(scene, "webapp").await?, text(scene, "webapp-ops").await?];
    change(scene, "webapp", json!({"kv": {"mount": "nothing"}})).await?;
    scene.ready("SecretsApp", "webapp", "False/SourceMissing").await?;
    let [runtime, ops] = [text(scene, "webapp").await?, text(scene, "webapp-ops").await?];
    ensure!(!runtime.contains("kvv2") && !ops.contains("kvv2"), "the former mount: {runtime} {ops}");
    ensure!(!runtime.contains("nothing") && !ops.contains("nothing"), "an unknown mount: {runtime} {ops}");
    ensure!(runtime.contains("postgres/creds/webapp"), "the credentials: {runtime}");
    change(scene, "webapp", json!({"kv": {"mount": "kvv2"}})).await?;
    scene.ready("SecretsApp", "webapp", "True/Applied").await?;
    ensure!([text(scene, "webapp").await?, text(scene, "webapp-ops").await?] == right);
    Ok(())
}

async fn a_missing_connection_ends_the_access_to_the_former_one(scene: &Scene) -> Result<()> {
    let reference = |name: &str| json!({"database": {"connectionRef": {"name": name}}});
    change(scene, "webapp", reference("nothing")).await?;
    scene.ready("SecretsApp", "webapp", "False/ReferenceNotFound").await?;
    ensure!(
        scene.state("postgres/roles/webapp").await?.is_none(),
        "the role of the former connection exists"
    );
    ensure!(!text(scene, "webapp").await?.contains("postgres/"), "the policy gives credentials");
    change(scene, "webapp", reference("db")).await?;
    scene.ready("SecretsApp", "webapp", "True/Applied").await?;
    ensure!(scene.state("postgres/roles/webapp").await?.is_some(), "the role does not exist again");
    Ok(())
}
