//! The keys of a managed cluster as a test sees them.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;

use crate::bao::{Bao, is_ready};

impl Bao {
    /// Whether what the seal wraps names a key, in the database itself.
    pub fn wrapped_with(&self, key: &str) -> Result<bool> {
        let sql = format!(
            "SELECT bool_and(position('{key}'::bytea IN value) > 0) FROM openbao_kv_store \
             WHERE (path = '/core/hsm/' AND key = 'barrier-unseal-keys') OR (path = '/core/' AND key = 'recovery-key')"
        );
        Ok(self.postgres.sql(&self.namespace, &sql)?.trim() == "t")
    }

    /// Waits until a static key is in use and no other is known to the nodes, one rollout after the other.
    pub async fn rotated(&self, key: &str) -> Result<()> {
        use steamer_api::RotationPhase::{Retire, Rewrap};
        let seal = |object: &OpenBaoCluster| {
            object.status.as_ref().and_then(|status| status.seal.clone()).unwrap_or_default()
        };
        let done = |object: &OpenBaoCluster| {
            seal(object).key_id.as_deref() == Some(key) && seal(object).rotating.is_none()
        };
        for phases in [[Rewrap, Retire], [Retire, Retire]] {
            let reached = |object: &OpenBaoCluster| {
                done(object) || seal(object).rotating.is_some_and(|rotating| phases.contains(&rotating.phase))
            };
            self.until("the next phase of the rotation", reached).await?;
        }
        self.until("the new key is in use", |object| is_ready(object) && done(object)).await.map(drop)
    }

    /// Makes a root token with the recovery keys, as one would who is locked out, and gives it back.
    pub async fn recovery_keys_work(&self, recovery: &Secret) -> Result<()> {
        let share = recovery.data.as_ref().and_then(|data| data.get("share-1")).context("no share")?;
        self.shares_work(&[String::from_utf8(share.0.clone())?]).await
    }

    /// The same with shares as their holders have them: all that are needed.
    pub async fn shares_work(&self, shares: &[String]) -> Result<()> {
        let admin = self.admin().await?;
        let post = |path: &'static str, body: Value| admin.request_any(Method::POST, path, Some(body));
        let attempt = post("sys/generate-root-token/attempt", json!({})).await?;
        let data = |answer: &Value| answer.get("data").cloned().unwrap_or_else(|| answer.clone());
        let nonce = data(&attempt)["nonce"].clone();
        let mut done = Value::Null;
        for share in shares {
            done = post("sys/generate-root-token/update", json!({"key": share, "nonce": nonce})).await?;
        }
        anyhow::ensure!(data(&done)["complete"] == json!(true), "the shares are not accepted: {done}");
        Ok(())
    }
}
