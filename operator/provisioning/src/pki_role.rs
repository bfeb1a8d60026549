//! PKIRole: a role of a PKI engine.

use kube::ResourceExt;
use serde_json::{Map, Value, json};
use steamer_api::{PKIRole, PKIRoleSpec};
use steamer_core::error::Error;

use crate::general::{Found, General, Resource, Site, completed, merged, seconds, stated, typed, unstated};

/// Parameters whose default permits the most.
const RESTRICTING: [&str; 5] = ["allow_ip_sans", "server_flag", "client_flag", "ttl", "max_ttl"];

impl General for PKIRole {
    const NAME: &'static str = "pkirole";

    fn site(&self) -> Site<'_> {
        Site::Placed(&self.spec.placement)
    }

    fn title(&self) -> String {
        format!("role {} of mount {}", name(self), mount(self))
    }

    async fn resources(&self, _found: &Found<'_>) -> Result<Vec<Resource>, Error> {
        let path = format!("{}/roles/{}", mount(self), name(self));
        let restricting = unstated(&RESTRICTING, &own(self)?);
        Ok(vec![Resource { restricting, ..Resource::at(self.title(), path, parameters(self)?) }])
    }
}

fn mount(role: &PKIRole) -> &str {
    role.spec.mount.trim_matches('/')
}

/// Name of the role in OpenBao.
fn name(role: &PKIRole) -> String {
    role.spec.name.clone().unwrap_or_else(|| role.name_any())
}

/// The parameters. Those of fields that are not set have OpenBao's default: a domain or a right that is removed from the spec is
/// also removed from the role.
fn parameters(role: &PKIRole) -> Result<Map<String, Value>, Error> {
    let parameters = completed(own(role)?, defaults());
    let bits = default_bits(parameters.get("key_type").and_then(Value::as_str).unwrap_or_default());
    Ok(completed(parameters, [("key_bits", json!(bits))]))
}

/// The parameters that the spec states.
fn own(role: &PKIRole) -> Result<Map<String, Value>, Error> {
    let spec = &role.spec;
    let typed = names(spec).into_iter().chain(certificates(spec)).collect();
    merged(typed, &spec.parameters)
}

fn defaults() -> [(&'static str, Value); 19] {
    [
        ("allowed_domains", json!([])),
        ("allow_bare_domains", json!(false)),
        ("allow_subdomains", json!(false)),
        ("allow_glob_domains", json!(false)),
        ("allow_any_name", json!(false)),
        ("enforce_hostnames", json!(true)),
        ("allow_ip_sans", json!(true)),
        ("allowed_uri_sans", json!([])),
        ("allowed_other_sans", json!([])),
        ("server_flag", json!(true)),
        ("client_flag", json!(true)),
        ("key_type", json!("rsa")),
        ("key_usage", json!(["DigitalSignature", "KeyAgreement", "KeyEncipherment"])),
        ("ext_key_usage", json!([])),
        ("ttl", json!(0)),
        ("max_ttl", json!(0)),
        ("issuer_ref", json!("default")),
        ("no_store", json!(false)),
        ("require_cn", json!(true)),
    ]
}

/// Names that a certificate may contain.
fn names(spec: &PKIRoleSpec) -> Map<String, Value> {
    typed([
        ("allowed_domains", json!(spec.allowed_domains)),
        ("allow_bare_domains", json!(spec.allow_bare_domains)),
        ("allow_subdomains", json!(spec.allow_subdomains)),
        ("allow_glob_domains", json!(spec.allow_glob_domains)),
        ("allow_any_name", json!(spec.allow_any_name)),
        ("enforce_hostnames", json!(spec.enforce_hostnames)),
        ("allow_ip_sans", json!(spec.allow_ip_sans)),
        ("allowed_uri_sans", json!(spec.allowed_uri_sans)),
        ("allowed_other_sans", json!(spec.allowed_other_sans)),
    ])
}

fn certificates(spec: &PKIRoleSpec) -> Map<String, Value> {
    let mut parameters = typed([
        ("server_flag", json!(spec.server_flag)),
        ("client_flag", json!(spec.client_flag)),
        ("key_type", json!(spec.key_type)),
        ("key_bits", json!(spec.key_bits.filter(|bits| *bits != 0))),
        ("ext_key_usage", json!(spec.ext_key_usage)),
        ("ttl", json!(spec.ttl.as_ref().map(seconds))),
        ("max_ttl", json!(spec.max_ttl.as_ref().map(seconds))),
        ("issuer_ref", json!(spec.issuer_ref)),
        ("no_store", json!(spec.no_store)),
        ("require_cn", json!(spec.require_cn)),
    ]);
    // Without a list, OpenBao uses its own one.
    parameters.extend(stated([("key_usage", spec.key_usage.as_ref().map(|usages| json!(usages)))]));
    parameters
}

/// The length that OpenBao returns for keys of an algorithm if none, or 0, is written.
fn default_bits(key_type: &str) -> i64 {
    match key_type {
        "rsa" => 2048,
        "ec" => 256,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::general::differences;

    fn role(spec: Value) -> PKIRole {
        let mut all = json!({"clusterRef": {"name": "main"}, "mount": "/pki/"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        PKIRole::new("web", serde_json::from_value(all).unwrap())
    }

    /// A role without any field, as OpenBao returns it.
    fn plain() -> Value {
        json!({
            "allowed_domains": [], "allow_bare_domains": false, "allow_subdomains": false, "allow_glob_domains": false,
            "allow_any_name": false, "enforce_hostnames": true, "allow_ip_sans": true, "allowed_uri_sans": [],
            "allowed_other_sans": [], "server_flag": true, "client_flag": true, "key_type": "rsa", "key_bits": 2048,
            "key_usage": ["DigitalSignature", "KeyAgreement", "KeyEncipherment"], "ext_key_usage": [], "ttl": 0,
            "max_ttl": 0, "issuer_ref": "default", "no_store": false, "require_cn": true,
        })
    }

    #[rstest]
    #[case::nothing(json!({}), json!({}))]
    #[case::empty_lists(json!({"allowedDomains": [], "allowedURISANs": [], "extKeyUsage": []}), json!({}))]
    #[case::no_usage(json!({"keyUsage": []}), json!({"key_usage": []}))]
    #[case::some(
        json!({
            "allowedDomains": ["example.com"], "requireCN": false, "maxTTL": "72h", "allowedURISANs": ["spiffe://a/*"],
            "keyType": "ec", "keyBits": 384, "parameters": {"allow_localhost": false},
        }),
        json!({
            "allowed_domains": ["example.com"], "require_cn": false, "max_ttl": 259_200, "key_type": "ec", "key_bits": 384,
            "allowed_uri_sans": ["spiffe://a/*"], "allow_localhost": false,
        }),
    )]
    #[case::free_parameter_of_an_unset_field(
        json!({"parameters": {"max_ttl": "876001h"}}), json!({"max_ttl": "876001h"})
    )]
    fn what_the_spec_does_not_set_has_the_default_of_openbao(#[case] spec: Value, #[case] changes: Value) {
        let mut expected = plain();
        expected.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        assert_eq!(Value::Object(parameters(&role(spec)).unwrap()), expected);
    }

    #[test]
    fn a_role_with_the_defaults_is_adopted_without_a_write() {
        let parameters = parameters(&role(json!({}))).unwrap();
        assert_eq!(differences(&parameters, plain().as_object().unwrap()), []);
    }

    #[rstest]
    #[case::rsa(json!({"keyType": "rsa", "keyBits": 0}), 2048)]
    #[case::ec(json!({"keyType": "ec", "keyBits": 0}), 256)]
    #[case::ed25519(json!({"keyType": "ed25519", "keyBits": 0}), 0)]
    #[case::any(json!({"keyType": "any", "keyBits": 0}), 0)]
    #[case::no_algorithm(json!({"keyBits": 0}), 2048)]
    #[case::unset(json!({"keyType": "ec"}), 256)]
    #[case::set(json!({"keyType": "rsa", "keyBits": 4096}), 4096)]
    fn the_length_of_keys_is_the_one_that_openbao_returns(#[case] spec: Value, #[case] expected: i64) {
        assert_eq!(parameters(&role(spec)).unwrap()["key_bits"], json!(expected));
    }

    #[test]
    fn a_parameter_that_a_field_sets_is_refused() {
        let error =
            parameters(&role(json!({"noStore": true, "parameters": {"no_store": false}}))).unwrap_err();
        assert!(error.to_string().contains("parameters.no_store"), "{error}");
    }

    #[test]
    fn the_title_names_role_and_mount() {
        assert_eq!(role(json!({})).title(), "role web of mount pki");
        assert_eq!(role(json!({"name": "shop"})).title(), "role shop of mount pki");
    }
}
