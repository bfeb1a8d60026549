//! Parameters of a policy besides its text, which a write without them resets.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::ready_of;
use crate::general::Scene;

const NAME: &str = "kept";
const PATH: &str = "sys/policies/acl/kept";
const TEXT: &str = "path \"kv/data/web/*\" {\n  capabilities = [\"read\"]\n}\n";
const OTHER: &str = "path \"other\" {\n  capabilities = [\"deny\"]\n}\n";

/// A policy as an administrator writes it.
fn by_hand(text: &str) -> Value {
    json!({"policy": text, "expiration": "2090-01-02T03:04:05.6Z", "allow_slashes_in_identity_templates": true})
}

/// An adoption writes nothing. A repair, a change of the text and stated parameters keep the other parameters.
pub async fn of_an_administrator_are_kept(scene: &Scene) -> Result<()> {
    scene.post(PATH, by_hand(TEXT)).await?;
    let mut expected = scene.state(PATH).await?.unwrap_or_default();
    assert_eq!(expected["expiration"], "2090-01-02T03:04:05.6Z");
    let before = scene.writes()?;
    scene.apply("BaoPolicy", NAME, json!({"policy": TEXT, "adopt": "IfUnowned"})).await?;
    scene.ready("BaoPolicy", NAME, "True/Applied").await?;
    assert_eq!(scene.writes()?, before, "an adoption wrote");
    scene.post(PATH, by_hand(OTHER)).await?;
    scene.nudge("BaoPolicy", NAME).await?;
    scene.becomes(PATH, Some(&expected)).await?;
    change(scene, json!({"policy": OTHER})).await?;
    expected["policy"] = json!(OTHER);
    scene.becomes(PATH, Some(&expected)).await?;
    stated_ones_are_compared(scene, expected).await?;
    let ttl = json!({"parameters": {"expiration": null, "ttl": "1h"}});
    change(scene, ttl).await?;
    let object = scene.ready("BaoPolicy", NAME, "False/Invalid").await?;
    assert!(ready_of(&object).contains("parameters.ttl: OpenBao makes it a time"), "{object}");
    scene.delete("BaoPolicy", NAME).await
}

async fn stated_ones_are_compared(scene: &Scene, mut expected: Value) -> Result<()> {
    // OpenBao returns times in UTC.
    change(scene, json!({"parameters": {"expiration": "2091-01-02T05:04:05+02:00"}})).await?;
    expected["expiration"] = json!("2091-01-02T03:04:05Z");
    scene.becomes(PATH, Some(&expected)).await?;
    let before = scene.writes()?;
    scene.pass("BaoPolicy", NAME, PATH).await?;
    assert_eq!(scene.writes()?, before, "a settled policy was written");
    change(scene, json!({"parameters": {"expiration": ""}})).await?;
    if let Some(fields) = expected.as_object_mut() {
        fields.remove("expiration");
    }
    scene.becomes(PATH, Some(&expected)).await
}

async fn change(scene: &Scene, spec: Value) -> Result<()> {
    scene.change("BaoPolicy", NAME, json!({"spec": spec})).await
}
