//! Test helpers for the keys of a managed cluster.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;

use crate::bao::{Bao, is_ready};

impl Bao {
    /// Returns true if everything that the seal wraps in the database names `key`, with its tag and its length.
    pub fn wrapped_with(&self, key: &str) -> Result<bool> {
        let id: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        let sql = format!(
            "SELECT bool_and(position('\\x1a{:02x}{id}'::bytea IN value) > 0) FROM openbao_kv_store \
             WHERE (path = '/core/hsm/' AND key = 'barrier-unseal-keys') OR (path = '/core/' AND key = 'recovery-key')",
            key.len()
        );
        Ok(self.postgres.sql(&self.namespace, &sql)?.trim() == "t")
    }

    /// Waits through the rollouts of a rotation, until a static key is in use and the nodes know no other key.
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

    /// Generates a root token with the recovery key of a Secret, as a locked-out administrator would.
    pub async fn recovery_keys_work(&self, recovery: &Secret) -> Result<()> {
        let share =
            recovery.data.as_ref().and_then(|data| data.get("share-1")).context("the Secret has no share")?;
        self.shares_work(&[String::from_utf8(share.0.clone())?]).await
    }

    /// Generates a root token with the given shares of the recovery key; the threshold must be met.
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
