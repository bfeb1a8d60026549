//! SecretEngines: creation, repair, adoption and deletion of secrets engines.

use anyhow::{Context, Result};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::SecretEngine;
use steamer_testing::ground::apply;
use steamer_testing::wait::eventually;

use crate::fixture::ready_of;
use crate::general::{Scene, Subject, check};
use crate::openbao_outage::gone;
use crate::root_scope::General;

const PKI: &str = "sys/mounts/pki/full";
const URLS: &str = "pki/full/config/urls";
const CRL: &str = "pki/full/config/crl";

/// An engine with every setting of a mount.
fn full() -> Value {
    json!({
        "path": "pki/full", "type": "pki", "description": "full", "options": {"a": "1"}, "sealWrap": true, "local": false,
        "tune": {
            "defaultLeaseTTL": "1h", "maxLeaseTTL": "1h30m", "listingVisibility": "unauth",
            "auditNonHmacRequestKeys": ["r"], "auditNonHmacResponseKeys": ["s"],
            "passthroughRequestHeaders": ["X-P"], "allowedResponseHeaders": ["X-A"],
        },
        "configs": [
            {"path": "urls", "parameters": {"ocsp_servers": ["https://ocsp.example.com"]}},
            {"path": "crl", "parameters": {"expiry": "48h", "auto_rebuild": true}},
        ],
    })
}

/// The same engine as an administrator mounts it.
async fn mounted_by_hand(general: &General, path: &str) -> Result<()> {
    let config = json!({
        "default_lease_ttl": "3600s", "max_lease_ttl": "90m", "listing_visibility": "unauth",
        "audit_non_hmac_request_keys": ["r"], "audit_non_hmac_response_keys": ["s"],
        "passthrough_request_headers": ["X-P"], "allowed_response_headers": ["X-A"],
    });
    let mount = json!({
        "type": "pki", "description": "full", "options": {"a": "1"}, "seal_wrap": true, "config": config,
    });
    general.post(&format!("sys/mounts/{path}"), mount).await?;
    let urls = json!({"ocsp_servers": "https://ocsp.example.com"});
    general.post(&format!("{path}/config/urls"), urls).await?;
    general.post(&format!("{path}/config/crl"), json!({"expiry": "48h", "auto_rebuild": "true"})).await
}

#[tokio::test]
async fn a_secrets_engine_is_created_and_each_of_its_parameters_is_repaired() -> Result<()> {
    let general = General::new("secret-engines", "SecretEngine").await?;
    general.object("full", full()).await?;
    general.case.ready::<SecretEngine>("full", "True/Applied").await?;
    let found = general.read(PKI).await?;
    assert_eq!((&found["type"], &found["description"]), (&json!("pki"), &json!("full")));
    assert_eq!((&found["seal_wrap"], &found["options"]), (&json!(true), &json!({"a": "1"})));
    let created = [PKI, URLS, CRL];
    assert_eq!(general.writes()?, created);
    general.passed("full", PKI).await?;
    assert_eq!(general.writes()?, created);

    let tune = format!("{PKI}/tune");
    let alterations = [
        json!({"description": "other"}),
        json!({"options": {"a": "2"}}),
        json!({"options": {"a": ""}}),
        json!({"default_lease_ttl": "2s"}),
        json!({"max_lease_ttl": "5h"}),
        json!({"listing_visibility": "hidden"}),
        json!({"listing_visibility": ""}),
        json!({"audit_non_hmac_request_keys": ["x"]}),
        json!({"audit_non_hmac_response_keys": []}),
        json!({"passthrough_request_headers": []}),
        json!({"allowed_response_headers": ["X-B"]}),
    ];
    let mut alterations: Vec<(&str, Value)> = alterations.into_iter().map(|body| (&*tune, body)).collect();
    alterations.push((URLS, json!({"ocsp_servers": "https://other.example.com"})));
    alterations.push((CRL, json!({"expiry": "24h"})));
    alterations.push((CRL, json!({"auto_rebuild": false})));
    general.repairs("full", &[PKI, URLS, CRL], &alterations).await?;

    // A mount that was deleted is created again, with its configuration.
    let before = general.state(&[URLS, CRL]).await?;
    general.admin.request_any(Method::DELETE, PKI, None).await?;
    crate::drift::nudge(&general.case, "SecretEngine", "full").await?;
    eventually("the engine is mounted again", || async {
        let state = general.state(&[URLS, CRL]).await.map_err(|error| error.to_string())?;
        if state == before { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await
}

#[tokio::test]
async fn an_existing_engine_is_adopted_without_a_write_and_another_one_is_a_conflict() -> Result<()> {
    let general = General::new("adopted-engines", "SecretEngine").await?;
    let case = &general.case;
    let engines: Api<SecretEngine> = case.api();
    mounted_by_hand(&general, "pki/full").await?;
    general.object("full", full()).await?;
    let refused = case.ready::<SecretEngine>("full", "False/Conflict").await?;
    let message = ready_of(&serde_json::to_value(&refused)?);
    assert!(message.contains("secrets engine pki/full in namespace adopted-engines"), "{message}");
    assert!(message.contains("set adopt: IfUnowned"), "{message}");
    let adopt = Patch::Merge(json!({"spec": {"adopt": "IfUnowned"}}));
    engines.patch("full", &PatchParams::default(), &adopt).await?;
    case.ready::<SecretEngine>("full", "True/Applied").await?;
    general.passed("full", PKI).await?;
    assert_eq!(general.writes()?, Vec::<String>::new());

    // What OpenBao cannot change, and what a project owns, is left unchanged.
    general.post("sys/mounts/kv1", json!({"type": "kv", "options": {"version": "1"}})).await?;
    let mark = "managed by Steamer: other/SecretsProject/web/web";
    general.post("sys/mounts/marked", json!({"type": "kv-v2", "description": mark})).await?;
    let cases = [
        (
            "kv1",
            json!({"type": "kv-v2", "adopt": "IfUnowned"}),
            "has another type, and OpenBao cannot change it",
        ),
        ("marked", json!({"type": "kv-v2", "adopt": "IfUnowned"}), "belongs to SecretsProject web/web"),
    ];
    for (name, spec, expected) in cases {
        general.object(name, spec).await?;
        let refused = case.ready::<SecretEngine>(name, "False/Conflict").await?;
        let message = ready_of(&serde_json::to_value(&refused)?);
        assert!(message.contains(expected), "{message}");
    }
    // OpenBao answers for a path below a mount as for the mount, whose owner is no owner of the path.
    general
        .object("nested", json!({"type": "kv-v2", "path": "pki/full/below", "adopt": "IfUnowned"}))
        .await?;
    let refused = case.ready::<SecretEngine>("nested", "False/Conflict").await?;
    let message = ready_of(&serde_json::to_value(&refused)?);
    assert!(message.contains("because pki/full in namespace adopted-engines is one"), "{message}");
    let invalid = [
        ("sys", json!({"type": "kv-v2"}), "OpenBao mounts no secrets engine at sys"),
        ("transit", json!({"type": "transit", "parameters": {"a": 1}}), "possible paths are keys"),
        (
            "twice",
            json!({"type": "kv-v2", "config": {"maxVersions": 3}, "parameters": {"max_versions": 4}}),
            "parameters.max_versions repeats a field of the spec",
        ),
    ];
    for (name, spec, expected) in invalid {
        general.object(name, spec).await?;
        let refused = case.ready::<SecretEngine>(name, "False/Invalid").await?;
        let message = ready_of(&serde_json::to_value(&refused)?);
        assert!(message.contains(expected), "{message}");
    }
    general.object("seen", json!({"type": "kv-v2", "config": {"maxVersions": 3}, "mode": "Observe"})).await?;
    let seen = case.ready::<SecretEngine>("seen", "True/Drifted").await?;
    let plan = seen.status.context("the object has no status")?.lifecycle.plan;
    let paths: Vec<&str> = plan.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["adopted-engines/sys/mounts/seen", "adopted-engines/seen/config"]);
    assert_eq!(general.writes()?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_deletion_keeps_values_unless_the_policy_is_delete() -> Result<()> {
    let general = General::new("deleted-engines", "SecretEngine").await?;
    let case = &general.case;
    let engines: Api<SecretEngine> = case.api();
    let config = json!({"maxVersions": 3, "casRequired": true, "deleteVersionAfter": "1h30m"});
    let spec = |policy: &str| json!({"type": "kv-v2", "config": config, "deletionPolicy": policy});
    general.object("kept", spec("Retain")).await?;
    general.object("deleted", spec("Delete")).await?;
    for name in ["kept", "deleted"] {
        case.ready::<SecretEngine>(name, "True/Applied").await?;
        let value = json!({"data": {"a": "1"}, "options": {"cas": 0}});
        general.post(&format!("{name}/data/app"), value).await?;
    }
    let alterations = [
        ("kept/config", json!({"max_versions": 4})),
        ("kept/config", json!({"cas_required": false})),
        ("kept/config", json!({"delete_version_after": "0s"})),
    ];
    general.repairs("kept", &["kept/config"], &alterations).await?;
    for name in ["kept", "deleted"] {
        engines.delete(name, &DeleteParams::default()).await?;
        gone(&engines, name).await?;
    }
    assert_eq!(general.read("kept/data/app").await?["data"], json!({"a": "1"}));
    assert_eq!(general.read("sys/mounts/deleted").await?, Value::Null);
    // The kept engine belongs to an object again.
    general.object("again", json!({"path": "kept", "type": "kv-v2", "adopt": "IfUnowned"})).await?;
    case.ready::<SecretEngine>("again", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn a_secret_parameter_is_written_again_when_its_secret_changes() -> Result<()> {
    let general = General::new("engine-secrets", "SecretEngine").await?;
    let case = &general.case;
    let secret = |password: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "rabbit", "namespace": case.namespace},
            "stringData": {"password": password},
        })
    };
    let connection = json!({
        "path": "connection",
        "parameters": {"connection_uri": "http://127.0.0.1:9", "username": "a", "verify_connection": false},
        "secretParameters": {"password": {"name": "rabbit", "key": "password"}},
    });
    general.object("rabbit", json!({"type": "rabbitmq", "configs": [connection]})).await?;
    let waiting = case.ready::<SecretEngine>("rabbit", "False/ReferenceNotFound").await?;
    assert!(
        ready_of(&serde_json::to_value(&waiting)?).contains("Secret engine-secrets/rabbit does not exist")
    );
    apply(&case.client, secret("first")).await?;
    case.ready::<SecretEngine>("rabbit", "True/Applied").await?;
    let written = || -> Result<usize, String> {
        let writes = general.writes().map_err(|error| error.to_string())?;
        Ok(writes.iter().filter(|write| *write == "rabbit/config/connection").count())
    };
    assert_eq!(written().map_err(anyhow::Error::msg)?, 1);
    general.passed("rabbit", "sys/mounts/rabbit").await?;
    assert_eq!(written().map_err(anyhow::Error::msg)?, 1);
    apply(&case.client, secret("second")).await?;
    eventually("the new password is written", || async {
        match written()? {
            2 => Ok(()),
            other => Err(format!("{other} writes")),
        }
    })
    .await?;
    general.passed("rabbit", "sys/mounts/rabbit").await?;
    assert_eq!(written().map_err(anyhow::Error::msg)?, 2);
    Ok(())
}

/// OpenBao returns the number 5 for the text 05.
#[tokio::test]
async fn a_secret_that_openbao_returns_in_another_form_settles_and_is_repaired() -> Result<()> {
    let general = General::new("engine-forms", "SecretEngine").await?;
    let case = &general.case;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "limits", "namespace": case.namespace},
        "stringData": {"versions": "05"},
    });
    apply(&case.client, secret).await?;
    let secrets = json!({"max_versions": {"name": "limits", "key": "versions"}});
    general.object("forms", json!({"type": "kv-v2", "secretParameters": secrets})).await?;
    case.ready::<SecretEngine>("forms", "True/Applied").await?;
    let written =
        || -> Result<usize> { Ok(general.writes()?.iter().filter(|write| *write == "forms/config").count()) };
    assert_eq!(general.read("forms/config").await?["max_versions"], json!(5));
    // The second write shows that OpenBao returns this form of what was written.
    general.passed("forms", "sys/mounts/forms").await?;
    let first = written()?;
    general.passed("forms", "sys/mounts/forms").await?;
    assert_eq!(written()?, first);
    general.repairs("forms", &["forms/config"], &[("forms/config", json!({"max_versions": 9}))]).await?;
    assert_eq!(general.read("forms/config").await?["max_versions"], json!(5));
    general.passed("forms", "sys/mounts/forms").await?;
    assert_eq!(written()?, first + 1);
    Ok(())
}

#[tokio::test]
async fn the_version_of_a_plugin_and_free_settings_of_an_engine_settle() -> Result<()> {
    let general = General::new("engine-plugins", "SecretEngine").await?;
    let case = &general.case;
    let engines: Api<SecretEngine> = case.api();
    general.post("sys/mounts/by-hand", json!({"type": "pki"})).await?;
    let version = general.read("sys/mounts/by-hand").await?["running_plugin_version"].clone();
    // OpenBao ignores a parameter that it does not know, and does not return it.
    let tune = json!({"parameters": {"of_a_later_version": true}});
    let spec = json!({"type": "pki", "pluginVersion": version, "forceNoCache": true, "tune": tune});
    general.object("plugin", spec).await?;
    case.ready::<SecretEngine>("plugin", "True/Applied").await?;
    let found = general.read("sys/mounts/plugin").await?;
    assert_eq!(
        (&found["running_plugin_version"], &found["config"]["force_no_cache"]),
        (&version, &json!(true))
    );
    let written = ["sys/mounts/plugin", "sys/mounts/plugin/tune"];
    assert_eq!(general.writes()?, written);
    general.passed("plugin", "sys/mounts/plugin").await?;
    assert_eq!(general.writes()?, written);

    // An adoption states what runs. What the creation determines is a conflict.
    let adopted =
        json!({"type": "pki", "pluginVersion": version, "forceNoCache": true, "adopt": "IfUnowned"});
    general.object("by-hand", adopted).await?;
    case.says::<SecretEngine>("by-hand", "False/Conflict", "has another force_no_cache").await?;
    let patch = |spec: Value| Patch::Merge(json!({"spec": spec}));
    let parameters = PatchParams::default();
    engines.patch("by-hand", &parameters, &patch(json!({"forceNoCache": null}))).await?;
    case.ready::<SecretEngine>("by-hand", "True/Applied").await?;
    let typed = json!({"type": "pki", "tune": {"parameters": {"max_lease_ttl": "1h"}}});
    general.object("typed", typed).await?;
    case.says::<SecretEngine>("typed", "False/Invalid", "write it to tune.maxLeaseTTL instead").await?;
    assert_eq!(general.writes()?, written);

    // A change of the version is a request to OpenBao, which knows the versions.
    engines.patch("plugin", &parameters, &patch(json!({"pluginVersion": "v9.9.9"}))).await?;
    case.says::<SecretEngine>("plugin", "False/", "plugin not found in the catalog: pki, version=v9.9.9")
        .await?;
    engines.patch("plugin", &parameters, &patch(json!({"pluginVersion": version}))).await?;
    case.ready::<SecretEngine>("plugin", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn totp_and_ssh_engines_are_kept_in_the_desired_state_and_work() -> Result<()> {
    let scene = Scene::new("totp-ssh-engines").await?;
    for type_ in ["totp", "ssh"] {
        of_type(&scene, type_).await.context(type_)?;
    }
    a_code_is_accepted(&scene).await?;
    a_role_signs_keys_of_its_users(&scene).await
}

/// Checks an engine from its creation to its deletion with its values, and creates it again.
async fn of_type(scene: &Scene, type_: &str) -> Result<()> {
    let path = format!("sys/mounts/{type_}");
    let tune = format!("{path}/tune");
    let config = json!({"default_lease_ttl": "1h", "max_lease_ttl": "2h"});
    let ttls = json!({"defaultLeaseTTL": "1h", "maxLeaseTTL": "2h"});
    let subject = Subject {
        kind: "SecretEngine",
        name: type_,
        spec: json!({"type": type_, "tune": ttls, "deletionPolicy": "Delete"}),
        path: path.as_str(),
        by_hand: vec![(path.as_str(), json!({"type": type_, "config": config}))],
        drift: vec![
            (tune.as_str(), json!({"max_lease_ttl": "5h"})),
            (tune.as_str(), json!({"default_lease_ttl": "1m"})),
        ],
    };
    check(scene, &subject).await?;
    scene.apply("SecretEngine", type_, subject.spec.clone()).await?;
    scene.ready("SecretEngine", type_, "True/Applied").await.map(drop)
}

/// The administrator creates a key. The engine accepts its code, and no other one.
async fn a_code_is_accepted(scene: &Scene) -> Result<()> {
    let key = json!({"generate": true, "issuer": "Example", "account_name": "alice"});
    scene.post("totp/keys/alice", key).await?;
    let answer = scene.state("totp/code/alice").await?.context("no code")?;
    let code = answer["code"].as_str().context("no code")?;
    let other = format!("{:06}", (code.parse::<u32>()? + 1) % 1_000_000);
    for (code, is_valid) in [(other.as_str(), false), (code, true)] {
        let verdict = scene.post("totp/code/alice", json!({"code": code})).await?;
        assert_eq!(verdict["data"]["valid"], json!(is_valid));
    }
    Ok(())
}

/// The administrator creates a role. It signs keys for the users that it allows.
async fn a_role_signs_keys_of_its_users(scene: &Scene) -> Result<()> {
    scene.post("ssh/config/ca", json!({"generate_signing_key": true, "key_type": "ed25519"})).await?;
    let role =
        json!({"key_type": "ca", "allow_user_certificates": true, "allowed_users": "web", "ttl": "5m"});
    scene.post("ssh/roles/ops", role).await?;
    let issue =
        |user: &str| scene.post("ssh/issue/ops", json!({"key_type": "ed25519", "valid_principals": user}));
    let issued = issue("web").await?;
    let key = issued["data"]["signed_key"].as_str().unwrap_or_default();
    assert!(key.starts_with("ssh-ed25519-cert-v01@openssh.com "), "{key}");
    assert!(issue("root").await.is_err(), "the role signs a key of another user");
    Ok(())
}
