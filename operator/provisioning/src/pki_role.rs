//! PKIRole: a role of a PKI engine.

use kube::ResourceExt;
use serde_json::{Map, Value, json};
use steamer_api::{PKIKeyType, PKIRole, PKIRoleSpec};
use steamer_core::error::Error;

use crate::general::{Found, General, Resource, Site, merged, seconds, typed};

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
        Ok(vec![Resource::at(self.title(), path, parameters(self)?)])
    }
}

fn mount(role: &PKIRole) -> &str {
    role.spec.mount.trim_matches('/')
}

/// Name of the role in OpenBao.
fn name(role: &PKIRole) -> String {
    role.spec.name.clone().unwrap_or_else(|| role.name_any())
}

fn parameters(role: &PKIRole) -> Result<Map<String, Value>, Error> {
    let spec = &role.spec;
    let typed = names(spec).into_iter().chain(certificates(spec)).collect();
    merged(typed, &spec.parameters)
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
    typed([
        ("server_flag", json!(spec.server_flag)),
        ("client_flag", json!(spec.client_flag)),
        ("key_type", json!(spec.key_type)),
        ("key_bits", json!(key_bits(spec))),
        ("key_usage", json!(spec.key_usage)),
        ("ext_key_usage", json!(spec.ext_key_usage)),
        ("ttl", json!(spec.ttl.as_ref().map(seconds))),
        ("max_ttl", json!(spec.max_ttl.as_ref().map(seconds))),
        ("issuer_ref", json!(spec.issuer_ref)),
        ("no_store", json!(spec.no_store)),
        ("require_cn", json!(spec.require_cn)),
    ])
}

/// OpenBao replaces 0 by the default of the algorithm, and returns that. Without the algorithm, 0 is the same as no value.
fn key_bits(spec: &PKIRoleSpec) -> Option<i64> {
    match (spec.key_bits, spec.key_type) {
        (Some(0), Some(PKIKeyType::Rsa)) => Some(2048),
        (Some(0), Some(PKIKeyType::Ec)) => Some(256),
        (Some(0), None) => None,
        (bits, _) => bits,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn role(spec: Value) -> PKIRole {
        let mut all = json!({"clusterRef": {"name": "main"}, "mount": "/pki/"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        PKIRole::new("web", serde_json::from_value(all).unwrap())
    }

    #[test]
    fn only_parameters_of_the_spec_are_sent() {
        let spec = json!({
            "allowedDomains": ["example.com"], "requireCN": false, "maxTTL": "72h", "allowedURISANs": ["spiffe://a/*"],
            "keyType": "ec", "keyBits": 384, "parameters": {"allow_localhost": false},
        });
        let expected = json!({
            "allowed_domains": ["example.com"], "require_cn": false, "max_ttl": 259_200, "key_type": "ec", "key_bits": 384,
            "allowed_uri_sans": ["spiffe://a/*"], "allow_localhost": false,
        });
        assert_eq!(Value::Object(parameters(&role(spec)).unwrap()), expected);
    }

    #[rstest]
    #[case::rsa(json!({"keyType": "rsa", "keyBits": 0}), Some(2048))]
    #[case::ec(json!({"keyType": "ec", "keyBits": 0}), Some(256))]
    #[case::ed25519(json!({"keyType": "ed25519", "keyBits": 0}), Some(0))]
    #[case::any(json!({"keyType": "any", "keyBits": 0}), Some(0))]
    #[case::no_algorithm(json!({"keyBits": 0}), None)]
    #[case::unset(json!({"keyType": "rsa"}), None)]
    #[case::set(json!({"keyType": "rsa", "keyBits": 4096}), Some(4096))]
    fn the_length_of_keys_is_the_one_that_openbao_returns(
        #[case] spec: Value,
        #[case] expected: Option<i64>,
    ) {
        let parameters = parameters(&role(spec)).unwrap();
        assert_eq!(parameters.get("key_bits").and_then(Value::as_i64), expected);
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
