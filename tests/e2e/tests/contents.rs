//! Every KV secret is synced to a Secret, or the status says why it cannot be.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Secret;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_of};
use crate::static_secrets::{auth, engine};

const MIB: usize = 1024 * 1024;

/// Creates a namespace with a dedicated engine, both called `name`.
async fn case(name: &str) -> Result<Case> {
    let case = Case::new(name).await?;
    engine(&case, name).await?;
    case.object("BaoAuth", "default", auth(name)).await?;
    Ok(case)
}

/// Writes a value and syncs it.
async fn put(case: &Case, name: &str, value: &Value) -> Result<()> {
    case.admin()?.write_kv2(&case.namespace, name, value).await.with_context(|| name.to_owned())?;
    sync(case, name).await
}

async fn sync(case: &Case, name: &str) -> Result<()> {
    let spec = json!({
        "mount": case.namespace, "path": name, "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": name, "create": true},
    });
    case.object("BaoStaticSecret", name, spec).await.map(drop)
}

/// Waits until the object is Ready and returns the data of its Secret.
async fn synced(case: &Case, name: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    let data = case.api::<Secret>().get(name).await?.data.unwrap_or_default();
    Ok(data.into_iter().map(|(key, value)| (key, value.0)).collect())
}

/// Returns the Secret data expected for a value.
fn expected(value: &Value) -> BTreeMap<String, Vec<u8>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), text(value).into_bytes()))
        .collect()
}

#[tokio::test]
async fn every_value_that_a_secret_can_hold_is_synced_unchanged() -> Result<()> {
    let case = case("contents").await?;
    let controls: String = (0..=0x9f_u32).filter_map(char::from_u32).collect();
    let many: Map<String, Value> = (0..10_000).map(|number| (format!("key-{number}"), json!("v"))).collect();
    let values = [
        ("controls", json!({"a": controls, "b": "\u{feff}\u{2028}\u{10ffff}", "c": ""})),
        ("unicode", json!({"a": "ßÄ漢字🙂\u{0301}", "b": {"schlüssel": ["🙂", "<&>", "\\u003c"]}})),
        ("raw", json!({"_raw": "x", "data": {"_raw": 1}, ".dockerconfigjson": "{}", "A-b_c.d": "y"})),
        ("kinds", json!({"t": true, "n": null, "i": -1, "f": 0.25, "o": {}, "l": []})),
        ("empty", json!({})),
        (
            "binary",
            json!({"base64": "AAECA//+/Q==", "pem": "-----BEGIN X-----\r\n\tAA==\n-----END X-----\n"}),
        ),
        ("many", Value::Object(many)),
        ("large", json!({"a": "x".repeat(MIB / 2), "b": "y".repeat(MIB / 2)})),
    ];
    for (name, value) in &values {
        put(&case, name, value).await?;
    }
    for (name, value) in &values {
        let (seen, expected) = (synced(&case, name).await?, expected(value));
        assert_eq!(seen.len(), expected.len(), "{name}");
        assert!(seen == expected, "{name} differs");
    }
    // KV v1 keeps every digit of a number, and so does the Secret. (KV v2 rounds numbers to the precision of a double.)
    let text = r#"{"n": 123456789012345678901234567890, "f": [1.10, -8509169355417824791]}"#;
    case.admin()?.request_any(Method::POST, "sys/mounts/contents-v1", Some(json!({"type": "kv"}))).await?;
    let policy = json!({"path": {"contents*": {"capabilities": ["read"]}}}).to_string();
    case.admin()?
        .request_any(Method::POST, "sys/policies/acl/contents", Some(json!({"policy": policy})))
        .await?;
    let http = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(case.ground.openbao.ca.as_bytes())?)
        .no_proxy()
        .build()?;
    let url = format!("{}/v1/contents-v1/numbers", case.ground.openbao.url);
    let root = case.ground.openbao.root.expose_secret();
    http.post(url).header("x-vault-token", root).body(text).send().await?.error_for_status()?;
    let spec = json!({
        "mount": "contents-v1", "path": "numbers", "type": "kv-v1", "destination": {"name": "numbers", "create": true},
    });
    case.object("BaoStaticSecret", "numbers", spec).await?;
    let seen = synced(&case, "numbers").await?;
    assert_eq!(seen["n"], b"123456789012345678901234567890");
    assert_eq!(seen["f"], b"[1.10,-8509169355417824791]");
    Ok(())
}

#[tokio::test]
async fn a_value_that_no_secret_can_hold_is_reported_in_the_status() -> Result<()> {
    let case = case("contents-wrong").await?;
    let values = [
        ("space", json!({"a b": "x"}), "key 1 of 1 in alphabetical order contains another character"),
        ("foreign", json!({"schlüssel": "x"}), "contains another character"),
        ("slash", json!({"a/b": "x"}), "contains another character"),
        ("none", json!({"": "x"}), "is empty"),
        ("dot", json!({".": "x"}), "is . or starts with .."),
        ("dots", json!({"..a": "x"}), "is . or starts with .."),
        ("long", json!({"k".repeat(254): "x"}), "is too long"),
        ("large", json!({"a": "x".repeat(MIB), "b": "y"}), "1048577 bytes"),
    ];
    for (name, value, sentence) in values {
        put(&case, name, &value).await?;
        let failed = case.ready::<BaoStaticSecret>(name, "False/Invalid").await?;
        let message = ready_of(&serde_json::to_value(&failed)?);
        assert!(message.contains(sentence), "{name}: {message}");
        assert!(case.api::<Secret>().get_opt(name).await?.is_none(), "{name}");
        // Once the value is corrected in OpenBao, it is synced without intervention.
        case.admin()?.write_kv2(&case.namespace, name, &json!({"a": "right"})).await?;
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    }
    Ok(())
}

#[tokio::test]
async fn random_values_are_synced_unchanged() -> Result<()> {
    let case = case("contents-random").await?;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,40}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    let secret = prop::collection::btree_map("[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", value, 0..12);
    let mut runner = TestRunner::deterministic();
    let mut drawn = Vec::new();
    for number in 0..40 {
        let map = secret.new_tree(&mut runner).map_err(|reason| anyhow!("{reason}"))?.current();
        let (name, value) = (format!("random-{number}"), json!(map));
        put(&case, &name, &value).await?;
        drawn.push((name, value));
    }
    for (name, value) in drawn {
        let expected = expected(&value);
        eventually(&format!("{name} is {value}"), || async {
            let seen = synced(&case, &name).await.map_err(|error| error.to_string())?;
            if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await?;
    }
    Ok(())
}
