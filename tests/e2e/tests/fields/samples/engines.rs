//! SecretEngine, TransitKey, PKIIssuer, PKIRole.

use serde_json::{Value, json};

use super::{Part, Sample, fixed, mount_rows, row, tune};

pub fn samples() -> Vec<Sample> {
    vec![pki(), kv(), rabbit(), key(), derived_key(), issuer(), role()]
}

fn pki() -> Sample {
    let mut rows = mount_rows();
    rows.push(fixed("path", "/type", json!("pki")));
    rows.push(fixed("type", "/type", json!("pki")));
    let servers = json!(["https://ocsp.example.com"]);
    let other = json!({"ocsp_servers": "https://other.example.com"});
    let urls = vec![
        fixed("configs[].path", "/ocsp_servers", servers.clone()),
        row("configs[].parameters", "/ocsp_servers", servers.clone(), other),
    ];
    let spec = json!({
        "path": "f/pki", "type": "pki", "description": "full", "options": {"a": "1"}, "sealWrap": true, "local": false,
        "tune": tune(), "deletionPolicy": "Delete", "configs": [{"path": "urls", "parameters": {"ocsp_servers": servers}}],
    });
    let parts = vec![
        Part::at("sys/mounts/f/pki", json!({}), rows).written_at("sys/mounts/f/pki/tune"),
        Part::at("f/pki/config/urls", json!({}), urls),
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

fn rabbit() -> Sample {
    let rows = vec![fixed("configs[].secretParameters", "/type", json!("rabbitmq"))];
    let connection = json!({
        "path": "connection",
        "parameters": {"connection_uri": "http://127.0.0.1:9", "username": "a", "verify_connection": false},
        "secretParameters": {"password": {"name": "values", "key": "password"}},
    });
    let spec = json!({"type": "rabbitmq", "configs": [connection], "deletionPolicy": "Delete"});
    let parts = vec![Part::at("sys/mounts/f-rabbit", json!({}), rows)];
    Sample { kind: "SecretEngine", name: "f-rabbit", spec, parts }
}

fn key() -> Sample {
    let rows = vec![
        fixed("mount", "/name", json!("f-key-named")),
        fixed("name", "/name", json!("f-key-named")),
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
        fixed("minDecryptionVersion", "/min_decryption_version", json!(1)),
        row(
            "minEncryptionVersion",
            "/min_encryption_version",
            json!(0),
            json!({"min_encryption_version": 1}),
        ),
    ];
    let spec = json!({
        "mount": "transit", "name": "f-key-named", "type": "hmac", "keySize": 64, "exportable": true,
        "allowPlaintextBackup": true, "deletionAllowed": true, "autoRotatePeriod": "87600h", "minDecryptionVersion": 1,
        "minEncryptionVersion": 0, "deletionPolicy": "Delete",
    });
    let part = Part::at("transit/keys/f-key-named", json!({}), rows);
    let parts = vec![part.written_at("transit/keys/f-key-named/config")];
    Sample { kind: "TransitKey", name: "f-key", spec, parts }
}

fn derived_key() -> Sample {
    let rows = vec![
        fixed("derived", "/derived", json!(true)),
        fixed("convergentEncryption", "/convergent_encryption", json!(true)),
    ];
    let spec = json!({
        "mount": "transit", "type": "aes256-gcm96", "derived": true, "convergentEncryption": true, "deletionPolicy": "Delete",
    });
    let parts = vec![Part::at("transit/keys/f-derived", json!({}), rows)];
    Sample { kind: "TransitKey", name: "f-derived", spec, parts }
}

fn issuer() -> Sample {
    let rows = vec![
        fixed("mount", "/issuer_name", json!("f-issuer-named")),
        fixed("issuerName", "/issuer_name", json!("f-issuer-named")),
        row(
            "urls.issuingCertificates",
            "/issuing_certificates",
            json!(["http://a/ca"]),
            json!({"issuing_certificates": []}),
        ),
        row(
            "urls.crlDistributionPoints",
            "/crl_distribution_points",
            json!(["http://a/crl"]),
            json!({"crl_distribution_points": ["http://b/crl"]}),
        ),
        row("urls.ocspServers", "/ocsp_servers", json!(["http://a/ocsp"]), json!({"ocsp_servers": []})),
        row(
            "parameters",
            "/leaf_not_after_behavior",
            json!("truncate"),
            json!({"leaf_not_after_behavior": "permit"}),
        ),
    ];
    let crl = vec![
        row("crl.expiry", "/expiry", json!("172800s"), json!({"expiry": "24h"})),
        row("crl.autoRebuild", "/auto_rebuild", json!(true), json!({"auto_rebuild": false})),
        row("crl.parameters", "/ocsp_expiry", json!("1h"), json!({"ocsp_expiry": "2h"})),
    ];
    let spec = json!({
        "mount": "pki", "issuerName": "f-issuer-named", "deletionPolicy": "Delete",
        "root": {"commonName": "Fields CA", "ttl": "24h"},
        "urls": {
            "issuingCertificates": ["http://a/ca"], "crlDistributionPoints": ["http://a/crl"], "ocspServers": ["http://a/ocsp"],
        },
        "parameters": {"leaf_not_after_behavior": "truncate"},
        "crl": {"expiry": "48h", "autoRebuild": true, "parameters": {"ocsp_expiry": "1h"}},
    });
    let parts = vec![
        Part { method: "PATCH", ..Part::at("pki/issuer/f-issuer-named", json!({}), rows) },
        Part::at("pki/config/crl", json!({}), crl),
    ];
    Sample { kind: "PKIIssuer", name: "f-issuer", spec, parts }
}

/// Field, parameter, value, value after a change by hand, and value after the field is removed.
type Parameter = (&'static str, &'static str, Value, Value, Value);

fn parameters() -> Vec<Parameter> {
    let usages = ["DigitalSignature", "KeyAgreement", "KeyEncipherment"];
    let other_names = json!(["1.3.6.1.4.1.311.20.2.3;utf8:*"]);
    vec![
        ("allowedDomains", "/allowed_domains", json!(["example.com"]), json!(["example.org"]), json!([])),
        ("allowBareDomains", "/allow_bare_domains", json!(true), json!(false), json!(false)),
        ("allowSubdomains", "/allow_subdomains", json!(true), json!(false), json!(false)),
        ("allowGlobDomains", "/allow_glob_domains", json!(true), json!(false), json!(false)),
        ("allowAnyName", "/allow_any_name", json!(true), json!(false), json!(false)),
        ("enforceHostnames", "/enforce_hostnames", json!(false), json!(true), json!(true)),
        ("allowIPSANs", "/allow_ip_sans", json!(false), json!(true), json!(true)),
        ("allowedURISANs", "/allowed_uri_sans", json!(["spiffe://a/*"]), json!([]), json!([])),
        ("allowedOtherSANs", "/allowed_other_sans", other_names, json!([]), json!([])),
        ("serverFlag", "/server_flag", json!(false), json!(true), json!(true)),
        ("clientFlag", "/client_flag", json!(false), json!(true), json!(true)),
        ("keyBits", "/key_bits", json!(384), json!(256), json!(256)),
        ("keyUsage", "/key_usage", json!(["CertSign"]), json!(["KeyAgreement"]), json!(usages)),
        ("extKeyUsage", "/ext_key_usage", json!(["CodeSigning"]), json!([]), json!([])),
        ("ttl", "/ttl", json!(63_072_000), json!("1h"), json!(0)),
        ("maxTTL", "/max_ttl", json!(315_360_000), json!("20000h"), json!(0)),
        ("noStore", "/no_store", json!(true), json!(false), json!(false)),
        ("requireCN", "/require_cn", json!(false), json!(true), json!(true)),
    ]
}

fn role() -> Sample {
    let mut needed = json!({"key_type": "ec", "issuer_ref": "f-issuer-named"});
    let mut rows = vec![
        fixed("mount", "/key_type", json!("ec")),
        fixed("name", "/key_type", json!("ec")),
        fixed("issuerRef", "/issuer_ref", json!("f-issuer-named")).resets(json!("default")),
    ];
    for (field, pointer, value, other, default) in parameters() {
        needed[&pointer[1..]] = value.clone();
        rows.push(row(field, pointer, value, json!({&pointer[1..]: other})).resets(default));
    }
    needed["allow_localhost"] = json!(false);
    rows.push(row("parameters", "/allow_localhost", json!(false), json!({"allow_localhost": true})));
    // After the length, which is none of RSA.
    rows.push(fixed("keyType", "/key_type", json!("ec")).resets(json!("rsa")));
    let spec = json!({
        "mount": "pki", "name": "f-role-named", "allowedDomains": ["example.com"], "allowBareDomains": true,
        "allowSubdomains": true, "allowGlobDomains": true, "allowAnyName": true, "enforceHostnames": false, "allowIPSANs": false,
        "allowedURISANs": ["spiffe://a/*"], "allowedOtherSANs": ["1.3.6.1.4.1.311.20.2.3;utf8:*"], "serverFlag": false,
        "clientFlag": false, "keyType": "ec", "keyBits": 384, "keyUsage": ["CertSign"], "extKeyUsage": ["CodeSigning"],
        "ttl": "17520h", "maxTTL": "87600h", "issuerRef": "f-issuer-named", "noStore": true, "requireCN": false,
        "parameters": {"allow_localhost": false},
    });
    Sample {
        kind: "PKIRole",
        name: "f-role",
        spec,
        parts: vec![Part::at("pki/roles/f-role-named", needed, rows)],
    }
}
