//! Namespaces with a seal of their own. Only the answer to the creation contains the key shares. They are written to a Secret that
//! exists before the namespace.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use reqwest::Method;
use serde_json::json;
use steamer_api::{BaoNamespace, KeySharesOrigin};
use steamer_openbao::Session;
use steamer_testing::wait::eventually;

use super::{exists, killed};
use crate::drift::nudge;
use crate::namespaces_keys_quotas::PGP_KEY;
use crate::openbao_outage::gone;
use crate::rig::Rig;

const KIND: &str = "BaoNamespace";
/// Namespace whose operator is killed between its writes, except for the one that loses the shares.
const REPEATED: &str = "crashed-seal";
/// Namespace whose key shares are lost.
const LOST: &str = "crashed-shares";

/// Creates and removes the namespaces.
pub async fn sealed(rig: &mut Rig, admin: &Session) -> Result<()> {
    repeated(rig).await.context(REPEATED)?;
    lost(rig, admin).await.context(LOST)?;
    removed(rig, admin).await
}

/// Creates an object whose Secret has the same name: the fail point also counts the write of the shares.
async fn create(rig: &Rig, name: &str) -> Result<()> {
    let seal = json!({"pgpKeys": [PGP_KEY], "recoverySecretName": name});
    let spec = json!({"clusterRef": {"name": "main"}, "seal": seal});
    rig.case.object(KIND, name, spec).await.map(drop)
}

/// The writes are those of the finalizer, the record, the Secret, the namespace, the shares and the status. The path of a new Secret
/// does not contain its name. The operator is killed before the second, third, fourth and sixth one.
async fn repeated(rig: &mut Rig) -> Result<()> {
    create(rig, REPEATED).await?;
    let secret = format!("{}/secrets:1", rig.case.namespace);
    for fails_at in [format!("{REPEATED}:2"), secret, format!("{REPEATED}:1"), format!("{REPEATED}:3")] {
        killed(rig, &fails_at).await.with_context(|| fails_at.clone())?;
    }
    rig.openbao.forget();
    rig.start().await?;
    let object = rig.case.ready::<BaoNamespace>(REPEATED, "True/Applied").await?;
    let status = object.status.context("no status")?;
    ensure!((status.sealed, status.key_shares) == (Some(true), Some(KeySharesOrigin::Written)), "{status:?}");
    ensure!(has_share(rig, REPEATED).await?, "the share is lost");
    let writes = rig.writes(|path| path.contains(REPEATED));
    ensure!(writes.is_empty(), "the namespace was written again: {writes:?}");
    rig.kill().await
}

/// The operator is killed between the creation of the namespace and the write of the shares. The object reports the loss and sends
/// nothing, until an administrator has deleted the namespace.
async fn lost(rig: &mut Rig, admin: &Session) -> Result<()> {
    create(rig, LOST).await?;
    // The counted writes before are the finalizer, the record and the namespace.
    killed(rig, &format!("{LOST}:4")).await?;
    ensure!(exists(admin, &format!("sys/namespaces/{LOST}")).await?, "the namespace was not created");
    ensure!(!has_share(rig, LOST).await?, "the share was written");
    rig.openbao.forget();
    rig.start().await?;
    let text = format!("Steamer has not received the key shares of namespace {LOST}");
    rig.case.says::<BaoNamespace>(LOST, "False/Conflict", &text).await?;
    let writes = rig.writes(|path| path.contains(LOST));
    ensure!(writes.is_empty(), "a namespace without shares was written: {writes:?}");
    delete(admin, LOST).await?;
    nudge(&rig.case, KIND, LOST).await?;
    rig.case.ready::<BaoNamespace>(LOST, "True/Applied").await?;
    ensure!(has_share(rig, LOST).await?, "the share of the second namespace is lost");
    Ok(())
}

async fn has_share(rig: &Rig, name: &str) -> Result<bool> {
    let secrets: Api<Secret> = rig.case.api();
    Ok(secrets.get(name).await?.data.is_some_and(|data| data.contains_key("share-1")))
}

/// The objects have `deletionPolicy: Retain`: they leave the sealed namespaces to the administrator.
async fn removed(rig: &mut Rig, admin: &Session) -> Result<()> {
    let api = rig.case.dynamic(KIND)?;
    for name in [REPEATED, LOST] {
        api.delete(name, &DeleteParams::default()).await?;
        gone(&api, name).await?;
        delete(admin, name).await?;
    }
    rig.kill().await
}

/// Deletes a sealed namespace as an administrator.
async fn delete(admin: &Session, name: &str) -> Result<()> {
    let path = format!("sys/namespaces/{name}");
    admin.request_any(Method::DELETE, &format!("{path}/delete-sealed"), None).await?;
    eventually("the namespace is deleted", || async {
        match exists(admin, &path).await {
            Ok(false) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}
