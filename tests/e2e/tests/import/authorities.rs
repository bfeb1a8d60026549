//! Two PKI engines that were configured by hand: a root, and an intermediate that it signed.

use anyhow::{Context, Result};
use serde_json::json;
use steamer_openbao::Session;

use super::requests::{patch, post};

pub async fn authorities(root: &Session) -> Result<()> {
    let ca = json!({
        "common_name": "Hand Root", "issuer_name": "root", "key_name": "root", "ttl": "2000h", "key_type": "ec",
        "key_bits": 384, "organization": "Hand", "country": "DE", "max_path_length": 2,
    });
    post(root, "hand-pki/root/generate/internal", ca).await?;
    let settings =
        json!({"leaf_not_after_behavior": "truncate", "ocsp_servers": ["http://ocsp.example.com"]});
    patch(root, "hand-pki/issuer/root", settings).await?;
    intermediate(root).await?;
    for (path, body) in [
        ("hand-pki/config/urls", json!({"issuing_certificates": ["http://bao.example.com/v1/hand-pki/ca"]})),
        ("hand-pki/config/crl", json!({"expiry": "48h", "auto_rebuild": true})),
        ("hand-intermediate/config/auto-tidy", json!({"enabled": true, "tidy_cert_store": true})),
    ] {
        post(root, path, body).await?;
    }
    Ok(())
}

/// An intermediate whose import adds the certificate of the root, without its key.
async fn intermediate(root: &Session) -> Result<()> {
    let request = json!({"common_name": "Hand Intermediate", "key_type": "rsa", "key_name": "web"});
    let created = post(root, "hand-intermediate/intermediate/generate/internal", request).await?;
    let request = json!({
        "csr": created["data"]["csr"], "common_name": "Hand Intermediate", "ttl": "1000h", "max_path_length": 0,
    });
    let signed = post(root, "hand-pki/issuer/root/sign-intermediate", request).await?;
    let text = |field: &str| signed["data"][field].as_str().unwrap_or_default().trim().to_owned();
    let bundle = json!({"certificate": format!("{}\n{}\n", text("certificate"), text("issuing_ca"))});
    let imported = post(root, "hand-intermediate/intermediate/set-signed", bundle).await?;
    let keys = imported["data"]["mapping"].as_object().context("no issuers")?;
    let (id, _) =
        keys.iter().find(|(_, key)| key.as_str().is_some_and(|key| !key.is_empty())).context("no key")?;
    patch(root, &format!("hand-intermediate/issuer/{id}"), json!({"issuer_name": "web"})).await
}
