//! The built-in mount of tokens: an object adopts its settings, repairs them, and leaves them when it is deleted.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::fixture::ready_of;
use crate::general::Scene;

/// Path of the mount in its namespace.
const MOUNT: &str = "sys/auth/token";
const KIND: &str = "AuthMethod";

/// The mount of tokens of a namespace, and an object for it.
struct Tokens<'a> {
    scene: &'a Scene,
    name: &'a str,
    spec: Value,
    /// Prefix of paths in the namespace.
    within: &'a str,
}

#[tokio::test]
async fn the_settings_of_the_mount_of_tokens_are_adopted_repaired_and_left() -> Result<()> {
    let scene = Scene::new("token-mounts").await?;
    scene.post("sys/namespaces/team", json!({})).await?;
    let tune = json!({"defaultLeaseTTL": "1h", "maxLeaseTTL": "48h", "listingVisibility": "hidden"});
    let root = json!({"type": "token", "path": "token", "tune": tune, "deletionPolicy": "Delete"});
    let mut team = root.clone();
    team["namespace"] = json!("team");
    for (name, spec, within) in [("of-root", root, ""), ("of-team", team, "team/")] {
        let tokens = Tokens { scene: &scene, name, spec, within };
        tokens.check().await.with_context(|| format!("the mount {within}{MOUNT}"))?;
    }
    Ok(())
}

impl Tokens<'_> {
    async fn state(&self) -> Result<Value> {
        let path = format!("{}{MOUNT}", self.within);
        self.scene.state(&path).await?.context("the mount does not exist")
    }

    async fn check(&self) -> Result<()> {
        self.is_adopted_with_one_write().await?;
        self.limits_the_lifetime_of_tokens().await?;
        let right = self.state().await?;
        self.is_repaired(&right).await?;
        let written = self.scene.written()?;
        self.scene.delete(KIND, self.name).await?;
        assert_eq!(self.state().await?, right, "the deletion changed the mount");
        self.is_adopted_without_a_write(&right).await?;
        self.scene.delete(KIND, self.name).await?;
        assert_eq!(self.scene.written()?, written, "a deletion or an adoption made writes");
        Ok(())
    }

    /// OpenBao has created the mount, so that it belongs to no object.
    async fn is_adopted_with_one_write(&self) -> Result<()> {
        let (scene, before, written) = (self.scene, self.state().await?, self.scene.writes()?);
        scene.apply(KIND, self.name, self.spec.clone()).await?;
        let object = scene.ready(KIND, self.name, "False/Conflict").await?;
        assert!(ready_of(&object).contains("set adopt: IfUnowned"), "{object}");
        assert_eq!(self.state().await?, before, "the mount was changed without adoption");
        scene.change(KIND, self.name, json!({"spec": {"adopt": "IfUnowned"}})).await?;
        scene.ready(KIND, self.name, "True/Applied").await?;
        scene.pass(KIND, self.name, MOUNT).await?;
        let added = scene.written()?.split_off(written);
        assert!(matches!(&added[..], [only] if only.ends_with("sys/auth/token/tune")), "{added:?}");
        Ok(())
    }

    async fn is_adopted_without_a_write(&self, right: &Value) -> Result<()> {
        let mut spec = self.spec.clone();
        spec["adopt"] = json!("IfUnowned");
        self.scene.apply(KIND, self.name, spec).await?;
        self.scene.ready(KIND, self.name, "True/Applied").await?;
        self.scene.pass(KIND, self.name, MOUNT).await?;
        assert_eq!(&self.state().await?, right);
        Ok(())
    }

    async fn limits_the_lifetime_of_tokens(&self) -> Result<()> {
        let path = format!("{}auth/token/create", self.within);
        for (mut request, seconds) in [(json!({"ttl": "100h"}), 172_800), (json!({}), 3600)] {
            // A token with the policy root and without a TTL never expires.
            request["policies"] = json!(["default"]);
            let answer = self.scene.post(&path, request).await?;
            assert_eq!(answer.pointer("/auth/lease_duration"), Some(&json!(seconds)));
        }
        Ok(())
    }

    async fn is_repaired(&self, right: &Value) -> Result<()> {
        let (scene, path) = (self.scene, format!("{}{MOUNT}", self.within));
        for change in [
            json!({"max_lease_ttl": "5h"}),
            json!({"default_lease_ttl": "2h"}),
            json!({"listing_visibility": "unauth"}),
        ] {
            let written = scene.writes()?;
            scene.post(&format!("{path}/tune"), change.clone()).await?;
            // A pass of the operator can repair the change before it is read.
            let is_effective = self.state().await? != *right || scene.writes()? > written;
            assert!(is_effective, "{change} changes nothing");
            scene.nudge(KIND, self.name).await?;
            scene.becomes(&path, Some(right)).await.with_context(|| change.to_string())?;
        }
        scene.ready(KIND, self.name, "True/Applied").await.map(drop)
    }
}
