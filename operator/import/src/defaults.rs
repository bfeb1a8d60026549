//! Default values of OpenBao. A parameter with its default value is left out.

use serde_json::{Value, json};

use crate::resource::{Class, Resource, text};

/// Parameter and default value in JSON.
type Default = (&'static str, &'static str);

/// Parameters of tokens, in the roles of all auth methods.
const TOKEN: &[Default] = &[("token_type", r#""default""#)];
const KUBERNETES: &[Default] = &[("alias_name_source", r#""uid""#)];
const JWT: &[Default] = &[("bound_claims_type", r#""string""#), ("callback_mode", r#""client""#)];
const APPROLE: &[Default] = &[("bind_secret_id", "true")];
const TOKEN_ROLE: &[Default] = &[("renewable", "true"), ("token_type", r#""default-service""#)];
const GROUP: &[Default] = &[("type", r#""internal""#)];
const METHOD: &[Default] = &[
    ("config.token_type", r#""default-service""#),
    ("config_of_method.disable_iss_validation", "true"),
    ("config_of_method.namespace_in_state", "true"),
];
const ENGINE: &[Default] = &[("config_of_engine.delete_version_after", r#""0s""#)];
const ISSUER: &[Default] = &[("authority.max_path_length", "-1")];
const PKI: &[Default] = &[
    ("allow_ip_sans", "true"),
    ("allow_localhost", "true"),
    ("allow_wildcard_certificates", "true"),
    ("client_flag", "true"),
    ("cn_validations", r#"["email","hostname"]"#),
    ("enforce_hostnames", "true"),
    ("issuer_ref", r#""default""#),
    ("key_type", r#""rsa""#),
    ("key_usage", r#"["DigitalSignature","KeyAgreement","KeyEncipherment"]"#),
    ("not_after_bound", r#""permit""#),
    ("not_before_bound", r#""permit""#),
    ("not_before_duration", "30"),
    ("require_cn", "true"),
    ("server_flag", "true"),
    ("use_csr_common_name", "true"),
    ("use_csr_sans", "true"),
];
/// Length of the keys of a role, by their algorithm.
const RSA: &[Default] = &[("key_bits", "2048")];
const EC: &[Default] = &[("key_bits", "256")];
const TRANSIT: &[Default] = &[("min_decryption_version", "1")];
const CONNECTION: &[Default] = &[("connection_details.max_open_connections", "4")];
const DYNAMIC: &[Default] = &[("credential_type", r#""password""#)];
const QUOTA: &[Default] = &[("interval", "1")];

/// Returns true if OpenBao uses the value when the parameter is not given: the value in the tables, or else an empty one.
pub(crate) fn is_default(resource: &Resource, parameter: &str, value: &Value) -> bool {
    let tables = tables(resource);
    let known = tables.iter().copied().flatten().find(|(name, _)| *name == parameter);
    match known.and_then(|(_, default)| serde_json::from_str::<Value>(default).ok()) {
        Some(default) => *value == default || value.is_null() || *value == json!(""),
        None => is_empty(value),
    }
}

fn tables(resource: &Resource) -> Vec<&'static [Default]> {
    match (resource.place.class, resource.method.as_str()) {
        (Class::Role, "kubernetes") => vec![KUBERNETES, TOKEN],
        (Class::Role, "jwt" | "oidc") => vec![JWT, TOKEN],
        (Class::Role, "approle") => vec![APPROLE, TOKEN],
        (Class::Role, "token") => vec![TOKEN_ROLE],
        (Class::Role, _) => vec![TOKEN],
        (Class::Method, _) => vec![METHOD],
        (Class::Engine, _) => vec![ENGINE],
        (Class::Issuer, _) => vec![ISSUER],
        (Class::PkiRole, _) => vec![PKI, lengths(text(&resource.fields, "key_type"))],
        (Class::TransitKey, _) => vec![TRANSIT],
        (Class::Connection, _) => vec![CONNECTION],
        (Class::DynamicRole | Class::StaticRole, _) => vec![DYNAMIC],
        (Class::Quota, _) => vec![QUOTA],
        (Class::Group, _) => vec![GROUP],
        (Class::Namespace | Class::Policy, _) => Vec::new(),
    }
}

fn lengths(key_type: &str) -> &'static [Default] {
    match key_type {
        "" | "rsa" => RSA,
        "ec" => EC,
        _ => &[],
    }
}

/// Returns true for a value that is the same as none.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        other => *other == json!("") || *other == json!(false) || *other == json!(0),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::resource::Place;

    #[rstest]
    #[case::rsa(json!({"key_type": "rsa"}), "key_bits", json!(2048), true)]
    #[case::long_rsa(json!({"key_type": "rsa"}), "key_bits", json!(4096), false)]
    #[case::ec(json!({"key_type": "ec"}), "key_bits", json!(256), true)]
    #[case::long_ec(json!({"key_type": "ec"}), "key_bits", json!(384), false)]
    #[case::any(json!({"key_type": "any"}), "key_bits", json!(0), true)]
    #[case::any_with_the_length_of_rsa(json!({"key_type": "any"}), "key_bits", json!(2048), false)]
    #[case::no_usage(json!({}), "key_usage", json!([]), false)]
    #[case::no_host_names(json!({}), "enforce_hostnames", json!(false), false)]
    #[case::any_name(json!({}), "allow_any_name", json!(true), false)]
    #[case::domains(json!({}), "allowed_domains", json!(["example.com"]), false)]
    fn a_manifest_leaves_out_what_steamer_writes_without_it(
        #[case] fields: Value,
        #[case] parameter: &str,
        #[case] value: Value,
        #[case] expected: bool,
    ) {
        let place = Place::new(Class::PkiRole, "", "web").inside("pki", "roles");
        let fields = fields.as_object().cloned().unwrap();
        let role = Resource { place, method: "pki".to_owned(), fields };
        assert_eq!(is_default(&role, parameter, &value), expected);
    }
}
