//! Seals: key rotation without an outage, seal migration, and an unreachable KMS, which does not affect running nodes.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_testing::objects::apply;
use steamer_testing::seals::{KmipServer, TransitServer};

use crate::bao::{Bao, NODES, condition, is_ready};
use crate::faults::Pods;
use crate::registers::Registers;

impl Bao {
    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    pub async fn patch_secret(&self, name: &str, data: Value) -> Result<()> {
        let patch = json!({"data": data});
        self.secrets().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_static_key_is_rotated_without_an_outage() -> Result<()> {
    let bao = Bao::serving("rotation", |_| {}).await?;
    let registers = Registers::start(&bao).await?;
    assert!(bao.wrapped_with("k1")?);
    // A `keyId` without its key is reported, and nothing is changed.
    bao.apply(|spec| spec["managed"]["seal"]["static"]["keyId"] = json!("k10")).await?;
    let missing =
        bao.until("the missing key is reported", |object| condition(object, "Stalled").is_some()).await?;
    let (_, _, message) = condition(&missing, "Stalled").context("the cluster is not stalled")?;
    assert!(message.contains("has no entry `k10`"), "{message}");
    bao.patch_secret("main-seal", json!({"k10": STANDARD.encode("cd".repeat(32))})).await?;
    bao.rotated("k10").await?;
    assert!(bao.wrapped_with("k10")?);
    assert!(!bao.wrapped_with("k1")?);
    let outcome = registers.check(&bao).await?;
    println!("rotation of the static key: {outcome}");
    // The old key is no longer needed.
    bao.patch_secret("main-seal", json!({"k1": null})).await?;
    bao.replace_pod("main-0").await?;
    // Another key under the same ID is rejected before a node can start with it.
    bao.patch_secret("main-seal", json!({"k10": STANDARD.encode("ef".repeat(32))})).await?;
    let reused =
        bao.until("the reused ID is reported", |object| condition(object, "Stalled").is_some()).await?;
    let (_, _, message) = condition(&reused, "Stalled").context("the cluster is not stalled")?;
    assert!(message.contains("another than it was"), "{message}");
    bao.patch_secret("main-seal", json!({"k10": STANDARD.encode("cd".repeat(32))})).await?;
    bao.ready().await?;
    Ok(())
}

#[tokio::test]
async fn a_deleted_seal_secret_stalls_the_cluster_until_it_is_restored() -> Result<()> {
    let bao = Bao::serving("lost-key", |_| {}).await?;
    let kept = bao.secrets().get("main-seal").await?;
    bao.secrets().delete("main-seal", &DeleteParams::default()).await?;
    let lost =
        bao.until("the missing Secret is reported", |object| condition(object, "Stalled").is_some()).await?;
    let (_, _, message) = condition(&lost, "Stalled").context("the cluster is not stalled")?;
    assert!(message.contains("put it back"), "{message}");
    assert_eq!(
        lost.status.as_ref().and_then(|status| status.replicas),
        Some(3),
        "running nodes keep serving"
    );
    let mut back = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "main-seal", "namespace": bao.namespace}});
    back["data"] = json!(kept.data);
    apply(&bao.kube, back).await?;
    bao.ready().await?;
    Ok(())
}

impl Bao {
    /// Restarts PostgreSQL, three times in `make faults`. No pod is replaced, and no node is fenced or sealed.
    async fn survives_database_restarts(&self, registers: &Registers) -> Result<()> {
        let before = Pods::of(self).await?;
        let restarts = if crate::faults::are_requested() { 3 } else { 1 };
        for _ in 0..restarts {
            self.postgres.kill();
            let server = self.postgres.clone();
            self.fleet.at_home(async move { server.run().await }).await?;
            registers.goes_on().await?;
        }
        let serving = |object: &steamer_api::OpenBaoCluster| {
            object.status.as_ref().and_then(|status| status.replicas) == Some(3)
        };
        self.until("all three nodes serve", serving).await?;
        before.unchanged(self).await
    }
}

#[tokio::test]
async fn the_cluster_keeps_serving_while_the_transit_seal_is_unreachable() -> Result<()> {
    let bao = Bao::with_own_postgres("transit").await?;
    let server = TransitServer::start(&bao.fleet, "transit").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "seal-token", "namespace": bao.namespace},
        "stringData": {"token": server.token},
    });
    apply(&bao.kube, secret).await?;
    let address = server.address.clone();
    let seal = |spec: &mut Value| {
        spec["managed"]["seal"] = json!({"transit": {"address": address, "keyName": "seal", "tokenSecretRef": {"name": "seal-token"}}});
    };
    bao.apply(seal).await?;
    bao.ready().await?;
    let registers = Registers::start(&bao).await?;
    server.stop().await?;
    let away = bao.until("the outage is reported", |object| {
        condition(object, "SealReachable").is_some_and(|(status, ..)| status == "False")
    });
    let away = away.await?;
    assert_eq!(
        away.status.as_ref().and_then(|status| status.replicas),
        Some(3),
        "running nodes keep serving"
    );
    // A node that ended now could not start again: outages of the database must not cost one.
    bao.survives_database_restarts(&registers).await?;
    // A pod that is deleted during the outage cannot start.
    let leader = bao.leader().await?;
    let lost = leader.follower();
    bao.delete_pod(lost).await?;
    bao.until("one node is missing", |object| {
        object.status.as_ref().and_then(|status| status.replicas) == Some(2)
    })
    .await?;
    bao.pod_backs_off(lost).await?;
    registers.goes_on().await?;
    server.run().await?;
    let back = std::time::Instant::now();
    bao.ready().await?;
    println!("all nodes serve {:.1} s after the KMS was restarted", back.elapsed().as_secs_f64());
    registers.check(&bao).await?;
    Ok(())
}

/// Returns the kind of seal of the storage, and the target of a migration in progress.
fn seal_of(object: &steamer_api::OpenBaoCluster) -> (String, Option<String>) {
    let seal = object.status.as_ref().and_then(|status| status.seal.clone()).unwrap_or_default();
    (seal.kind, seal.migrating_to)
}

#[tokio::test]
async fn the_seal_kind_is_migrated_and_migrated_back() -> Result<()> {
    let bao = Bao::serving("migration", |_| {}).await?;
    let server = TransitServer::start(&bao.fleet, "migration").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "seal-token", "namespace": bao.namespace},
        "stringData": {"token": server.token},
    });
    apply(&bao.kube, secret).await?;
    let transit = json!({"transit": {
        "address": server.address, "keyName": "seal", "tokenSecretRef": {"name": "seal-token"},
    }});
    let refused = bao.apply(|spec| spec["managed"]["seal"] = transit.clone()).await;
    let message =
        format!("{:?}", refused.err().context("a change of the kind without sealMigration is accepted")?);
    assert!(message.contains("sealMigration.from"), "{message}");
    let registers = Registers::start(&bao).await?;
    let to = |seal: &Value, from: Value| {
        let seal = seal.clone();
        move |spec: &mut Value| {
            spec["managed"]["seal"] = seal;
            spec["managed"]["sealMigration"] = json!({"from": from});
        }
    };
    let reached = async |kind: &str| {
        let there = |object: &steamer_api::OpenBaoCluster| {
            is_ready(object)
                && seal_of(object) == (kind.to_owned(), None)
                && object.status.as_ref().and_then(|status| status.replicas) == Some(3)
        };
        bao.until("the storage is sealed with the new kind", there).await.map(drop)
    };
    bao.apply(to(&transit, json!({"static": {}}))).await?;
    bao.until("the migration is reported", |object| seal_of(object).1.as_deref() == Some("transit")).await?;
    reached("transit").await?;
    assert!(!bao.wrapped_with("k1")?, "the seal still wraps with the static key");
    bao.apply(|spec| spec["managed"]["seal"] = transit.clone()).await?;
    bao.ready().await?;
    // The old key is no longer needed.
    bao.secrets().delete("main-seal", &DeleteParams::default()).await?;
    bao.replace_pod("main-0").await?;
    // Back to the static seal, with a new generated key.
    bao.apply(to(&json!({"static": {"keyId": "k2"}}), transit.clone())).await?;
    bao.until("the migration is reported", |object| seal_of(object).1.as_deref() == Some("static")).await?;
    reached("static").await?;
    assert!(bao.wrapped_with("k2")?);
    let outcome = registers.check(&bao).await?;
    println!("seal migrated from static to transit and back: {outcome}");
    bao.recovery_keys_work(&bao.secrets().get("main-recovery").await?).await
}

#[tokio::test]
async fn a_transit_token_that_cannot_renew_itself_is_rejected_at_once() -> Result<()> {
    let bao = Bao::prepare("mortal").await?;
    let server = TransitServer::start(&bao.fleet, "mortal").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "seal-token", "namespace": bao.namespace},
        "stringData": {"token": server.mortal_token().await?},
    });
    apply(&bao.kube, secret).await?;
    bao.apply(|spec| {
        spec["managed"]["seal"] = json!({"transit": {"address": server.address, "keyName": "seal", "tokenSecretRef": {"name": "seal-token"}}});
    })
    .await?;
    let stalled = bao.until("the token is rejected", |object| condition(object, "Stalled").is_some()).await?;
    let (_, _, message) = condition(&stalled, "Stalled").context("the cluster is not stalled")?;
    assert!(message.contains("cannot renew itself"), "{message}");
    assert!(bao.pods().await?.is_empty(), "no pod is created before the seal works");
    Ok(())
}

#[tokio::test]
async fn a_kmip_seal_unseals_new_and_replaced_nodes() -> Result<()> {
    let bao = Bao::prepare("kmip").await?;
    let server = KmipServer::start(&bao.fleet, "kmip").await?;
    for secret in server.secrets(&bao.namespace) {
        apply(&bao.kube, secret).await?;
    }
    bao.apply(|spec| {
        spec["managed"]["seal"] = json!({"kmip": {
            "endpoint": server.endpoint, "keyId": server.key_id, "clientCertSecretRef": {"name": "kmip-client"},
            "caSecretRef": {"name": "kmip-ca"},
        }});
    })
    .await?;
    bao.ready().await?;
    bao.replace_pod("main-0").await?;
    let admin = bao.admin().await?;
    admin.request_any(Method::GET, "sys/mounts", None).await?;
    Ok(())
}

/// Seals with plugins that are not available here: OpenBao's own check validates the configuration of a node.
#[tokio::test]
async fn the_configuration_of_a_cloud_seal_is_valid() -> Result<()> {
    let plugin = json!({"command": "openbao-plugin-kms", "version": "v1.0.0", "sha256": "ab".repeat(32)});
    let seals = [
        ("awskms", "awsKms", json!({"region": "eu-central-1", "kmsKeyId": "alias/bao"})),
        ("gcpckms", "gcpKms", json!({"project": "p", "region": "global", "keyRing": "r", "cryptoKey": "k"})),
        ("azurekeyvault", "azureKeyVault", json!({"tenantId": "t", "vaultName": "v", "keyName": "k"})),
        (
            "ocikms",
            "ociKms",
            json!({"keyId": "ocid", "cryptoEndpoint": "https://c", "managementEndpoint": "https://m"}),
        ),
        (
            "pkcs11",
            "pkcs11",
            json!({"lib": "/l.so", "tokenLabel": "t", "keyLabel": "k", "credentialsSecretRef": {"name": "pin"}}),
        ),
    ];
    for (kind, field, mut seal) in seals {
        let bao = Bao::prepare(&format!("seal-{kind}")).await?;
        // OpenBao has no such seal without its plugin.
        let plugins = json!([{
            "type": "secret", "name": "mine", "command": "openbao-plugin-mine", "version": "v1.0.0", "sha256": "cd".repeat(32),
        }]);
        let change = |seal: Value| {
            let plugins = plugins.clone();
            move |spec: &mut Value| {
                spec["managed"]["seal"] = json!({field: seal});
                spec["managed"]["plugins"] = plugins;
            }
        };
        bao.apply(change(seal.clone())).await?;
        let stalled = bao
            .until("the missing plugin is reported", |object| condition(object, "Stalled").is_some())
            .await?;
        let (_, _, message) = condition(&stalled, "Stalled").context("the cluster is not stalled")?;
        assert!(message.contains("has no seal") && message.contains("plugin"), "{message}");
        seal["plugin"] = plugin.clone();
        bao.apply(change(seal)).await?;
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(bao.kube.clone(), &bao.namespace);
        let text = steamer_testing::wait::eventually("the configuration is created", || async {
            let all = maps.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let found = all.items.into_iter().find_map(|map| map.data?.remove("openbao.json"));
            found.ok_or("none").map_err(str::to_owned)
        })
        .await?;
        let config: Value = serde_json::from_str(&text)?;
        assert!(config.pointer(&format!("/seal/{kind}")).is_some(), "{config}");
        assert!(config.pointer(&format!("/plugin/kms/{kind}/sha256sum")).is_some(), "{config}");
        assert!(config.pointer("/plugin/secret/mine/command").is_some(), "{config}");
        let file = bao.fleet.folder.join(format!("{kind}.json"));
        std::fs::write(&file, text)?;
        let bin = steamer_testing::tools::bao(steamer_testing::tools::OPENBAO)?;
        let checked = std::process::Command::new(bin)
            .args(["operator", "validate-config", &format!("-config={}", file.display())])
            .output()?;
        let output = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(checked.status.success(), "{kind}: {output}");
    }
    Ok(())
}

/// Manual test with a real KMS and its plugin: `STEAMER_SEAL` is `spec.managed.seal` as JSON.
#[tokio::test]
#[ignore = "needs a KMS: set STEAMER_SEAL"]
async fn the_kms_in_steamer_seal_unseals_new_and_replaced_nodes() -> Result<()> {
    let seal: Value =
        serde_json::from_str(&std::env::var("STEAMER_SEAL").context("STEAMER_SEAL is not set")?)?;
    let bao = Bao::serving("given-kms", |spec| spec["managed"]["seal"] = seal).await?;
    for pod in NODES {
        bao.replace_pod(pod).await?;
    }
    Ok(())
}
