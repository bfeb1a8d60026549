//! Configurations of secrets engines at paths below `<mount>/config/`.

use serde_json::{Value, json};

use crate::defaults::is_empty;
use crate::resource::Fields;

/// A type of engine, a path below `<mount>/config/`, and its parameters with their default values, as OpenBao 2.7 returns them.
type Config = (&'static str, &'static str, &'static str);

const CONFIGS: &[Config] = &[
    (
        "pki",
        "acme",
        r#"{
            "allow_role_ext_key_usage": false, "allowed_issuers": ["*"], "allowed_roles": ["*"],
            "default_directory_policy": "sign-verbatim", "dns_resolver": "", "eab_policy": "not-required", "enabled": false
        }"#,
    ),
    (
        "pki",
        "auto-tidy",
        r#"{
            "acme_account_safety_buffer": 2592000, "enabled": false, "interval_duration": 43200,
            "issuer_safety_buffer": 31536000, "maintain_stored_certificate_counts": false, "page_size": 1000,
            "pause_duration": "0s", "publish_stored_certificate_count_metrics": false, "revoked_safety_buffer": 259200,
            "safety_buffer": 259200, "tidy_acme": false, "tidy_cert_store": false, "tidy_expired_issuers": false,
            "tidy_invalid_certs": false, "tidy_move_legacy_ca_bundle": false,
            "tidy_revoked_cert_issuer_associations": false, "tidy_revoked_certs": false
        }"#,
    ),
    ("pki", "cluster", r#"{"aia_path": "", "path": ""}"#),
    (
        "pki",
        "crl",
        r#"{
            "allow_expired_cert_revocation": false, "auto_rebuild": false, "auto_rebuild_grace_period": "12h",
            "delta_rebuild_interval": "15m", "disable": false, "enable_delta": false, "expiry": "72h",
            "ocsp_disable": false, "ocsp_expiry": "12h"
        }"#,
    ),
    (
        "pki",
        "urls",
        r#"{
            "crl_distribution_points": [], "delta_crl_distribution_points": [], "enable_templating": false,
            "issuing_certificates": [], "ocsp_servers": []
        }"#,
    ),
    ("rabbitmq", "lease", r#"{"max_ttl": 0, "ttl": 0}"#),
    ("ssh", "zeroaddress", r#"{"roles": []}"#),
    ("transit", "keys", r#"{"disable_upsert": false}"#),
];

/// The paths of the configurations of an engine, which OpenBao returns without secret values.
pub(crate) fn paths(engine: &str) -> Vec<&'static str> {
    CONFIGS.iter().filter(|(of, ..)| *of == engine).map(|(_, path, _)| *path).collect()
}

/// The parameters of a configuration, with their default values.
pub(crate) fn defaults(engine: &str, path: &str) -> Fields {
    let found = CONFIGS.iter().find(|(of, at, _)| *of == engine && *at == path);
    found.and_then(|(.., defaults)| serde_json::from_str(defaults).ok()).unwrap_or_default()
}

/// The settings that do not have their default value. A setting without one has an empty value.
pub(crate) fn without_defaults(mut settings: Fields, defaults: &Fields) -> Fields {
    settings.retain(|name, value| match defaults.get(name) {
        Some(default) => *value != *default && !(is_empty(value) && is_empty(default)),
        None => !is_empty(value),
    });
    settings
}

/// The entries of `configs` of a SecretEngine for configurations by path. Those that are as OpenBao creates them are left out.
pub(crate) fn listed(engine: &str, configs: Fields) -> Value {
    let entry = |(path, settings): (String, Value)| {
        let Value::Object(settings) = settings else { return None };
        let parameters = without_defaults(settings, &defaults(engine, &path));
        (!parameters.is_empty()).then(|| json!({"path": path, "parameters": parameters}))
    };
    configs.into_iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_json() {
        for (engine, path, text) in CONFIGS {
            assert!(!defaults(engine, path).is_empty(), "{text}");
        }
        assert_eq!(paths("transit"), ["keys"]);
        assert_eq!(paths("kv"), [""; 0]);
    }

    #[test]
    fn only_configurations_that_differ_from_the_defaults_are_listed() {
        let crl = json!({"expiry": "48h", "auto_rebuild": true, "ocsp_expiry": "12h", "disable": false});
        let urls = json!({"issuing_certificates": null, "enable_templating": false});
        let configs = json!({"acme": {"allowed_roles": []}, "crl": crl, "urls": urls});
        let found = listed("pki", configs.as_object().cloned().unwrap());
        let expected = json!([
            {"path": "acme", "parameters": {"allowed_roles": []}},
            {"path": "crl", "parameters": {"expiry": "48h", "auto_rebuild": true}},
        ]);
        assert_eq!(found, expected);
    }
}
