//! People with entities log in with passwords, and have the rights of the jobs as members of the identity group.

use anyhow::{Context, Result};
use serde_json::json;
use steamer_openbao::Session;

use super::rows::the_rows;
use crate::general::Scene;
use crate::secrets_apps::scene::{Apps, session};

/// Auth mount of the logins.
const MOUNT: &str = "people";

/// A person has the rights of the jobs exactly while the group contains the person, also with the token of an earlier login.
pub async fn members_of_the_group_have_the_same_rows(apps: &Apps) -> Result<()> {
    let scene = &apps.scene;
    create(scene, "jane").await?;
    let early = log_in(scene, "jane").await?;
    for (members, is_member) in [(json!([]), false), (json!(["jane"]), true), (json!([]), false)] {
        let group = json!({"spec": {"identityGroup": {"memberEntities": members}}});
        scene.change("SecretsApp", "web", group).await?;
        scene.ready("SecretsApp", "web", "True/Applied").await?;
        for token in [&early, &log_in(scene, "jane").await?] {
            the_rows(apps, token, is_member).await.with_context(|| format!("is a member: {is_member}"))?;
        }
    }
    Ok(())
}

/// Creates the auth mount, and a person with an entity of the same name.
async fn create(scene: &Scene, name: &str) -> Result<()> {
    scene.post(&format!("sys/auth/{MOUNT}"), json!({"type": "userpass"})).await?;
    scene.post(&format!("auth/{MOUNT}/users/{name}"), json!({"password": name})).await?;
    let mount = scene.admin.auth_mount(MOUNT).await?.context("no auth mount")?;
    let entity = scene.post(&format!("identity/entity/name/{name}"), json!({})).await?;
    let alias = json!({"name": name, "mount_accessor": mount.accessor, "canonical_id": entity["data"]["id"]});
    scene.post("identity/entity-alias", alias).await.map(drop)
}

/// Logs in as a person.
async fn log_in(scene: &Scene, name: &str) -> Result<Session> {
    session(scene, &format!("auth/{MOUNT}/login/{name}"), json!({"password": name})).await
}
