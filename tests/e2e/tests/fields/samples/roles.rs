//! BaoAuthRole.

use serde_json::{Value, json};

use super::{Part, Sample, place, rows, sent};

pub fn samples(ca: &str) -> Vec<Sample> {
    vec![
        jwt(),
        oidc(),
        approle(),
        kubernetes(),
        certificate(ca),
        certificate_of_a_secret(ca),
        token(),
        user(),
        of_method(ca),
    ]
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
    let mut rows = rows(vec![
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
    rows.extend([place("mount"), place("name")]);
    let spec = tokens(json!({"mount": "kubernetes", "name": "f-kubernetes-named", "kubernetes": {
        "serviceAccounts": [{"name": "a", "namespace": "n"}], "audience": "openbao", "aliasNameSource": "Name",
    }}));
    let parts = vec![Part::at("auth/kubernetes/role/f-kubernetes-named", needed, rows)];
    Sample { kind: "BaoAuthRole", name: "f-kubernetes", spec, parts }
}

fn jwt() -> Sample {
    let needed = json!({"role_type": "jwt"});
    let rows = rows(vec![
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
        ("jwt.roleType", "/role_type", json!("oidc"), Value::Null),
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
        ("appRole.bindSecretID", "/bind_secret_id", json!(false), json!(true)),
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
        "roleID": "f-id", "bindSecretID": false, "secretIDNumUses": 3, "secretIDTTL": "1h",
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
    let spec = json!({"mount": "cert", "cert": {"certificateSecretRef": {"name": "values", "key": "authority.pem"}}});
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

/// A user whose password is in the Secret `values`.
fn user() -> Sample {
    let rows = vec![
        sent("userPass.passwordSecretRef.name", "/password", json!("client-secret")),
        sent("userPass.passwordSecretRef.key", "/password", json!("client-secret")),
    ];
    let spec = json!({
        "mount": "userpass", "userPass": {"passwordSecretRef": {"name": "values", "key": "secret"}}, "tokenPolicies": ["web"],
    });
    let parts = vec![Part::at("auth/userpass/users/f-user", json!({}), rows)];
    Sample { kind: "BaoAuthRole", name: "f-user", spec, parts }
}

/// A role without a block: its method determines the path `certs`.
fn of_method(ca: &str) -> Sample {
    let needed = json!({"certificate": ca});
    let rows = rows(vec![("method", "/display_name", json!("web"), json!("other"))]);
    let spec =
        json!({"mount": "cert", "method": "Cert", "parameters": {"certificate": ca, "display_name": "web"}});
    let parts = vec![Part::at("auth/cert/certs/f-of-method", needed, rows)];
    Sample { kind: "BaoAuthRole", name: "f-of-method", spec, parts }
}
