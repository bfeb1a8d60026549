//! Invalid input: rejected at admission, or `Stalled` with a helpful message. No pod is created for it.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::OpenBaoCluster;
use steamer_testing::certificates::Authority;

use crate::bao::{Bao, condition};

/// A part of the expected message, and the invalid change.
type Mistake = (&'static str, fn(&mut Value));

impl Bao {
    async fn secret(&self, name: &str, data: Value) -> Result<()> {
        let api: Api<Secret> = Api::namespaced(self.kube.clone(), &self.namespace);
        let made = json!({"metadata": {"name": name}, "stringData": data});
        let made = serde_json::from_value(made)?;
        match api.create(&kube::api::PostParams::default(), &made).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                api.patch(name, &PatchParams::default(), &Patch::Merge(&json!({"stringData": data}))).await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the operator has reconciled the current spec. No reconcile of an older, valid spec is then in progress.
    async fn observed(&self) -> Result<()> {
        let current = |object: &OpenBaoCluster| {
            let observed = object.status.as_ref().map(|status| status.common.observed_generation);
            observed == object.metadata.generation
        };
        self.until("the spec is observed", current).await.map(drop)
    }

    /// Waits until a condition is True with a message that contains `part`.
    async fn says(&self, kind: &str, part: &str) -> Result<()> {
        let said = |object: &OpenBaoCluster| {
            condition(object, kind)
                .is_some_and(|(status, _, message)| status == "True" && message.contains(part))
        };
        self.until(part, said).await.map(drop)
    }
}

#[tokio::test]
async fn an_invalid_spec_is_rejected_at_admission() -> Result<()> {
    let bao = Bao::prepare("refused").await?;
    let cases: &[Mistake] = &[
        ("seal requires exactly one", |spec| {
            spec["managed"]["seal"]["transit"] =
                json!({"address": "https://x", "keyName": "k", "tokenSecretRef": {"name": "t"}});
        }),
        ("replicas must be 1, 3 or 5", |spec| spec["managed"]["replicas"] = json!(2)),
        ("version must be three numbers", |spec| spec["managed"]["version"] = json!("latest")),
        ("exactly one of managed and external", |spec| {
            spec["external"] = json!({"address": "https://x", "managementAuth": {"jwt": {"audience": "x"}}});
        }),
        ("description", |spec| {
            spec["managed"]["audit"] = json!([{"name": "a", "file": {"path": "stdout"}}]);
        }),
        ("exactly one of file, http and socket", |spec| {
            spec["managed"]["audit"] = json!([{"name": "a", "description": "d"}]);
        }),
        ("caSecretRef is required unless", |spec| {
            spec["managed"]["storage"]["postgresql"]["tls"] = json!({"mode": "VerifyFull"});
        }),
        ("threshold must not exceed", |spec| {
            spec["managed"]["recoveryKeys"] = json!({"shares": 1, "threshold": 2});
        }),
        ("role steamer is reserved for the operator", |spec| {
            spec["administrators"][0]["name"] = json!("steamer")
        }),
        ("an administrator requires exactly one", |spec| {
            spec["administrators"][0].as_object_mut().unwrap().remove("serviceAccount");
        }),
        ("tls.secretRef is required with tls.mode Secret", |spec| {
            spec["managed"]["tls"] = json!({"mode": "Secret"})
        }),
        ("plugin requires exactly one of image and command", |spec| {
            let plugin = json!({"type": "secret", "name": "a", "version": "v1", "sha256": "ab".repeat(32)});
            spec["managed"]["plugins"] = json!([plugin]);
        }),
        ("plugins must be unique by type and name", |spec| {
            let plugin = json!({"type": "auth", "name": "a", "command": "a", "version": "v1", "sha256": "ab".repeat(32)});
            spec["managed"]["plugins"] = json!([plugin, plugin]);
        }),
        ("sha256 must be 64 lowercase hex digits", |spec| {
            let plugin =
                json!({"type": "auth", "name": "a", "command": "a", "version": "v1", "sha256": "ab"});
            spec["managed"]["plugins"] = json!([plugin]);
        }),
        ("host must be a lowercase host name", |spec| {
            spec["managed"]["ingress"] = json!({"host": "https://x"})
        }),
        ("podTemplate.env must not contain HOME or a variable that starts with", |spec| {
            spec["managed"]["podTemplate"]["env"] = json!({"BAO_API_ADDR": "https://x"});
        }),
        ("podTemplate.env must not contain HOME or a variable that starts with", |spec| {
            spec["managed"]["podTemplate"]["env"] = json!({"PGSERVICEFILE": "/tmp/x"});
        }),
        ("tls.extraNames must contain host names", |spec| {
            spec["managed"]["tls"] = json!({"extraNames": ["https://bao.example.com"]});
        }),
        ("tls.extraNames must contain host names", |spec| {
            spec["managed"]["tls"] = json!({"extraNames": ["bao.example.com:8200"]});
        }),
        ("tls.extraNames must contain host names", |spec| {
            spec["managed"]["tls"] = json!({"extraNames": ["10.0.0.0/8"]});
        }),
        ("tls.extraNames must contain host names", |spec| {
            spec["managed"]["tls"] = json!({"extraNames": [""]});
        }),
        ("pathPrefix must start with /", |spec| {
            spec["managed"]["gateway"] =
                json!({"host": "x.example.com", "parentRef": {"name": "edge"}, "pathPrefix": "v1"});
        }),
    ];
    for (expected, change) in cases {
        let refused = bao.apply(change).await;
        let message = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(message.contains(expected), "expected {expected:?}, got {message:?}");
    }
    bao.apply(|spec| spec["jwtAudience"] = json!("https://bao.example.com")).await?;
    let changes: &[Mistake] = &[
        ("jwtAudience is immutable", |spec| spec["jwtAudience"] = json!("https://other.example.com")),
        ("put the current seal into sealMigration.from", |spec| {
            spec["jwtAudience"] = json!("https://bao.example.com");
            spec["managed"]["seal"] = json!({"transit": {
                "address": "https://x", "keyName": "k", "tokenSecretRef": {"name": "t"}
            }});
        }),
    ];
    for (expected, change) in changes {
        let refused = bao.apply(change).await;
        let message = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(message.contains(expected), "expected {expected:?}, got {message:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_error_found_after_admission_is_reported_with_a_helpful_message() -> Result<()> {
    let bao = Bao::prepare("stalled").await?;
    let login = |change: Value| {
        let mut data = bao.postgres.secrets("stalled", "stalled")[0]["stringData"].clone();
        for (key, value) in change.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        data
    };
    // Database errors one after the other, each corrected by changing only the Secret.
    bao.secret("pg-app", login(json!({"password": "wrong"}))).await?;
    bao.apply(|_| {}).await?;
    bao.says("Stalled", "refuses the login `stalled_owner`; correct username and password in its Secret")
        .await?;
    bao.secret("pg-app", login(json!({"dbname": "nowhere"}))).await?;
    bao.says("Stalled", "has no database `nowhere`").await?;
    bao.secret("pg-app", login(json!({"port": "1"}))).await?;
    bao.says("Reconciling", "cannot be reached").await?;
    bao.secret("pg-ca", json!({"ca.crt": Authority::new("another CA")?.pem})).await?;
    bao.secret("pg-app", login(json!({}))).await?;
    bao.says("Stalled", "the certificate of PostgreSQL").await?;
    // Too many connections. The spec is invalid before the Secret becomes valid.
    bao.apply(|spec| spec["managed"]["storage"]["postgresql"]["maxConnectionsPerPod"] = json!(1000)).await?;
    bao.observed().await?;
    bao.secret("pg-ca", json!({"ca.crt": bao.postgres.ca})).await?;
    bao.says("Stalled", "max_connections is 600: raise it, or lower maxConnectionsPerPod").await?;
    // Foreign tables.
    bao.postgres.sql(
        "stalled",
        "DROP TABLE IF EXISTS openbao_kv_store, openbao_ha_locks; CREATE TABLE openbao_kv_store (x int)",
    )?;
    bao.apply(|_| {}).await?;
    bao.says("Stalled", "are not OpenBao's: use a database that nothing else uses").await?;
    // An invalid key.
    let generated: Api<Secret> = Api::namespaced(bao.kube.clone(), &bao.namespace);
    ensure!(generated.get_opt("other-seal").await?.is_none());
    bao.secret("other-seal", json!({"k1": "short"})).await?;
    bao.apply(|spec| spec["managed"]["seal"]["static"] = json!({"secretRef": {"name": "other-seal"}}))
        .await?;
    bao.observed().await?;
    bao.postgres.sql("stalled", "DROP TABLE openbao_kv_store")?;
    bao.says("Stalled", "a key is 32 bytes, or 64 hex or 44 Base64 characters").await?;
    let with_newline = STANDARD.encode(format!("{}\n", "ab".repeat(32)));
    let patch = json!({"data": {"k1": with_newline}});
    generated.patch("other-seal", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    bao.says("Stalled", "ends in a newline").await?;
    // A missing Secret is waited for.
    bao.apply(|spec| spec["managed"]["storage"]["postgresql"]["secretRef"] = json!({"name": "later"}))
        .await?;
    bao.says("Reconciling", "Secret stalled/later does not exist").await?;
    bao.apply(|spec| spec["managed"]["version"] = json!("2.5.0")).await?;
    bao.says("Stalled", "2.5.0 breaks automatic unsealing").await?;
    bao.apply(|spec| {
        spec["managed"]["seal"] = json!({"static": {}});
        spec["managed"]["failover"] = json!({"fencing": "Database"});
        spec["managed"]["storage"]["postgresql"].as_object_mut().unwrap().remove("adminSecretRef");
    })
    .await?;
    bao.says("Stalled", "needs storage.postgresql.adminSecretRef").await?;
    ensure!(bao.pods().await?.is_empty(), "a pod was created for an invalid spec");
    Ok(())
}

#[tokio::test]
async fn a_missing_grant_of_the_admin_login_is_reported_by_fencing_ready() -> Result<()> {
    let bao = Bao::prepare("rights").await?;
    bao.postgres.sql("postgres", "REVOKE pg_signal_backend FROM rights_admin")?;
    bao.apply(|spec| spec["managed"]["replicas"] = json!(1)).await?;
    bao.ready().await?;
    let object = bao.object().await?;
    let (status, _, message) = condition(&object, "FencingReady").context("the condition is missing")?;
    assert_eq!(status, "False");
    assert!(message.contains("GRANT pg_signal_backend TO \"rights_admin\""), "{message}");
    bao.postgres.sql("postgres", "GRANT pg_signal_backend TO rights_admin")?;
    let fenced = |object: &OpenBaoCluster| {
        condition(object, "FencingReady").is_some_and(|(status, ..)| status == "True")
            && crate::bao::is_ready(object)
    };
    bao.until("nodes get dedicated roles", fenced).await?;
    let roles = "SELECT string_agg(DISTINCT usename, ',') FROM pg_stat_activity WHERE datname = 'rights' AND usename LIKE 'main%'";
    steamer_testing::wait::eventually("the node logs in with its dedicated role", || async {
        let found = bao.postgres.sql("postgres", roles).map_err(|error| error.to_string())?;
        if found.trim().starts_with("main_0_") { Ok(()) } else { Err(found) }
    })
    .await
}
