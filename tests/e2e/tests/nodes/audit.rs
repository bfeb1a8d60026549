//! Audit devices come and go by a rollout, and are never edited in place.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;

use crate::bao::{Bao, condition, is_ready};

impl Bao {
    async fn devices(&self) -> Result<Vec<String>> {
        let answer = self.admin().await?.request_any(Method::GET, "sys/audit", None).await?;
        let data = answer.get("data").cloned().unwrap_or(answer);
        let is_device = |value: &Value| value.get("type").is_some_and(Value::is_string);
        let devices = data.as_object().into_iter().flatten().filter(|(_, value)| is_device(value));
        Ok(devices.map(|(path, _)| path.clone()).collect())
    }
}

fn stdout(description: &str) -> Value {
    json!({"name": "stdout", "description": description, "file": {"path": "stdout"}})
}

#[tokio::test]
async fn a_device_is_added_changed_and_removed_and_the_cluster_serves_on() -> Result<()> {
    let bao = Bao::serving("audit", |_| {}).await?;
    ensure!(bao.devices().await?.is_empty());
    let with = async |devices: Value| {
        bao.apply(|spec| spec["managed"]["audit"] = devices).await?;
        bao.until("the nodes are rolled", is_ready).await.map(drop)
    };
    with(json!([stdout("the pods' logs")])).await?;
    let first = bao.devices().await?;
    assert_eq!(first.len(), 1, "{first:?}");
    let leader = bao.leader().await?;
    let log = bao.fleet.kubectl()?.run(&["-n", "audit", "logs", &leader, "--tail=2000"])?;
    ensure!(log.contains(r#""type":"response""#), "nothing is logged");
    // Another description is another device: in place it would keep every node from leading.
    with(json!([stdout("something else")])).await?;
    let second = bao.devices().await?;
    assert_eq!(second.len(), 1, "{second:?}");
    assert_ne!(first, second);
    // The last one does not go by accident.
    bao.apply(|_| {}).await?;
    let refused = |object: &OpenBaoCluster| condition(object, "Stalled").is_some();
    let object = bao.until("the last device is kept", refused).await?;
    let (_, _, message) = condition(&object, "Stalled").context("stalled")?;
    ensure!(message.contains("allowNoAudit: true"), "{message}");
    assert_eq!(bao.devices().await?, second);
    bao.apply(|spec| spec["managed"]["allowNoAudit"] = json!(true)).await?;
    bao.until("the nodes are rolled", is_ready).await?;
    ensure!(bao.devices().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_operator_whose_policy_lacks_something_says_what_to_run() -> Result<()> {
    let bao = Bao::serving("policy", |spec| spec["managed"]["replicas"] = json!(1)).await?;
    let admin = bao.admin().await?;
    let policy = admin.request_any(Method::GET, "sys/policies/acl/steamer", None).await?;
    let text = policy["data"]["policy"].as_str().context("no policy")?.to_owned();
    let mut less: Value = serde_json::from_str(&text)?;
    less["path"].as_object_mut().context("no paths")?.remove("sys/step-down");
    let put = |policy: String| {
        admin.request_any(Method::PUT, "sys/policies/acl/steamer", Some(json!({"policy": policy})))
    };
    put(less.to_string()).await?;
    let lacks = |object: &OpenBaoCluster| {
        condition(object, "OperatorPolicyCurrent").is_some_and(|(status, ..)| status == "False")
    };
    let object = bao.until("the lack is said", lacks).await?;
    let (_, _, message) = condition(&object, "OperatorPolicyCurrent").context("a condition")?;
    ensure!(message.contains("sys/step-down"), "{message}");
    ensure!(message.contains("steamer openbao-policy --managed"), "{message}");
    let kept = admin.request_any(Method::GET, "sys/policies/acl/steamer", None).await?;
    assert_eq!(
        kept["data"]["policy"].as_str(),
        Some(less.to_string().as_str()),
        "it never edits its own policy"
    );
    put(text).await?;
    bao.ready().await?;
    Ok(())
}
