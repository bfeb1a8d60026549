//! Parameters of the requests for an issuer.

use serde_json::{Map, Value, json};
use steamer_api::{AuthorityCertificate, CrlSettings, PKIIssuerSpec, Parameters};
use steamer_core::error::Error;

use crate::general::{merged, seconds, time, typed};

/// Parameters that Steamer sets itself.
const OWN: [&str; 9] = [
    "issuer_name",
    "key_name",
    "key_ref",
    "csr",
    "exported",
    "format",
    "issuer_ref",
    "private_key_format",
    "use_csr_values",
];

/// Contents of the certificate of a spec.
pub(super) fn certificate(spec: &PKIIssuerSpec) -> Result<&AuthorityCertificate, Error> {
    let PKIIssuerSpec { root, intermediate, .. } = spec;
    match (root, intermediate) {
        (Some(root), None) => Ok(&root.certificate),
        (None, Some(intermediate)) => Ok(&intermediate.certificate),
        _ => Err(Error::Invalid("set exactly one of root and intermediate".to_owned())),
    }
}

/// Parameters of the key of an authority with a new key.
pub(super) fn key(certificate: &AuthorityCertificate, name: &str) -> Map<String, Value> {
    typed([
        ("key_type", json!(certificate.key_type.as_str())),
        ("key_bits", json!(certificate.key_bits)),
        ("key_name", json!(name)),
    ])
}

/// Parameters of the certificate.
pub(super) fn contents(certificate: &AuthorityCertificate) -> Result<Map<String, Value>, Error> {
    let contents = typed([
        ("common_name", json!(certificate.common_name)),
        ("organization", json!(certificate.organization)),
        ("ou", json!(certificate.organizational_unit)),
        ("country", json!(certificate.country)),
        ("ttl", json!(time(&certificate.ttl)?)),
        ("max_path_length", json!(certificate.max_path_length)),
    ]);
    refuse_own(&certificate.parameters, &["key_type", "key_bits"])?;
    merged(contents, &certificate.parameters)
}

/// Settings of the issuer.
pub(super) fn settings(spec: &PKIIssuerSpec) -> Result<Map<String, Value>, Error> {
    let urls = spec.urls.clone().unwrap_or_default();
    let settings = typed([
        ("issuing_certificates", json!(urls.issuing_certificates)),
        ("crl_distribution_points", json!(urls.crl_distribution_points)),
        ("ocsp_servers", json!(urls.ocsp_servers)),
    ]);
    refuse_own(&spec.parameters, &[])?;
    merged(settings, &spec.parameters)
}

/// Settings of the revocation lists of the mount.
pub(super) fn crl(settings: &CrlSettings) -> Result<Map<String, Value>, Error> {
    let typed = typed([
        ("expiry", json!(settings.expiry.as_ref().map(|it| format!("{}s", seconds(it))))),
        ("auto_rebuild", json!(settings.auto_rebuild)),
    ]);
    merged(typed, &settings.parameters)
}

fn refuse_own(parameters: &Parameters, further: &[&str]) -> Result<(), Error> {
    let is_own = |name: &&String| OWN.iter().chain(further).any(|own| own == name);
    match parameters.0.keys().find(is_own) {
        Some(name) => Err(Error::Invalid(format!(
            "parameters.{name} is a parameter that Steamer sets from the spec: remove it from parameters"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(changes: Value) -> PKIIssuerSpec {
        let mut all = json!({"clusterRef": {"name": "main"}, "mount": "pki"});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn every_field_of_a_certificate_is_a_parameter() {
        let root = json!({
            "commonName": "Example CA", "organization": ["Example"], "organizationalUnit": ["IT"], "country": ["DE"],
            "keyType": "rsa", "keyBits": 4096, "ttl": "87600h", "maxPathLength": 1,
            "parameters": {"permitted_dns_domains": ["example.com"]},
        });
        let spec = spec(json!({"root": root}));
        let certificate = certificate(&spec).unwrap();
        let expected = json!({
            "common_name": "Example CA", "organization": ["Example"], "ou": ["IT"], "country": ["DE"], "ttl": 315_360_000,
            "max_path_length": 1, "permitted_dns_domains": ["example.com"],
        });
        assert_eq!(Value::Object(contents(certificate).unwrap()), expected);
        let expected = json!({"key_type": "rsa", "key_bits": 4096, "key_name": "ca"});
        assert_eq!(Value::Object(key(certificate, "ca")), expected);
    }

    #[test]
    fn settings_contain_urls_and_parameters() {
        let spec = spec(json!({
            "urls": {"issuingCertificates": ["http://a/ca"], "crlDistributionPoints": ["http://a/crl"], "ocspServers": []},
            "parameters": {"leaf_not_after_behavior": "truncate"},
        }));
        let expected = json!({
            "issuing_certificates": ["http://a/ca"], "crl_distribution_points": ["http://a/crl"],
            "leaf_not_after_behavior": "truncate",
        });
        assert_eq!(Value::Object(settings(&spec).unwrap()), expected);
    }

    #[test]
    fn revocation_lists_expire_after_a_duration() {
        let settings: CrlSettings = serde_json::from_value(
            json!({"expiry": "24h", "autoRebuild": true, "parameters": {"ocsp_expiry": "1h"}}),
        )
        .unwrap();
        let expected = json!({"expiry": "86400s", "auto_rebuild": true, "ocsp_expiry": "1h"});
        assert_eq!(Value::Object(crl(&settings).unwrap()), expected);
    }

    #[rstest]
    #[case::name(json!({"issuer_name": "x"}))]
    #[case::repeated(json!({"ocsp_servers": ["http://x"]}))]
    fn a_parameter_of_steamer_is_refused(#[case] parameters: Value) {
        let spec = spec(json!({"urls": {"ocspServers": ["http://a"]}, "parameters": parameters}));
        let error = settings(&spec).unwrap_err().to_string();
        assert!(error.ends_with("remove it from parameters"), "{error}");
    }
}
