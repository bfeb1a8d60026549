//! AuthMethod.

use serde_json::{Value, json};

use super::{Part, Sample, fixed, mount_rows, place, row, rows, tune};

/// Public key of an issuer.
pub const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEITyqNTM+kciZ1df4W7Sx82DIftcl\n\
                   ILmEuIKwWpb74eczK1fu8ptYxP4+n9qWSbO8tjhRgX/rdmsdFee5OgnNrA==\n-----END PUBLIC KEY-----\n";

pub fn samples(ca: &str) -> Vec<Sample> {
    vec![users(), workloads(ca), reviewed(), keys(), browser()]
}

fn users() -> Sample {
    let mut rows = mount_rows();
    rows.push(place("path"));
    rows.push(fixed("type", "/type", json!("userpass")));
    rows.push(row(
        "tune.tokenType",
        "/config/token_type",
        json!("default-batch"),
        json!({"token_type": "service"}),
    ));
    let change = |name: &str, value: Value| json!({"user_lockout_config": {name: value}});
    let lockout = vec![
        row(
            "tune.userLockout.threshold",
            "/user_lockout_threshold",
            json!(3),
            change("lockout_threshold", json!(9)),
        ),
        row(
            "tune.userLockout.duration",
            "/user_lockout_duration",
            json!(600),
            change("lockout_duration", json!("1m")),
        ),
        row(
            "tune.userLockout.counterReset",
            "/user_lockout_counter_reset_duration",
            json!(300),
            change("lockout_counter_reset_duration", json!("1m")),
        ),
        row(
            "tune.userLockout.disable",
            "/user_lockout_disable",
            json!(true),
            change("lockout_disable", json!(false)),
        ),
    ];
    let mut all = tune();
    all["tokenType"] = json!("default-batch");
    all["userLockout"] = json!({"threshold": 3, "duration": "10m", "counterReset": "5m", "disable": true});
    let spec = json!({
        "path": "f/users", "type": "userpass", "description": "full", "options": {"a": "1"}, "sealWrap": true, "local": true,
        "tune": all,
    });
    let tuned = "sys/auth/f/users/tune";
    let parts = vec![
        Part::at("sys/auth/f/users", json!({}), rows).written_at(tuned),
        Part::at(tuned, json!({}), lockout),
    ];
    Sample { kind: "AuthMethod", name: "f-users", spec, parts }
}

fn workloads(ca: &str) -> Sample {
    let needed = json!({
        "kubernetes_host": "https://127.0.0.1:9", "kubernetes_ca_cert": ca, "token_reviewer_jwt": "first.token.here",
        "pem_keys": [KEY], "disable_local_ca_jwt": true,
    });
    let rows = rows(vec![
        (
            "kubernetes.host",
            "/kubernetes_host",
            json!("https://127.0.0.1:9"),
            json!("https://other.example.com"),
        ),
        ("kubernetes.caSecretRef.name", "/kubernetes_ca_cert", json!(ca), Value::Null),
        ("kubernetes.caSecretRef.key", "/kubernetes_ca_cert", json!(ca), Value::Null),
        ("kubernetes.publicKeys", "/pem_keys", json!([KEY]), json!([])),
        ("kubernetes.disableLocalCAJWT", "/disable_local_ca_jwt", json!(true), json!(false)),
        ("kubernetes.tokenReviewerSecretRef.name", "/token_reviewer_jwt_set", json!(true), Value::Null),
        ("kubernetes.tokenReviewerSecretRef.key", "/token_reviewer_jwt_set", json!(true), Value::Null),
    ]);
    let spec = json!({"type": "kubernetes", "kubernetes": {
        "host": "https://127.0.0.1:9", "caSecretRef": {"name": "values", "key": "authority.pem"}, "publicKeys": [KEY],
        "tokenReviewerSecretRef": {"name": "values", "key": "token"}, "disableLocalCAJWT": true,
    }});
    let parts = vec![Part::at("auth/f-workloads/config", needed, rows)];
    Sample { kind: "AuthMethod", name: "f-workloads", spec, parts }
}

/// A mount whose token reviewer is a free parameter.
fn reviewed() -> Sample {
    let rows = rows(vec![("secretParameters", "/token_reviewer_jwt_set", json!(true), Value::Null)]);
    let spec = json!({
        "type": "kubernetes",
        "kubernetes": {
            "host": "https://127.0.0.1:9", "disableLocalCAJWT": true,
            "caSecretRef": {"name": "values", "key": "authority.pem"},
        },
        "secretParameters": {"token_reviewer_jwt": {"name": "values", "key": "token"}},
    });
    let parts = vec![Part::at("auth/f-reviewed/config", json!({}), rows)];
    Sample { kind: "AuthMethod", name: "f-reviewed", spec, parts }
}

fn keys() -> Sample {
    let needed = json!({
        "jwt_validation_pubkeys": [KEY], "bound_issuer": "https://ci.example.com", "jwt_supported_algs": ["ES256"],
        "default_role": "release", "override_allowed_server_names": ["ci.example.com"],
    });
    let rows = rows(vec![
        ("jwt.publicKeys", "/jwt_validation_pubkeys", json!([KEY.trim_end()]), Value::Null),
        (
            "jwt.boundIssuer",
            "/bound_issuer",
            json!("https://ci.example.com"),
            json!("https://evil.example.com"),
        ),
        ("jwt.supportedAlgorithms", "/jwt_supported_algs", json!(["ES256"]), json!(["ES384"])),
        ("jwt.defaultRole", "/default_role", json!("release"), json!("other")),
        (
            "parameters",
            "/override_allowed_server_names",
            json!(["ci.example.com"]),
            json!(["other.example.com"]),
        ),
    ]);
    let parameters = json!({"override_allowed_server_names": ["ci.example.com"]});
    let spec = json!({"type": "jwt", "parameters": parameters, "jwt": {
        "publicKeys": [KEY], "boundIssuer": "https://ci.example.com", "supportedAlgorithms": ["ES256"], "defaultRole": "release",
    }});
    Sample {
        kind: "AuthMethod",
        name: "f-keys",
        spec,
        parts: vec![Part::at("auth/f-keys/config", needed, rows)],
    }
}

fn browser() -> Sample {
    let needed = json!({
        "oidc_discovery_url": "http://127.0.0.1:9", "oidc_client_id": "openbao", "oidc_client_secret": "client-secret",
        "skip_jwks_validation": true, "provider_config": {"provider": "azure"},
    });
    let rows = rows(vec![
        (
            "jwt.oidcDiscoveryURL",
            "/oidc_discovery_url",
            json!("http://127.0.0.1:9"),
            json!("https://127.0.0.1:8"),
        ),
        // Without it, the API server refuses the URL.
        ("jwt.allowPlaintext", "/oidc_discovery_url", json!("http://127.0.0.1:9"), Value::Null),
        ("jwt.oidcClientID", "/oidc_client_id", json!("openbao"), json!("other")),
        (
            "jwt.providerConfig",
            "/provider_config",
            json!({"provider": "azure"}),
            json!({"provider": "secureauth"}),
        ),
    ]);
    let spec = json!({"type": "oidc", "parameters": {"skip_jwks_validation": true}, "jwt": {
        "oidcDiscoveryURL": "http://127.0.0.1:9", "allowPlaintext": true, "oidcClientID": "openbao",
        "oidcClientSecretRef": {"name": "values", "key": "secret"}, "providerConfig": {"provider": "azure"},
    }});
    Sample {
        kind: "AuthMethod",
        name: "f-browser",
        spec,
        parts: vec![Part::at("auth/f-browser/config", needed, rows)],
    }
}
