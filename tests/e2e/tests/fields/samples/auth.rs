//! AuthMethod and BaoAuthRole.

use serde_json::{Value, json};

use super::{Part, Row, Sample, fixed, mount_rows, row, tune};

/// Public key of an issuer.
pub const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEITyqNTM+kciZ1df4W7Sx82DIftcl\n\
                   ILmEuIKwWpb74eczK1fu8ptYxP4+n9qWSbO8tjhRgX/rdmsdFee5OgnNrA==\n-----END PUBLIC KEY-----\n";

pub fn samples(ca: &str) -> Vec<Sample> {
    vec![
        users(),
        workloads(ca),
        keys(),
        browser(),
        jwt(),
        oidc(),
        approle(),
        kubernetes(),
        certificate(ca),
        certificate_of_a_secret(ca),
        token(),
    ]
}

fn users() -> Sample {
    let mut rows = mount_rows();
    rows.push(fixed("path", "/type", json!("userpass")));
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
            json!(false),
            change("lockout_disable", json!(true)),
        ),
    ];
    let mut all = tune();
    all["tokenType"] = json!("default-batch");
    all["userLockout"] = json!({"threshold": 3, "duration": "10m", "counterReset": "5m", "disable": false});
    let spec = json!({
        "path": "f/users", "type": "userpass", "description": "full", "options": {"a": "1"}, "sealWrap": true, "local": false,
        "tune": all,
    });
    let tuned = "sys/auth/f/users/tune";
    let parts = vec![
        Part::at("sys/auth/f/users", json!({}), rows).written_at(tuned),
        Part::at(tuned, json!({}), lockout),
    ];
    Sample { kind: "AuthMethod", name: "f-users", spec, parts }
}

/// Rows whose parameters have the name of the pointer.
fn rows(all: Vec<(&'static str, &'static str, Value, Value)>) -> Vec<Row> {
    let one = |(field, pointer, value, other): (&'static str, &'static str, Value, Value)| match other {
        Value::Null => fixed(field, pointer, value),
        other => row(field, pointer, value, json!({&pointer[1..]: other})),
    };
    all.into_iter().map(one).collect()
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
        "host": "https://127.0.0.1:9", "caSecretRef": {"name": "values", "key": "ca.crt"}, "publicKeys": [KEY],
        "tokenReviewerSecretRef": {"name": "values", "key": "token"}, "disableLocalCAJWT": true,
    }});
    let parts = vec![Part::at("auth/f-workloads/config", needed, rows)];
    Sample { kind: "AuthMethod", name: "f-workloads", spec, parts }
}

fn keys() -> Sample {
    let needed = json!({
        "jwt_validation_pubkeys": [KEY], "bound_issuer": "https://ci.example.com", "jwt_supported_algs": ["ES256"],
        "default_role": "release", "namespace_in_state": false,
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
        ("parameters", "/namespace_in_state", json!(false), json!(true)),
    ]);
    let spec = json!({"type": "jwt", "parameters": {"namespace_in_state": false}, "jwt": {
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
        "oidc_discovery_url": "https://127.0.0.1:9", "oidc_client_id": "openbao", "oidc_client_secret": "client-secret",
        "skip_jwks_validation": true, "provider_config": {"provider": "azure"},
    });
    let rows = rows(vec![
        (
            "jwt.oidcDiscoveryURL",
            "/oidc_discovery_url",
            json!("https://127.0.0.1:9"),
            json!("https://127.0.0.1:8"),
        ),
        ("jwt.oidcClientID", "/oidc_client_id", json!("openbao"), json!("other")),
        (
            "jwt.providerConfig",
            "/provider_config",
            json!({"provider": "azure"}),
            json!({"provider": "secureauth"}),
        ),
    ]);
    let spec = json!({"type": "oidc", "parameters": {"skip_jwks_validation": true}, "jwt": {
        "oidcDiscoveryURL": "https://127.0.0.1:9", "oidcClientID": "openbao",
        "oidcClientSecretRef": {"name": "values", "key": "secret"}, "providerConfig": {"provider": "azure"},
    }});
    Sample {
        kind: "AuthMethod",
        name: "f-browser",
        spec,
        parts: vec![Part::at("auth/f-browser/config", needed, rows)],
    }
}

/// Settings of tokens in a spec.
fn tokens(mut spec: Value) -> Value {
    let tokens = json!({
        "tokenPolicies": ["web", "team/other"], "tokenTTL": "30m", "tokenMaxTTL": "2h", "tokenExplicitMaxTTL": "3h",
        "tokenPeriod": "1h", "tokenType": "Service", "tokenBoundCIDRs": ["127.0.0.1/32", "10.0.0.0/8"],
        "tokenNoDefaultPolicy": true, "tokenNumUses": 7,
    });
    if let (Value::Object(spec), Value::Object(tokens)) = (&mut spec, tokens) {
        spec.extend(tokens);
    }
    spec
}

fn kubernetes() -> Sample {
    let needed = json!({
        "bound_service_account_names": ["a"], "bound_service_account_namespaces": ["n"], "audience": "openbao",
    });
    let rows = rows(vec![
        ("mount", "/bound_service_account_namespaces", json!(["n"]), Value::Null),
        ("name", "/bound_service_account_namespaces", json!(["n"]), Value::Null),
        ("kubernetes.serviceAccounts[].name", "/bound_service_account_names", json!(["a"]), json!(["b"])),
        (
            "kubernetes.serviceAccounts[].namespace",
            "/bound_service_account_namespaces",
            json!(["n"]),
            json!(["m"]),
        ),
        ("kubernetes.audience", "/audience", json!("openbao"), json!("other")),
        (
            "kubernetes.aliasNameSource",
            "/alias_name_source",
            json!("serviceaccount_name"),
            json!("serviceaccount_uid"),
        ),
        ("tokenPolicies", "/token_policies", json!(["web", "team/other"]), json!(["more"])),
        ("tokenTTL", "/token_ttl", json!(1800), json!("1h")),
        ("tokenMaxTTL", "/token_max_ttl", json!(7200), json!("9h")),
        ("tokenExplicitMaxTTL", "/token_explicit_max_ttl", json!(10_800), json!("9h")),
        ("tokenPeriod", "/token_period", json!(3600), json!("2h")),
        ("tokenType", "/token_type", json!("service"), json!("default")),
        ("tokenBoundCIDRs", "/token_bound_cidrs", json!(["127.0.0.1", "10.0.0.0/8"]), json!([])),
        ("tokenNoDefaultPolicy", "/token_no_default_policy", json!(true), json!(false)),
        ("tokenNumUses", "/token_num_uses", json!(7), json!(0)),
    ]);
    let spec = tokens(json!({"mount": "kubernetes", "name": "f-kubernetes-named", "kubernetes": {
        "serviceAccounts": [{"name": "a", "namespace": "n"}], "audience": "openbao", "aliasNameSource": "Name",
    }}));
    let parts = vec![Part::at("auth/kubernetes/role/f-kubernetes-named", needed, rows)];
    Sample { kind: "BaoAuthRole", name: "f-kubernetes", spec, parts }
}

fn jwt() -> Sample {
    let needed = json!({"role_type": "jwt"});
    let rows = rows(vec![
        ("jwt.roleType", "/role_type", json!("jwt"), Value::Null),
        ("jwt.boundAudiences", "/bound_audiences", json!(["openbao"]), json!(["other"])),
        ("jwt.boundSubject", "/bound_subject", json!("web"), json!("other")),
        ("jwt.boundClaims", "/bound_claims", json!({"project": ["a", "b"]}), json!({"project": "c"})),
        ("jwt.boundClaimsType", "/bound_claims_type", json!("glob"), json!("string")),
        ("jwt.userClaim", "/user_claim", json!("/sub"), json!("/email")),
        ("jwt.userClaimJSONPointer", "/user_claim_json_pointer", json!(true), json!(false)),
        ("jwt.groupsClaim", "/groups_claim", json!("groups"), json!("roles")),
        ("jwt.claimMappings", "/claim_mappings", json!({"project": "project"}), json!({"a": "b"})),
        ("parameters", "/expiration_leeway", json!(60), json!(120)),
    ]);
    let spec = json!({"mount": "jwt", "parameters": {"expiration_leeway": "1m"}, "jwt": {
        "roleType": "JWT", "boundAudiences": ["openbao"], "boundSubject": "web", "boundClaims": {"project": ["a", "b"]},
        "boundClaimsType": "Glob", "userClaim": "/sub", "userClaimJSONPointer": true, "groupsClaim": "groups",
        "claimMappings": {"project": "project"},
    }});
    Sample {
        kind: "BaoAuthRole",
        name: "f-jwt",
        spec,
        parts: vec![Part::at("auth/jwt/role/f-jwt", needed, rows)],
    }
}

fn oidc() -> Sample {
    let callback = "https://bao.example.com/ui/vault/auth/jwt/oidc/callback";
    let needed = json!({"role_type": "oidc"});
    let rows = rows(vec![
        (
            "jwt.allowedRedirectURIs",
            "/allowed_redirect_uris",
            json!([callback]),
            json!(["https://other.example.com"]),
        ),
        ("jwt.oidcScopes", "/oidc_scopes", json!(["profile"]), json!(["email"])),
    ]);
    let spec = json!({"mount": "jwt", "jwt": {
        "roleType": "OIDC", "allowedRedirectURIs": [callback], "oidcScopes": ["profile"], "userClaim": "email",
    }});
    Sample {
        kind: "BaoAuthRole",
        name: "f-oidc",
        spec,
        parts: vec![Part::at("auth/jwt/role/f-oidc", needed, rows)],
    }
}

fn approle() -> Sample {
    let path = "auth/approle/role/f-approle";
    let settings = rows(vec![
        ("appRole.bindSecretID", "/bind_secret_id", json!(true), json!(false)),
        ("appRole.secretIDNumUses", "/secret_id_num_uses", json!(3), json!(9)),
        ("appRole.secretIDTTL", "/secret_id_ttl", json!(3600), json!("2h")),
        (
            "appRole.secretIDBoundCIDRs",
            "/secret_id_bound_cidrs",
            json!(["10.0.0.0/8"]),
            json!(["127.0.0.0/8"]),
        ),
    ]);
    let id = rows(vec![("appRole.roleID", "/role_id", json!("f-id"), json!("other-id"))]);
    let spec = json!({"mount": "approle", "appRole": {
        "roleID": "f-id", "bindSecretID": true, "secretIDNumUses": 3, "secretIDTTL": "1h",
        "secretIDBoundCIDRs": ["10.0.0.0/8"],
    }});
    let needed = json!({"token_bound_cidrs": ["10.0.0.0/8"]});
    let parts = vec![
        Part::at(path, needed, settings),
        Part::at("auth/approle/role/f-approle/role-id", json!({}), id),
    ];
    let mut spec = spec;
    spec["tokenBoundCIDRs"] = json!(["10.0.0.0/8"]);
    Sample { kind: "BaoAuthRole", name: "f-approle", spec, parts }
}

fn certificate(ca: &str) -> Sample {
    let needed = json!({"certificate": ca});
    let rows = rows(vec![
        ("cert.certificate", "/certificate", json!(ca), Value::Null),
        ("cert.displayName", "/display_name", json!("web"), json!("other")),
        ("cert.allowedCommonNames", "/allowed_common_names", json!(["web"]), json!(["other"])),
        (
            "cert.allowedDNSSANs",
            "/allowed_dns_sans",
            json!(["web.example.com"]),
            json!(["other.example.com"]),
        ),
        (
            "cert.allowedEmailSANs",
            "/allowed_email_sans",
            json!(["web@example.com"]),
            json!(["other@example.com"]),
        ),
        ("cert.allowedURISANs", "/allowed_uri_sans", json!(["spiffe://web"]), json!(["spiffe://other"])),
        (
            "cert.allowedOrganizationalUnits",
            "/allowed_organizational_units",
            json!(["web"]),
            json!(["other"]),
        ),
        ("cert.requiredExtensions", "/required_extensions", json!(["1.2.3.4:web"]), json!(["1.2.3.4:other"])),
    ]);
    let spec = json!({"mount": "cert", "cert": {
        "certificate": ca, "displayName": "web", "allowedCommonNames": ["web"], "allowedDNSSANs": ["web.example.com"],
        "allowedEmailSANs": ["web@example.com"], "allowedURISANs": ["spiffe://web"], "allowedOrganizationalUnits": ["web"],
        "requiredExtensions": ["1.2.3.4:web"],
    }});
    Sample {
        kind: "BaoAuthRole",
        name: "f-cert",
        spec,
        parts: vec![Part::at("auth/cert/certs/f-cert", needed, rows)],
    }
}

/// The certificate that the Secret `values` contains.
fn certificate_of_a_secret(ca: &str) -> Sample {
    let rows = rows(vec![
        ("cert.certificateSecretRef.name", "/certificate", json!(ca), Value::Null),
        ("cert.certificateSecretRef.key", "/certificate", json!(ca), Value::Null),
    ]);
    let spec =
        json!({"mount": "cert", "cert": {"certificateSecretRef": {"name": "values", "key": "ca.crt"}}});
    let parts = vec![Part::at("auth/cert/certs/f-cert-secret", json!({}), rows)];
    Sample { kind: "BaoAuthRole", name: "f-cert-secret", spec, parts }
}

fn token() -> Sample {
    let rows = rows(vec![
        ("token.allowedPolicies", "/allowed_policies", json!(["web"]), json!(["other"])),
        ("token.disallowedPolicies", "/disallowed_policies", json!(["other"]), json!(["more"])),
        ("token.orphan", "/orphan", json!(true), json!(false)),
        ("token.renewable", "/renewable", json!(false), json!(true)),
        ("token.pathSuffix", "/path_suffix", json!("web"), json!("other")),
        ("token.allowedEntityAliases", "/allowed_entity_aliases", json!(["web"]), json!(["other"])),
    ]);
    let spec = json!({"mount": "token", "token": {
        "allowedPolicies": ["web"], "disallowedPolicies": ["other"], "orphan": true, "renewable": false, "pathSuffix": "web",
        "allowedEntityAliases": ["web"],
    }});
    Sample {
        kind: "BaoAuthRole",
        name: "f-token",
        spec,
        parts: vec![Part::at("auth/token/roles/f-token", json!({}), rows)],
    }
}
