//! SecretEngine and TransitKey.

use serde_json::json;

use super::{Part, Sample, fixed, mount_rows, place, row, sent, tune};

pub fn samples(ca: &str) -> Vec<Sample> {
    vec![pki(), kv(), workloads(ca), key(), derived_key(), rotated_key()]
}

fn pki() -> Sample {
    let mut rows = mount_rows();
    rows.push(place("path"));
    rows.push(fixed("type", "/type", json!("pki")));
    rows.push(fixed("forceNoCache", "/config/force_no_cache", json!(true)));
    let servers = json!(["https://ocsp.example.com"]);
    let other = json!({"ocsp_servers": "https://other.example.com"});
    let urls =
        vec![place("configs[].path"), row("configs[].parameters", "/ocsp_servers", servers.clone(), other)];
    let cluster = vec![
        row("configs[].parameters", "/aia_path", json!("http://a"), json!({"aia_path": "http://b"})),
        row(
            "configs[].secretParameters",
            "/path",
            json!("https://values.example.com/v1/pki"),
            json!({"path": "https://other.example.com/v1/pki"}),
        ),
    ];
    let of_cluster = json!({
        "path": "cluster", "parameters": {"aia_path": "http://a"},
        "secretParameters": {"path": {"name": "values", "key": "url"}},
    });
    let spec = json!({
        "path": "f/pki", "type": "pki", "description": "full", "options": {"a": "1"}, "sealWrap": true, "local": true,
        "forceNoCache": true, "tune": tune(), "deletionPolicy": "Delete",
        "configs": [{"path": "urls", "parameters": {"ocsp_servers": servers}}, of_cluster],
    });
    let parts = vec![
        Part::at("sys/mounts/f/pki", json!({}), rows).written_at("sys/mounts/f/pki/tune"),
        Part::at("f/pki/config/urls", json!({}), urls),
        Part::at("f/pki/config/cluster", json!({}), cluster),
    ];
    Sample { kind: "SecretEngine", name: "f-pki", spec, parts }
}

fn kv() -> Sample {
    let rows = vec![
        row("config.maxVersions", "/max_versions", json!(5), json!({"max_versions": 9})),
        row(
            "config.deleteVersionAfter",
            "/delete_version_after",
            json!("87600h0m0s"),
            json!({"delete_version_after": "1h"}),
        ),
    ];
    let config = json!({"maxVersions": 5, "deleteVersionAfter": "87600h"});
    let spec = json!({"type": "kv-v2", "config": config, "deletionPolicy": "Delete"});
    Sample { kind: "SecretEngine", name: "f-kv", spec, parts: vec![Part::at("f-kv/config", json!({}), rows)] }
}

/// An engine for ServiceAccount tokens. OpenBao returns the certificate of its configuration.
fn workloads(ca: &str) -> Sample {
    let host = "https://127.0.0.1:9";
    let rows = vec![
        row(
            "parameters",
            "/kubernetes_host",
            json!(host),
            json!({"kubernetes_host": "https://other.example.com"}),
        ),
        row("secretParameters", "/kubernetes_ca_cert", json!(ca), json!({"kubernetes_ca_cert": "other"})),
    ];
    let spec = json!({
        "type": "kubernetes", "parameters": {"kubernetes_host": host, "disable_local_ca_jwt": true},
        "secretParameters": {"kubernetes_ca_cert": {"name": "values", "key": "authority.pem"}}, "deletionPolicy": "Delete",
    });
    let needed = json!({"kubernetes_host": host, "kubernetes_ca_cert": ca, "disable_local_ca_jwt": true});
    let parts = vec![Part::at("f-workloads-engine/config", needed, rows)];
    Sample { kind: "SecretEngine", name: "f-workloads-engine", spec, parts }
}

fn key() -> Sample {
    let rows = vec![
        place("mount"),
        place("name"),
        fixed("type", "/type", json!("hmac")),
        fixed("keySize", "/key_size", json!(64)),
        fixed("exportable", "/exportable", json!(true)),
        fixed("allowPlaintextBackup", "/allow_plaintext_backup", json!(true)),
        row("deletionAllowed", "/deletion_allowed", json!(true), json!({"deletion_allowed": false})),
        row(
            "autoRotatePeriod",
            "/auto_rotate_period",
            json!(315_360_000),
            json!({"auto_rotate_period": "48h"}),
        ),
    ];
    let spec = json!({
        "mount": "ciphers", "name": "f-key-named", "type": "hmac", "keySize": 64, "exportable": true,
        "allowPlaintextBackup": true, "deletionAllowed": true, "autoRotatePeriod": "87600h",
        "deletionPolicy": "Delete",
    });
    let part = Part::at("ciphers/keys/f-key-named", json!({}), rows);
    let parts = vec![part.written_at("ciphers/keys/f-key-named/config")];
    Sample { kind: "TransitKey", name: "f-key", spec, parts }
}

fn derived_key() -> Sample {
    let rows = vec![
        fixed("derived", "/derived", json!(true)),
        fixed("convergentEncryption", "/convergent_encryption", json!(true)),
        sent("parameters", "/context", json!("Y29udGV4dA==")),
    ];
    let spec = json!({
        "mount": "ciphers", "type": "aes256-gcm96", "derived": true, "convergentEncryption": true,
        "parameters": {"context": "Y29udGV4dA=="}, "deletionPolicy": "Delete",
    });
    let parts = vec![Part::at("ciphers/keys/f-derived", json!({}), rows)];
    Sample { kind: "TransitKey", name: "f-derived", spec, parts }
}

/// A key with three versions, which a person created.
fn rotated_key() -> Sample {
    let rows = vec![
        row(
            "minDecryptionVersion",
            "/min_decryption_version",
            json!(2),
            json!({"min_decryption_version": 1}),
        ),
        row(
            "minEncryptionVersion",
            "/min_encryption_version",
            json!(3),
            json!({"min_encryption_version": 0}),
        ),
    ];
    let spec = json!({
        "mount": "ciphers", "minDecryptionVersion": 2, "minEncryptionVersion": 3, "adopt": "IfUnowned",
        "deletionPolicy": "Delete",
    });
    let part = Part::at("ciphers/keys/f-rotated", json!({}), rows);
    let parts = vec![part.written_at("ciphers/keys/f-rotated/config")];
    Sample { kind: "TransitKey", name: "f-rotated", spec, parts }
}
