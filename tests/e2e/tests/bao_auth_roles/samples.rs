//! A role of each method, with a value for each field, and the request that makes the same role by hand.

use serde_json::{Value, json};

/// Adds fields to an object.
pub fn joined(mut whole: Value, further: Value) -> Value {
    if let (Value::Object(whole), Value::Object(further)) = (&mut whole, further) {
        whole.extend(further);
    }
    whole
}

/// A spec with a value for each setting of tokens.
fn tokens(spec: Value) -> Value {
    let tokens = json!({
        "tokenPolicies": ["web", "team/other"], "tokenTTL": "30m", "tokenMaxTTL": "2h", "tokenExplicitMaxTTL": "3h",
        "tokenPeriod": "1h", "tokenType": "Service", "tokenBoundCIDRs": ["127.0.0.1/32", "10.0.0.0/8"],
        "tokenNoDefaultPolicy": true, "tokenNumUses": 7,
    });
    joined(tokens, spec)
}

/// The request that makes a role with the same settings of tokens by hand.
fn issued(parameters: Value) -> Value {
    let tokens = json!({
        "token_policies": ["web", "team/other"], "token_ttl": 1800, "token_max_ttl": 7200, "token_explicit_max_ttl": 10_800,
        "token_period": 3600, "token_type": "service", "token_bound_cidrs": ["127.0.0.1", "10.0.0.0/8"],
        "token_no_default_policy": true, "token_num_uses": 7,
    });
    joined(tokens, parameters)
}

const TOKENS: [&str; 8] = [
    "token_policies",
    "token_ttl",
    "token_max_ttl",
    "token_explicit_max_ttl",
    "token_period",
    "token_bound_cidrs",
    "token_no_default_policy",
    "token_num_uses",
];

/// A role of one method, with a value for each field.
pub struct Sample {
    pub name: &'static str,
    pub spec: Value,
    pub path: &'static str,
    /// The request that makes the same role by hand.
    pub by_hand: Value,
    /// Parameters that are changed by hand.
    pub parameters: Vec<&'static str>,
    /// Parameters that each request needs.
    pub needed: Value,
}

pub fn samples(certificate: &str) -> Vec<Sample> {
    vec![kubernetes(), jwt(), oidc(), approle(), cert(certificate), user(), token()]
}

fn kubernetes() -> Sample {
    let own = ["bound_service_account_names", "bound_service_account_namespaces", "audience"];
    Sample {
        name: "kubernetes-role",
        spec: tokens(json!({"mount": "kubernetes", "kubernetes": {
            "serviceAccounts": [{"name": "a", "namespace": "n"}, {"name": "b", "namespace": "n"}],
            "audience": "openbao", "aliasNameSource": "Name",
        }})),
        path: "auth/kubernetes/role/kubernetes-role",
        by_hand: issued(json!({
            "bound_service_account_names": ["a", "b"], "bound_service_account_namespaces": ["n"], "audience": "openbao",
            "alias_name_source": "serviceaccount_name",
        })),
        // All methods share the settings of tokens.
        parameters: own.into_iter().chain(TOKENS).collect(),
        needed: json!({}),
    }
}

fn jwt() -> Sample {
    Sample {
        name: "jwt-role",
        spec: tokens(json!({"mount": "jwt", "jwt": {
            "boundAudiences": ["openbao"], "boundSubject": "web", "boundClaims": {"project": ["a", "b"]},
            "boundClaimsType": "Glob", "userClaim": "sub", "groupsClaim": "groups", "claimMappings": {"project": "project"},
        }, "parameters": {"expiration_leeway": "1m"}})),
        path: "auth/jwt/role/jwt-role",
        by_hand: issued(json!({
            "role_type": "jwt", "bound_audiences": ["openbao"], "bound_subject": "web",
            "bound_claims": {"project": ["a", "b"]}, "bound_claims_type": "glob", "user_claim": "sub",
            "user_claim_json_pointer": false, "groups_claim": "groups", "claim_mappings": {"project": "project"},
            "expiration_leeway": 60, "allowed_redirect_uris": [], "oidc_scopes": [],
        })),
        parameters: vec![
            "bound_audiences",
            "bound_subject",
            "bound_claims",
            "user_claim",
            "groups_claim",
            "claim_mappings",
            "user_claim_json_pointer",
            "expiration_leeway",
        ],
        needed: json!({"role_type": "jwt"}),
    }
}

fn oidc() -> Sample {
    let callback = "https://bao.example.com/ui/vault/auth/jwt/oidc/callback";
    Sample {
        name: "oidc-role",
        spec: tokens(json!({"mount": "jwt", "jwt": {
            "roleType": "OIDC", "allowedRedirectURIs": [callback], "oidcScopes": ["profile"], "userClaim": "email",
            "groupsClaim": "groups",
        }})),
        path: "auth/jwt/role/oidc-role",
        by_hand: issued(json!({
            "role_type": "oidc", "allowed_redirect_uris": [callback], "oidc_scopes": ["profile"], "user_claim": "email",
            "user_claim_json_pointer": false, "groups_claim": "groups", "bound_audiences": [], "bound_subject": "",
            "bound_claims": {}, "bound_claims_type": "string", "claim_mappings": {},
        })),
        parameters: vec!["oidc_scopes", "allowed_redirect_uris"],
        needed: json!({"role_type": "oidc"}),
    }
}

fn approle() -> Sample {
    Sample {
        name: "approle",
        spec: tokens(json!({"mount": "approle", "appRole": {
            "roleID": "web-id", "bindSecretID": true, "secretIDNumUses": 3, "secretIDTTL": "1h",
            "secretIDBoundCIDRs": ["127.0.0.0/8", "10.0.0.1"],
        }})),
        path: "auth/approle/role/approle",
        by_hand: issued(json!({
            "role_id": "web-id", "bind_secret_id": true, "secret_id_num_uses": 3, "secret_id_ttl": 3600,
            "secret_id_bound_cidrs": ["127.0.0.0/8", "10.0.0.1/32"],
        })),
        parameters: vec!["bind_secret_id", "secret_id_num_uses", "secret_id_ttl"],
        needed: json!({}),
    }
}

fn cert(certificate: &str) -> Sample {
    Sample {
        name: "certificate",
        spec: tokens(json!({"mount": "cert", "cert": {
            "certificate": certificate, "allowedCommonNames": ["web"], "allowedDNSSANs": ["web.example.com"],
            "allowedEmailSANs": ["web@example.com"], "allowedURISANs": ["spiffe://web"],
            "allowedOrganizationalUnits": ["web"], "requiredExtensions": ["1.2.3.4:web"],
        }})),
        path: "auth/cert/certs/certificate",
        by_hand: issued(json!({
            "certificate": certificate, "allowed_common_names": ["web"], "allowed_dns_sans": ["web.example.com"],
            "allowed_email_sans": ["web@example.com"], "allowed_uri_sans": ["spiffe://web"],
            "allowed_organizational_units": ["web"], "required_extensions": ["1.2.3.4:web"], "display_name": "certificate",
        })),
        parameters: vec![
            "allowed_common_names",
            "allowed_dns_sans",
            "allowed_email_sans",
            "allowed_uri_sans",
            "allowed_organizational_units",
            "required_extensions",
            "display_name",
        ],
        needed: json!({}),
    }
}

fn user() -> Sample {
    Sample {
        name: "user",
        spec: tokens(json!({"mount": "userpass", "userPass": {"passwordSecretRef": {"name": "password"}}})),
        path: "auth/userpass/users/user",
        by_hand: issued(json!({"password": "first"})),
        parameters: vec!["token_policies"],
        needed: json!({}),
    }
}

fn token() -> Sample {
    Sample {
        name: "token-role",
        spec: json!({"mount": "token", "token": {
            "allowedPolicies": ["web"], "disallowedPolicies": ["other"], "orphan": true, "renewable": false,
            "pathSuffix": "web", "allowedEntityAliases": ["web"],
        }, "tokenExplicitMaxTTL": "3h", "tokenPeriod": "1h", "tokenNoDefaultPolicy": true}),
        path: "auth/token/roles/token-role",
        by_hand: json!({
            "allowed_policies": ["web"], "disallowed_policies": ["other"], "orphan": true, "renewable": false,
            "path_suffix": "web", "allowed_entity_aliases": ["web"], "token_explicit_max_ttl": 10_800, "token_period": 3600,
            "token_no_default_policy": true, "token_type": "default-service", "token_bound_cidrs": [], "token_num_uses": 0,
        }),
        parameters: vec![
            "allowed_policies",
            "disallowed_policies",
            "orphan",
            "renewable",
            "path_suffix",
            "allowed_entity_aliases",
            "token_explicit_max_ttl",
            "token_period",
            "token_no_default_policy",
        ],
        needed: json!({}),
    }
}
