//! BaoPolicy, IdentityGroup, BaoNamespace, BaoRateLimitQuota.

use serde_json::{Value, json};

use super::{Part, Row, Sample, fixed, row};

const TEXT: &str = "path \"kv/data/web/*\" {\n  capabilities = [\"read\"]\n}\n";

pub fn samples() -> Vec<Sample> {
    vec![text(), rules(), internal(), external(), namespace(), quota(), role_quota()]
}

fn text() -> Sample {
    let other = json!({"policy": "path \"other\" { capabilities = [\"deny\"] }"});
    let rows = vec![fixed("name", "/name", json!("f-named")), row("policy", "/policy", json!(TEXT), other)];
    let spec = json!({"name": "f-named", "policy": TEXT});
    let parts = vec![Part::at("sys/policies/acl/f-named", json!({}), rows)];
    Sample { kind: "BaoPolicy", name: "f-text", spec, parts }
}

fn rule() -> Value {
    json!({
        "capabilities": ["create", "update"], "allowed_parameters": {"ttl": [], "policies": ["web"]},
        "denied_parameters": {"period": []}, "required_parameters": ["ttl"], "min_wrapping_ttl": "1m", "max_wrapping_ttl": "5m",
        "comment": "short tokens",
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
        fixed("rules[].path", "policy#/path/auth~1token~1create", json!({})),
        entry("rules[].capabilities", "policy#/path/auth~1token~1create/capabilities", json!(["create"])),
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
        entry("rules[].comment", "policy#/path/auth~1token~1create/comment", json!("other")),
    ];
    let spec = json!({"rules": [{
        "path": "auth/token/create", "capabilities": ["create", "update"], "allowedParameters": {"ttl": [], "policies": ["web"]},
        "deniedParameters": {"period": []}, "requiredParameters": ["ttl"], "minWrappingTTL": "1m", "maxWrappingTTL": "5m",
        "comment": "short tokens",
    }]});
    let parts = vec![Part::at("sys/policies/acl/f-rules", json!({}), rows)];
    Sample { kind: "BaoPolicy", name: "f-rules", spec, parts }
}

fn internal() -> Sample {
    let rows = vec![
        fixed("type", "/type", json!("internal")),
        fixed("name", "/name", json!("f-internal-named")),
        row("policies", "/policies", json!(["web"]), json!({"policies": ["web", "more"]})),
        row("metadata", "/metadata", json!({"team": "web"}), json!({"metadata": {"team": "other"}})),
        row("memberEntities", "/type", json!("internal"), json!({"member_entity_ids": []})),
        row("memberGroups", "/type", json!("internal"), json!({"member_group_ids": []})),
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
        fixed("alias.name", "/alias/name", json!("devs")),
        fixed("alias.mount", "/alias/mount_path", json!("auth/jwt/")),
    ];
    let spec = json!({"type": "External", "alias": {"name": "devs", "mount": "jwt"}});
    let parts = vec![Part::at("identity/group/name/f-external", json!({}), rows)];
    Sample { kind: "IdentityGroup", name: "f-external", spec, parts }
}

fn namespace() -> Sample {
    let other = json!({"custom_metadata": {"team": "other"}});
    let rows = vec![
        fixed("path", "/path", json!("f-path/")),
        row("customMetadata", "/custom_metadata", json!({"team": "web"}), other),
    ];
    let spec = json!({"path": "f-path", "customMetadata": {"team": "web"}, "deletionPolicy": "Delete"});
    let parts = vec![Part::at("sys/namespaces/f-path", json!({}), rows)];
    Sample { kind: "BaoNamespace", name: "f-namespace", spec, parts }
}

fn quota() -> Sample {
    let needed = json!({"rate": 5000, "path": "transit", "interval": 120, "block_interval": 3600});
    let rows = vec![
        fixed("name", "/name", json!("f-quota-named")),
        row("rate", "/rate", json!(5000), json!({"rate": 6000})),
        row("path", "/path", json!("transit/"), json!({"path": "pki"})),
        row("interval", "/interval", json!(120), json!({"interval": 60})),
        row("blockInterval", "/block_interval", json!(3600), json!({"block_interval": 0})),
        fixed("inheritable", "/inheritable", json!(false)),
    ];
    let spec = json!({
        "name": "f-quota-named", "rate": 5000, "path": "transit", "interval": "2m", "blockInterval": "1h", "inheritable": false,
    });
    let parts = vec![Part::at("sys/quotas/rate-limit/f-quota-named", needed, rows)];
    Sample { kind: "BaoRateLimitQuota", name: "f-quota", spec, parts }
}

fn role_quota() -> Sample {
    let rows = vec![fixed("role", "/role", json!("web"))];
    let spec = json!({"rate": 5000, "path": "auth/approle", "role": "web"});
    let parts = vec![Part::at("sys/quotas/rate-limit/f-role", json!({}), rows)];
    Sample { kind: "BaoRateLimitQuota", name: "f-role", spec, parts }
}
