//! Rotations: of the password of a connection, and of the key of an issuer.

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::DatabaseConnection;
use steamer_openbao::Session;

use super::killed;
use crate::rig::Rig;

/// The operator is killed between the rotation of a password and the status. OpenBao does not show that it has rotated the
/// password, so that each further process rotates it again until one writes the status.
pub async fn rotated(rig: &mut Rig) -> Result<()> {
    let (kind, name) = ("DatabaseConnection", "crashed-connection");
    let patch = Patch::Merge(json!({"spec": {"rotateRoot": "Once"}}));
    rig.case.dynamic(kind)?.patch(name, &PatchParams::default(), &patch).await?;
    rig.openbao.forget();
    for _ in 0..2 {
        killed(rig, &format!("{name}:2")).await?;
    }
    rig.start().await?;
    let object = rig.case.ready::<DatabaseConnection>(name, "True/Applied").await?;
    let credential = object.status.and_then(|status| status.root_credential);
    ensure!(credential.is_some_and(|it| it.rotated_at.is_some()), "the rotation is not recorded");
    let rotations = rig.writes(|path| path.contains("/rotate-root/"));
    ensure!(rotations.len() == 3, "{rotations:?}");
    rig.kill().await
}

/// The issuer was replaced once: the mount contains it and the former one, each with a key of its own, and it is the default
/// issuer, as the former one was.
pub async fn replaced(admin: &Session) -> Result<()> {
    let mount = "crashed-issuer";
    for what in ["issuer", "key"] {
        let names = names(admin, mount, what).await?;
        let is_former = |name: &String| name.starts_with("crashed-issuer-") && !name.ends_with("-next");
        ensure!(names.len() == 2 && names[0] == mount && is_former(&names[1]), "{what}s: {names:?}");
    }
    let get = |path: String| async move {
        let answer = admin.request_any(Method::GET, &path, None).await.with_context(|| path.clone())?;
        anyhow::Ok(answer["data"].clone())
    };
    let issuer = get(format!("{mount}/issuer/{mount}")).await?;
    let default = get(format!("{mount}/config/issuers")).await?;
    ensure!(default["default"] == issuer["issuer_id"], "{default} {issuer}");
    Ok(())
}

/// Names of the issuers or keys of a mount.
async fn names(admin: &Session, mount: &str, what: &str) -> Result<Vec<String>> {
    let answer = admin.request_any(Method::from_bytes(b"LIST")?, &format!("{mount}/{what}s"), None).await?;
    let info = answer["data"]["key_info"].as_object().cloned().unwrap_or_default();
    let name = |info: &Value| info[format!("{what}_name")].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<String> = info.values().map(name).collect();
    names.sort();
    Ok(names)
}
