//! BaoPolicy, IdentityGroup, BaoNamespace, BaoRateLimitQuota.

use serde_json::{Value, json};

use super::sources::Sources;
use super::{Part, Row, Sample, fixed, place, row};
use crate::namespaces_keys_quotas::PGP_KEY;

const TEXT: &str = "path \"kv/data/web/*\" {\n  capabilities = [\"read\"]\n}\n";

pub fn samples(sources: &Sources) -> Vec<Sample> {
    vec![
        text(),
        rules(),
        internal(sources),
        external(),
        namespace(),
        sealed_namespace(),
        quota(),
        inherited_quota(),
        role_quota(),
    ]
}

fn text() -> Sample {
    let other = json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"});
    let later = json!({"policy": TEXT, "expiration": "2091-01-02T03:04:05Z"});
    let rows = vec![
        place("name"),
        row("policy", "/policy", json!(TEXT), other),
        row("parameters", "/expiration", json!("2090-01-02T03:04:05Z"), later),
    ];
    let parameters = json!({"expiration": "2090-01-02T05:04:05+02:00"});
    let spec = json!({"name": "f-named", "policy": TEXT, "parameters": parameters});
    let parts = vec![Part::at("sys/policies/acl/f-named", json!({}), rows)];
    Sample { kind: "BaoPolicy", name: "f-text", spec, parts }
}

fn rule() -> Value {
    json!({
        "capabilities": ["create", "update", "list"], "allowed_parameters": {"ttl": [], "policies": ["web"]},
        "denied_parameters": {"period": []}, "required_parameters": ["ttl"], "min_wrapping_ttl": "1m", "max_wrapping_ttl": "5m",
        "pagination_limit": 10, "list_scan_response_keys_filter_path": "{{ .path }}{{ .key }}",
        "expiration": "2090-01-02T03:04:05Z", "comment": "short tokens",
    })
}

/// An entry of a rule, which a person changes.
fn entry(field: &'static str, pointer: &'static str, other: Value) -> Row {
    let (mut changed, name) = (rule(), pointer.rsplit('/').next().unwrap_or_default());
    let right = changed[name].take();
    changed[name] = other;
    let policy = json!({"path": {"auth/token/create": changed}}).to_string();
    row(field, pointer, right, json!({"policy": policy}))
}

fn rules() -> Sample {
    let rows = vec![
        fixed("rules[].path", "policy#/path/auth~1token~1create", rule()),
        entry("rules[].capabilities", "policy#/path/auth~1token~1create/capabilities", json!(["list"])),
        entry(
            "rules[].allowedParameters",
            "policy#/path/auth~1token~1create/allowed_parameters",
            json!({"ttl": []}),
        ),
        entry(
            "rules[].deniedParameters",
            "policy#/path/auth~1token~1create/denied_parameters",
            json!({"num_uses": []}),
        ),
        entry(
            "rules[].requiredParameters",
            "policy#/path/auth~1token~1create/required_parameters",
            json!(["policies"]),
        ),
        entry("rules[].minWrappingTTL", "policy#/path/auth~1token~1create/min_wrapping_ttl", json!("2m")),
        entry("rules[].maxWrappingTTL", "policy#/path/auth~1token~1create/max_wrapping_ttl", json!("9m")),
        entry("rules[].paginationLimit", "policy#/path/auth~1token~1create/pagination_limit", json!(20)),
        entry(
            "rules[].listScanResponseKeysFilterPath",
            "policy#/path/auth~1token~1create/list_scan_response_keys_filter_path",
            json!("other/{{ .key }}"),
        ),
        entry(
            "rules[].expiration",
            "policy#/path/auth~1token~1create/expiration",
            json!("2091-01-02T03:04:05Z"),
        ),
        entry("rules[].comment", "policy#/path/auth~1token~1create/comment", json!("other")),
    ];
    let spec = json!({"rules": [{
        "path": "auth/token/create", "capabilities": ["create", "update", "list"],
        "allowedParameters": {"ttl": [], "policies": ["web"]}, "deniedParameters": {"period": []}, "requiredParameters": ["ttl"],
        "minWrappingTTL": "1m", "maxWrappingTTL": "5m", "paginationLimit": 10,
        "listScanResponseKeysFilterPath": "{{ .path }}{{ .key }}", "expiration": "2090-01-02T03:04:05Z", "comment": "short tokens",
    }]});
    let parts = vec![Part::at("sys/policies/acl/f-rules", json!({}), rows)];
    Sample { kind: "BaoPolicy", name: "f-rules", spec, parts }
}

fn internal(sources: &Sources) -> Sample {
    let entities = json!([sources.alice, sources.bob]);
    let rows = vec![
        place("name"),
        row("policies", "/policies", json!(["web"]), json!({"policies": ["web", "more"]})),
        row("metadata", "/metadata", json!({"team": "web"}), json!({"metadata": {"team": "other"}})),
        row("memberEntities", "/member_entity_ids", entities, json!({"member_entity_ids": []})),
        row("memberGroups", "/member_group_ids", json!([sources.members]), json!({"member_group_ids": []})),
    ];
    let spec = json!({
        "name": "f-internal-named", "type": "Internal", "policies": ["web"], "metadata": {"team": "web"},
        "memberGroups": ["members"], "memberEntities": ["alice", "bob"],
    });
    let parts = vec![Part::at("identity/group/name/f-internal-named", json!({}), rows)];
    Sample { kind: "IdentityGroup", name: "f-internal", spec, parts }
}

fn external() -> Sample {
    let rows = vec![
        fixed("type", "/type", json!("external")),
        fixed("alias.name", "/alias/name", json!("devs")),
        fixed("alias.mount", "/alias/mount_path", json!("auth/jwt/")),
    ];
    let spec = json!({"type": "External", "alias": {"name": "devs", "mount": "jwt"}});
    let parts = vec![Part::at("identity/group/name/f-external", json!({}), rows)];
    Sample { kind: "IdentityGroup", name: "f-external", spec, parts }
}

fn namespace() -> Sample {
    let other = json!({"custom_metadata": {"team": "other"}});
    let rows = vec![place("path"), row("customMetadata", "/custom_metadata", json!({"team": "web"}), other)];
    let spec = json!({"path": "f-path", "customMetadata": {"team": "web"}, "deletionPolicy": "Delete"});
    let parts = vec![Part::at("sys/namespaces/f-path", json!({}), rows)];
    Sample { kind: "BaoNamespace", name: "f-namespace", spec, parts }
}

/// A namespace with a seal of its own. OpenBao returns the numbers of its key shares, and cannot change them.
fn sealed_namespace() -> Sample {
    let rows = vec![fixed("seal.shares", "/n", json!(2)), fixed("seal.threshold", "/t", json!(2))];
    let seal = json!({
        "shares": 2, "threshold": 2, "pgpKeys": [PGP_KEY, PGP_KEY], "recoverySecretName": "f-key-shares",
    });
    let parts = vec![Part::at("sys/namespaces/f-sealed/seal-status", json!({}), rows)];
    Sample { kind: "BaoNamespace", name: "f-sealed", spec: json!({"seal": seal}), parts }
}

fn quota() -> Sample {
    let needed = json!({"rate": 5000, "path": "ciphers", "interval": 120, "block_interval": 3600});
    let rows = vec![
        place("name"),
        row("rate", "/rate", json!(5000), json!({"rate": 6000})),
        row("path", "/path", json!("ciphers/"), json!({"path": "pki"})),
        row("interval", "/interval", json!(120), json!({"interval": 60})),
        row("blockInterval", "/block_interval", json!(3600), json!({"block_interval": 0})),
    ];
    let spec = json!({
        "name": "f-quota-named", "rate": 5000, "path": "ciphers", "interval": "2m", "blockInterval": "1h",
    });
    let parts = vec![Part::at("sys/quotas/rate-limit/f-quota-named", needed, rows)];
    Sample { kind: "BaoRateLimitQuota", name: "f-quota", spec, parts }
}

/// The quota of a namespace, which its child namespaces inherit.
fn inherited_quota() -> Sample {
    let needed = json!({"rate": 5000, "path": "f-space"});
    let rows = vec![row("inheritable", "/inheritable", json!(true), json!({"inheritable": false}))];
    let spec = json!({"rate": 5000, "path": "f-space", "inheritable": true});
    let parts = vec![Part::at("sys/quotas/rate-limit/f-inherited", needed, rows)];
    Sample { kind: "BaoRateLimitQuota", name: "f-inherited", spec, parts }
}

fn role_quota() -> Sample {
    let rows = vec![fixed("role", "/role", json!("web"))];
    let spec = json!({"rate": 5000, "path": "auth/approle", "role": "web"});
    let parts = vec![Part::at("sys/quotas/rate-limit/f-role", json!({}), rows)];
    Sample { kind: "BaoRateLimitQuota", name: "f-role", spec, parts }
}
