//! Values of parameters in rules.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Identity};

use crate::fixture::ready_of;
use crate::general::Scene;

/// A token sends requests to an engine of version 1, which accepts any parameter.
pub async fn are_enforced(scene: &Scene) -> Result<()> {
    scene.post("sys/mounts/values", json!({"type": "kv"})).await?;
    let rule = json!({
        "path": "values/*", "capabilities": ["create", "update"],
        "allowedParameters": {"token_policies": [["default", "web"]], "flag": [true], "ttl": ["1m"], "any": []},
        "deniedParameters": {"any": [["root"]]},
    });
    scene.apply("BaoPolicy", "values", json!({"rules": [rule]})).await?;
    scene.ready("BaoPolicy", "values", "True/Applied").await?;
    let answer =
        scene.post("auth/token/create", json!({"policies": ["values"], "no_default_policy": true})).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    let session = scene.openbao.client()?.session(Identity::Token(token.to_owned().into()));
    for (body, is_allowed) in [
        (json!({"token_policies": ["default", "web"]}), true),
        (json!({"token_policies": ["web", "default"]}), false),
        (json!({"token_policies": ["default", "web", "admin"]}), false),
        (json!({"token_policies": ["default"]}), false),
        (json!({"token_policies": "default"}), false),
        (json!({"flag": true, "ttl": "1m"}), true),
        (json!({"flag": false}), false),
        (json!({"flag": "true"}), false),
        (json!({"ttl": "2m"}), false),
        (json!({"any": ["web"]}), true),
        (json!({"any": ["root"]}), false),
        (json!({"other": "a"}), false),
    ] {
        match session.request_any(Method::POST, "values/a", Some(body.clone())).await {
            Ok(_) => assert!(is_allowed, "{body} is allowed"),
            Err(Error::Denied { .. }) => assert!(!is_allowed, "{body} is denied"),
            Err(error) => return Err(error.into()),
        }
    }
    let before = scene.writes()?;
    scene.pass("BaoPolicy", "values", "sys/policies/acl/values").await?;
    assert_eq!(scene.writes()?, before, "a settled policy was written");
    scene.delete("BaoPolicy", "values").await
}

/// CEL rules do not reach values without a type: the object names the mistake, and no policy is created.
pub async fn mistakes_are_named(scene: &Scene) -> Result<()> {
    for (name, allowed, expected) in [
        ("star", json!({"*": [], "ttl": ["1h"]}), "remove '*', and list each allowed parameter"),
        ("number", json!({"ttl": [60, "1m"]}), "allowedParameters.ttl: 60: OpenBao never finds a number"),
        ("object", json!({"ttl": [{"a": "b"}]}), "write a text, true, false, or a list of them"),
    ] {
        let rule = json!({"path": "values/*", "capabilities": ["create"], "allowedParameters": allowed});
        scene.apply("BaoPolicy", name, json!({"rules": [rule]})).await?;
        let object = scene.ready("BaoPolicy", name, "False/Invalid").await?;
        assert!(ready_of(&object).contains(expected), "{object}");
        assert_eq!(scene.state(&format!("sys/policies/acl/{name}")).await?, None, "{name} was created");
        scene.delete("BaoPolicy", name).await?;
    }
    Ok(())
}
