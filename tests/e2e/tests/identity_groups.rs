//! IdentityGroup: groups with members, and groups whose members logins determine.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::fixture::ready_of;
use crate::general::{Scene, Subject, check};

const WEB: &str = "identity/group/name/web";

#[tokio::test]
async fn groups_are_created_repaired_adopted_and_deleted() -> Result<()> {
    let scene = Scene::new("identity-groups").await?;
    let entity = id(&scene.post("identity/entity/name/alice", json!({})).await?)?;
    let other = id(&scene.post("identity/entity/name/bob", json!({})).await?)?;
    let member = id(&scene.post("identity/group/name/members", json!({})).await?)?;
    internal(&scene, [&entity, &other, &member]).await?;
    external(&scene).await?;
    a_removed_policy_and_member_are_removed_from_the_group(&scene, &other).await?;
    missing_members_are_named(&scene).await?;
    access_ends_while_a_member_is_missing(&scene, &other).await
}

/// ID in the answer for a created entity or group.
fn id(answer: &Value) -> Result<String> {
    answer.pointer("/data/id").and_then(Value::as_str).map(str::to_owned).context("no ID")
}

async fn internal(scene: &Scene, [entity, other, member]: [&String; 3]) -> Result<()> {
    let by_hand = json!({
        "type": "internal", "policies": ["web"], "metadata": {"team": "web"}, "member_group_ids": [member],
        "member_entity_ids": [entity, other],
    });
    let spec = json!({
        "policies": ["web"], "metadata": {"team": "web"}, "memberGroups": ["members"], "memberEntities": ["alice", other],
    });
    let drift = [
        json!({"policies": ["web", "more"]}),
        json!({"metadata": {"team": "other"}}),
        json!({"member_group_ids": []}),
        json!({"member_entity_ids": [entity]}),
    ];
    let subject = Subject {
        kind: "IdentityGroup",
        name: "web",
        spec,
        path: WEB,
        by_hand: vec![(WEB, by_hand)],
        drift: drift.into_iter().map(|body| (WEB, body)).collect(),
    };
    check(scene, &subject).await
}

/// The alias is made, repaired and removed with its group.
async fn external(scene: &Scene) -> Result<()> {
    scene.post("sys/auth/jwt", json!({"type": "jwt"})).await?;
    let spec = json!({"type": "External", "policies": ["web"], "alias": {"name": "devs", "mount": "jwt"}});
    scene.apply("IdentityGroup", "web", spec).await?;
    scene.ready("IdentityGroup", "web", "True/Applied").await?;
    let right = scene.state(WEB).await?.context("no group")?;
    assert_eq!(
        (&right["alias"]["name"], &right["alias"]["mount_path"]),
        (&json!("devs"), &json!("auth/jwt/"))
    );
    let before = scene.writes()?;
    scene.pass("IdentityGroup", "web", WEB).await?;
    assert_eq!(scene.writes()?, before, "a settled group was written");
    renamed_and_removed(scene, &right).await?;
    adopted(scene, &right).await?;
    scene.change("IdentityGroup", "web", json!({"spec": {"alias": {"name": "developers"}}})).await?;
    let mut renamed = right.clone();
    renamed["alias"]["name"] = json!("developers");
    scene.becomes(WEB, Some(&renamed)).await?;
    scene.delete("IdentityGroup", "web").await?;
    scene.becomes(WEB, None).await?;
    let list = reqwest::Method::from_bytes(b"LIST")?;
    let left = scene.admin.request_any(list, "identity/group-alias/id", None).await;
    assert!(left.is_err(), "the alias of a deleted group is left: {left:?}");
    Ok(())
}

/// Another name of the alias, and no alias.
async fn renamed_and_removed(scene: &Scene, right: &Value) -> Result<()> {
    let group = scene.admin.request_any(reqwest::Method::GET, WEB, None).await?;
    let (own, accessor) = (&group["data"]["id"], &group["data"]["alias"]["mount_accessor"]);
    let renamed = json!({"name": "guests", "mount_accessor": accessor, "canonical_id": own});
    let alias = scene.post("identity/group-alias", renamed).await?;
    scene.nudge("IdentityGroup", "web").await?;
    scene.becomes(WEB, Some(right)).await?;
    assert_ne!(alias["data"]["id"], Value::Null);
    let group = scene.admin.request_any(reqwest::Method::GET, WEB, None).await?;
    let alias = group["data"]["alias"]["id"].as_str().context("no alias")?;
    let path = format!("identity/group-alias/id/{alias}");
    scene.admin.request_any(reqwest::Method::DELETE, &path, None).await?;
    scene.nudge("IdentityGroup", "web").await?;
    scene.becomes(WEB, Some(right)).await
}

/// An existing group with its alias is adopted without a write.
async fn adopted(scene: &Scene, right: &Value) -> Result<()> {
    let spec = json!({
        "type": "External", "policies": ["web"], "alias": {"name": "devs", "mount": "jwt"}, "adopt": "IfUnowned",
    });
    scene.delete("IdentityGroup", "web").await?;
    let group = scene.post(WEB, json!({"type": "external", "policies": ["web"]})).await?;
    let alias = json!({
        "name": "devs", "mount_accessor": right["alias"]["mount_accessor"], "canonical_id": group["data"]["id"],
    });
    scene.post("identity/group-alias", alias).await?;
    let before = scene.writes()?;
    scene.apply("IdentityGroup", "web", spec).await?;
    scene.ready("IdentityGroup", "web", "True/Applied").await?;
    assert_eq!(scene.writes()?, before, "the adoption made writes");
    scene.becomes(WEB, Some(right)).await
}

async fn a_removed_policy_and_member_are_removed_from_the_group(scene: &Scene, other: &str) -> Result<()> {
    let spec = json!({"name": "Ops", "policies": ["web"], "memberEntities": ["alice", other]});
    scene.apply("IdentityGroup", "ops", spec).await?;
    scene.ready("IdentityGroup", "ops", "True/Applied").await?;
    let removed = json!({"spec": {"policies": null, "memberEntities": null}});
    scene.change("IdentityGroup", "ops", removed).await?;
    scene.ready("IdentityGroup", "ops", "True/Applied").await?;
    let state = scene.state("identity/group/name/Ops").await?.context("no group")?;
    assert_eq!((&state["policies"], &state["member_entity_ids"]), (&json!([]), &json!([])), "{state}");
    let duplicate = json!({"name": "OPS"});
    scene.apply("IdentityGroup", "same-name", duplicate).await?;
    let object = scene.ready("IdentityGroup", "same-name", "False/Conflict").await?;
    assert!(ready_of(&object).contains("already claims group ops"), "{object}");
    scene.delete("IdentityGroup", "same-name").await?;
    scene.delete("IdentityGroup", "ops").await
}

async fn missing_members_are_named(scene: &Scene) -> Result<()> {
    scene.apply("IdentityGroup", "early", json!({"memberGroups": ["later"]})).await?;
    let object = scene.ready("IdentityGroup", "early", "False/SourceMissing").await?;
    assert!(ready_of(&object).contains("group later does not exist in namespace"), "{object}");
    scene.apply("IdentityGroup", "later", json!({})).await?;
    scene.ready("IdentityGroup", "early", "True/Applied").await?;
    scene.delete("IdentityGroup", "early").await?;
    scene.delete("IdentityGroup", "later").await
}

/// A missing member or mount does not keep the access of others.
async fn access_ends_while_a_member_is_missing(scene: &Scene, other: &str) -> Result<()> {
    let spec = json!({"policies": ["web", "more"], "memberEntities": ["alice", other]});
    scene.apply("IdentityGroup", "leavers", spec).await?;
    scene.ready("IdentityGroup", "leavers", "True/Applied").await?;
    let path = "identity/group/name/leavers";
    let members = |state: &Value| state["member_entity_ids"].as_array().map(Vec::len);
    let before = scene.state(path).await?.context("no group")?;
    assert_eq!(members(&before), Some(2), "{before}");
    let patch = json!({"spec": {"policies": ["web"], "memberEntities": ["missing", other]}});
    scene.change("IdentityGroup", "leavers", patch).await?;
    let object = scene.ready("IdentityGroup", "leavers", "False/SourceMissing").await?;
    assert!(ready_of(&object).contains("entity missing does not exist in namespace"), "{object}");
    let state = scene.state(path).await?.context("no group")?;
    assert_eq!(
        (&state["policies"], &state["member_entity_ids"]),
        (&json!(["web"]), &json!([other])),
        "{state}"
    );
    scene.delete("IdentityGroup", "leavers").await
}
