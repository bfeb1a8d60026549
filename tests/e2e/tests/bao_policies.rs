//! BaoPolicy: ACL policies as text and as rules.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::ready_of;
use crate::general::{Scene, Subject, check};

const TEXT: &str = "# values of web\npath \"kv/data/web/*\" {\n  capabilities = [\"read\"]\n}\n";

#[tokio::test]
async fn a_policy_is_created_repaired_adopted_and_deleted() -> Result<()> {
    let scene = Scene::new("bao-policies").await?;
    let path = "sys/policies/acl/web";
    let other = json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"});
    let subject = Subject {
        kind: "BaoPolicy",
        name: "web",
        spec: json!({"policy": TEXT}),
        path,
        by_hand: vec![(path, json!({"policy": TEXT}))],
        drift: vec![(path, other)],
    };
    check(&scene, &subject).await?;
    every_field_of_a_rule_is_in_the_policy(&scene).await?;
    placement_determines_the_namespace(&scene).await?;
    mistakes_are_named(&scene).await
}

async fn placement_determines_the_namespace(scene: &Scene) -> Result<()> {
    scene.post("sys/namespaces/team-a", json!({})).await?;
    scene.apply("BaoPolicy", "inside", json!({"policy": TEXT, "namespace": "team-a"})).await?;
    scene.ready("BaoPolicy", "inside", "True/Applied: policy inside exists in namespace team-a").await?;
    let path = "team-a/sys/policies/acl/inside";
    assert!(scene.state(path).await?.is_some() && scene.state("sys/policies/acl/inside").await?.is_none());
    // Without the scope, the object waits for its administrator, and the policy stays.
    scene.change("OpenBaoCluster", "own", json!({"spec": {"operatorScope": "Tenants"}})).await?;
    let object = scene.ready("BaoPolicy", "inside", "False/Invalid").await?;
    assert!(
        ready_of(&object).contains("set operatorScope: Namespaces and add it to operatorNamespaces"),
        "{object}"
    );
    assert!(scene.state(path).await?.is_some(), "a narrower scope removed the policy");
    scene.change("OpenBaoCluster", "own", json!({"spec": {"operatorScope": "Root"}})).await?;
    scene.ready("BaoPolicy", "inside", "True/Applied").await?;
    scene.delete("BaoPolicy", "inside").await?;
    scene.becomes(path, None).await
}

async fn every_field_of_a_rule_is_in_the_policy(scene: &Scene) -> Result<()> {
    let rule = json!({
        "path": "auth/token/create", "capabilities": ["create", "update"], "allowedParameters": {"ttl": [], "policies": ["web"]},
        "deniedParameters": {"period": []}, "requiredParameters": ["ttl"], "minWrappingTTL": "1m", "maxWrappingTTL": "5m",
        "comment": "short tokens",
    });
    scene.apply("BaoPolicy", "rules", json!({"rules": [rule], "name": "team/rules"})).await?;
    scene.ready("BaoPolicy", "rules", "True/Applied").await?;
    let state = scene.state("sys/policies/acl/team/rules").await?.unwrap_or_default();
    let policy: Value = serde_json::from_str(state["policy"].as_str().unwrap_or_default())?;
    let expected = json!({
        "capabilities": ["create", "update"], "allowed_parameters": {"ttl": [], "policies": ["web"]},
        "denied_parameters": {"period": []}, "required_parameters": ["ttl"], "min_wrapping_ttl": "1m",
        "max_wrapping_ttl": "5m", "comment": "short tokens",
    });
    assert_eq!(policy["path"]["auth/token/create"], expected);
    let before = scene.writes()?;
    scene.pass("BaoPolicy", "rules", "sys/policies/acl/team/rules").await?;
    assert_eq!(scene.writes()?, before, "a settled policy was written");
    scene.delete("BaoPolicy", "rules").await
}

async fn mistakes_are_named(scene: &Scene) -> Result<()> {
    scene.apply("BaoPolicy", "wrong", json!({"policy": "path \"a\" { capabilities = [\"fly\"] }"})).await?;
    let object = scene.ready("BaoPolicy", "wrong", "False/Invalid").await?;
    assert!(ready_of(&object).contains("invalid capability"), "{object}");
    scene.delete("BaoPolicy", "wrong").await?;
    scene.apply("BaoPolicy", "steamer", json!({"policy": TEXT})).await?;
    let object = scene.ready("BaoPolicy", "steamer", "False/Invalid").await?;
    assert!(ready_of(&object).contains("belongs to Steamer: choose another name"), "{object}");
    scene.delete("BaoPolicy", "steamer").await?;
    scene.apply("BaoPolicy", "first", json!({"policy": TEXT, "name": "same"})).await?;
    scene.ready("BaoPolicy", "first", "True/Applied").await?;
    scene.apply("BaoPolicy", "second", json!({"policy": TEXT, "name": "same"})).await?;
    let object = scene.ready("BaoPolicy", "second", "False/Conflict").await?;
    assert!(
        ready_of(&object).contains("BaoPolicy bao-policies/first already claims policy same"),
        "{object}"
    );
    scene.delete("BaoPolicy", "second").await?;
    assert!(
        scene.state("sys/policies/acl/same").await?.is_some(),
        "the policy of another object was deleted"
    );
    scene.delete("BaoPolicy", "first").await
}
