//! BaoPolicy: ACL policies as text and as rules.

mod parameters;
mod values;

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use steamer_testing::wait::eventually;

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
    values::are_enforced(&scene).await?;
    values::mistakes_are_named(&scene).await?;
    parameters::of_an_administrator_are_kept(&scene).await?;
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
    a_deletion_outside_of_the_scope_waits_for_the_scope(scene, path).await?;
    an_orphan_that_another_client_wrote_deletes_nothing(scene).await
}

/// Steamer changes nothing outside of the scope. What remains is listed, and is removed when the scope contains it again.
async fn a_deletion_outside_of_the_scope_waits_for_the_scope(scene: &Scene, path: &str) -> Result<()> {
    let group = "team-a/identity/group/name/members";
    let spec = json!({"namespace": "team-a", "policies": ["inside"]});
    scene.apply("IdentityGroup", "members", spec).await?;
    scene.ready("IdentityGroup", "members", "True/Applied").await?;
    scene.change("OpenBaoCluster", "own", json!({"spec": {"operatorScope": "Tenants"}})).await?;
    for (kind, name) in [("BaoPolicy", "inside"), ("IdentityGroup", "members")] {
        scene.ready(kind, name, "False/Invalid").await?;
        scene.delete(kind, name).await?;
    }
    orphans(scene, 2).await?;
    for path in [path, group] {
        assert!(scene.state(path).await?.is_some(), "a deletion outside of the scope removed {path}");
    }
    scene.change("OpenBaoCluster", "own", json!({"spec": {"operatorScope": "Root"}})).await?;
    for path in [path, group] {
        scene.becomes(path, None).await?;
    }
    orphans(scene, 0).await
}

/// Waits until the cluster lists a number of orphans.
async fn orphans(scene: &Scene, expected: usize) -> Result<()> {
    let clusters = scene.case.dynamic("OpenBaoCluster")?;
    eventually(&format!("the cluster lists {expected} orphans"), || async {
        let cluster = clusters.get("own").await.map_err(|error| error.to_string())?;
        let cluster = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
        let listed =
            cluster.pointer("/status/orphans").and_then(Value::as_array).cloned().unwrap_or_default();
        if listed.len() == expected { Ok(()) } else { Err(format!("{listed:?}")) }
    })
    .await
}

async fn an_orphan_that_another_client_wrote_deletes_nothing(scene: &Scene) -> Result<()> {
    scene.post("sys/policies/acl/foreign", json!({"policy": TEXT})).await?;
    let orphan = json!({
        "kind": "BaoPolicy", "namespace": scene.case.namespace, "name": "gone", "openbaoNamespace": "",
        "deletionPolicy": "Delete", "resources": [{"path": "sys/policies/acl/foreign"}],
    });
    let clusters = scene.case.dynamic("OpenBaoCluster")?;
    let mut empty = orphan.clone();
    empty["resources"] = json!([]);
    let forged = Patch::Merge(json!({"status": {"orphans": [orphan, empty]}}));
    clusters.patch_status("own", &PatchParams::default(), &forged).await?;
    // The entry without resources is removed in the same pass. The other one stays, so that its resources are not forgotten.
    orphans(scene, 1).await?;
    assert!(scene.state("sys/policies/acl/foreign").await?.is_some(), "a forged orphan deleted a policy");
    Ok(())
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

/// The object is corrected, then changed to another mistake, and corrected again.
async fn a_wrong_change_leaves_the_old_policy_in_force(scene: &Scene) -> Result<()> {
    let change = |policy: &str| {
        let patch = json!({"spec": {"policy": policy}});
        async move { scene.change("BaoPolicy", "wrong", patch).await }
    };
    change(TEXT).await?;
    scene.ready("BaoPolicy", "wrong", "True/Applied").await?;
    let right = scene.state("sys/policies/acl/wrong").await?;
    for mistake in ["path \"a\" { capabilities = [\"fly\"] }", "path \"a\" {"] {
        change(mistake).await?;
        scene.ready("BaoPolicy", "wrong", "False/Invalid").await?;
        assert_eq!(scene.state("sys/policies/acl/wrong").await?, right, "{mistake} changed the policy");
    }
    change(TEXT).await?;
    scene.ready("BaoPolicy", "wrong", "True/Applied").await?;
    assert_eq!(scene.state("sys/policies/acl/wrong").await?, right);
    Ok(())
}

async fn mistakes_are_named(scene: &Scene) -> Result<()> {
    scene.apply("BaoPolicy", "early", json!({"policy": TEXT, "namespace": "missing"})).await?;
    let object = scene.ready("BaoPolicy", "early", "False/SourceMissing").await?;
    assert!(ready_of(&object).contains("namespace missing does not exist in OpenBao"), "{object}");
    scene.delete("BaoPolicy", "early").await?;
    scene.apply("BaoPolicy", "wrong", json!({"policy": "path \"a\" { capabilities = [\"fly\"] }"})).await?;
    let object = scene.ready("BaoPolicy", "wrong", "False/Invalid").await?;
    assert!(ready_of(&object).contains("invalid capability"), "{object}");
    assert_eq!(scene.state("sys/policies/acl/wrong").await?, None, "a wrong policy was created");
    a_wrong_change_leaves_the_old_policy_in_force(scene).await?;
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
