//! Parameters of a request for a certificate.

use serde::Serialize;
use serde_json::{Map, Value, json};
use steamer_api::BaoPKISecretSpec;

/// The parameters that a spec describes. Fields that are unset are left to the role.
pub(super) fn parameters(spec: &BaoPKISecretSpec) -> Value {
    let BaoPKISecretSpec {
        common_name,
        alt_names,
        ip_sans,
        uri_sans,
        other_sans,
        user_ids,
        ttl,
        not_after,
        format,
        private_key_format,
        exclude_cn_from_sans,
        destination,
        ..
    } = spec;
    let mut all = Map::new();
    let mut set = |name: &str, value: Value| {
        let is_set = !value.is_null() && value != json!([]) && value != json!(false) && value != json!("");
        is_set.then(|| all.insert(name.to_owned(), value));
    };
    set("common_name", value(common_name));
    // The only list that OpenBao reads from a text.
    set("alt_names", json!(alt_names.join(",")));
    set("ip_sans", value(ip_sans));
    set("uri_sans", value(uri_sans));
    set("other_sans", value(other_sans));
    set("user_ids", value(user_ids));
    set("ttl", value(ttl));
    set("not_after", value(not_after));
    set("format", value(format));
    set("private_key_format", value(private_key_format));
    set("exclude_cn_from_sans", value(exclude_cn_from_sans));
    // The root is `ca.crt`, and part of no other key.
    set("remove_roots_from_chain", json!(destination.type_.as_deref() != Some("kubernetes.io/tls")));
    Value::Object(all)
}

fn value(field: &impl Serialize) -> Value {
    serde_json::to_value(field).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn spec(changes: &Value) -> BaoPKISecretSpec {
        let mut spec = json!({"mount": "pki", "role": "web", "destination": {"name": "web", "create": true}});
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[rstest]
    #[case::unset(json!({"excludeCNFromSans": false, "altNames": []}), json!({}))]
    #[case::names(
        json!({"commonName": "a.example.com", "altNames": ["b.example.com", "c@example.com"], "excludeCNFromSans": true}),
        json!({"common_name": "a.example.com", "alt_names": "b.example.com,c@example.com", "exclude_cn_from_sans": true}),
    )]
    #[case::lists(
        json!({"ipSans": ["::1"], "uriSans": ["spiffe://a/b,c"], "otherSans": ["1.2;UTF8:x"], "userIDs": ["u", "v"]}),
        json!({"ip_sans": ["::1"], "uri_sans": ["spiffe://a/b,c"], "other_sans": ["1.2;UTF8:x"], "user_ids": ["u", "v"]}),
    )]
    #[case::lifetime(json!({"ttl": "30d"}), json!({"ttl": "30d"}))]
    #[case::fixed(json!({"notAfter": "2030-01-01T00:00:00Z"}), json!({"not_after": "2030-01-01T00:00:00Z"}))]
    #[case::formats(
        json!({"format": "pem_bundle", "privateKeyFormat": "pkcs8"}),
        json!({"format": "pem_bundle", "private_key_format": "pkcs8"}),
    )]
    #[case::no_request(json!({"expiryOffset": "1h", "revoke": true, "clear": true, "suspend": true}), json!({}))]
    fn a_field_of_the_spec_is_a_parameter(#[case] changes: Value, #[case] mut expected: Value) {
        expected["remove_roots_from_chain"] = json!(true);
        assert_eq!(parameters(&spec(&changes)), expected);
    }

    #[test]
    fn a_tls_secret_needs_the_root() {
        let tls = json!({"destination": {"name": "web", "create": true, "type": "kubernetes.io/tls"}});
        assert_eq!(parameters(&spec(&tls)), json!({}));
    }
}
