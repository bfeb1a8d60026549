//! SecretsApp.

use serde_json::{Value, json};

use super::sources::Sources;
use super::{Part, Row, Sample, absent, fixed, place, row};

/// A policy that a person writes.
const OTHER: &str = "path \"other\" { capabilities = [\"deny\"] }";

pub fn samples(sources: &Sources) -> Vec<Sample> {
    vec![full(sources), pairs(), plain(), of_repository()]
}

fn full(sources: &Sources) -> Sample {
    let spec = json!({
        "app": "f-shop", "kv": {"mount": "apps-kv", "prefix": "teams/f"},
        "runtime": {
            "mount": "pods", "serviceAccounts": ["a", "b"], "namespaces": ["n"], "tokenTTL": "30m", "audience": "mine",
        },
        "database": {
            "connectionRef": {"name": "f-connection"}, "database": "postgres", "ownerRole": "fields_app",
            "defaultTTL": "1h", "maxTTL": "24h",
        },
        "ci": {
            "mount": "jwt", "role": "f-deploy", "audiences": ["gitea"], "userClaim": "sub",
            "boundClaims": {"repository": ["example/f"]}, "tokenTTL": "20m",
        },
        "ops": {
            "extraPolicies": ["apps-extra"], "extraPaths": [{"path": "apps-kv/data/shared/*", "verbs": ["read"]}],
            "terraformCompat": true,
        },
        "identityGroup": {"memberEntities": ["alice"]},
    });
    let parts = [policies(), logins(), people(sources), database()].into_iter().flatten().collect();
    Sample { kind: "SecretsApp", name: "f-app", spec, parts }
}

/// A field that is a part of the text of a policy.
fn text(field: &'static str, part: &'static str) -> Row {
    row(field, part, json!(true), json!({"policy": OTHER}))
}

fn policies() -> Vec<Part> {
    let pods = vec![
        place("app"),
        text("kv.mount", "policy?path \"apps-kv/data/"),
        text("kv.prefix", "policy?/data/teams/f/*\""),
    ];
    let jobs = vec![
        text("ops.extraPaths[].path", "policy?path \"apps-kv/data/shared/*\""),
        text("ops.extraPaths[].verbs", "policy?shared/*\" {\n  capabilities = [\"read\"]\n"),
        text("ops.terraformCompat", "policy?path \"sys/mounts/auth/*\""),
    ];
    vec![
        Part::at("sys/policies/acl/f-shop", json!({}), pods),
        Part::at("sys/policies/acl/f-shop-ops", json!({}), jobs),
    ]
}

/// Rows of a role of type `kubernetes`: the fields with its names and namespaces.
fn bound([names, namespaces]: [&'static str; 2], accounts: Value) -> Vec<Row> {
    vec![
        row(
            names,
            "/bound_service_account_names",
            accounts,
            json!({"bound_service_account_names": ["other"]}),
        ),
        row(
            namespaces,
            "/bound_service_account_namespaces",
            json!(["n"]),
            json!({"bound_service_account_namespaces": ["other"]}),
        ),
    ]
}

/// Parameters that each change of a role of type `kubernetes` needs.
fn needed(accounts: Value) -> Value {
    json!({
        "bound_service_account_names": accounts, "bound_service_account_namespaces": ["n"], "audience": "mine",
    })
}

fn logins() -> Vec<Part> {
    let accounts = json!(["a", "b"]);
    let mut pods = bound(["runtime.serviceAccounts", "runtime.namespaces"], accounts.clone());
    pods.extend([
        place("runtime.mount"),
        row("runtime.audience", "/audience", json!("mine"), json!({"audience": "other"})),
        row("runtime.tokenTTL", "/token_ttl", json!(1800), json!({"token_ttl": "1h"})),
    ]);
    let claims = json!({"bound_claims": {"repository": "example/other"}});
    let policies = json!(["default", "f-shop-ops", "apps-extra"]);
    let jobs = vec![
        place("ci.mount"),
        place("ci.role"),
        row("ops.extraPolicies", "/token_policies", policies, json!({"token_policies": ["other"]})),
        row("ci.audiences", "/bound_audiences", json!(["gitea"]), json!({"bound_audiences": ["other"]})),
        row("ci.userClaim", "/user_claim", json!("sub"), json!({"user_claim": "email"})),
        row("ci.boundClaims", "/bound_claims", json!({"repository": ["example/f"]}), claims),
        row("ci.tokenTTL", "/token_ttl", json!(1200), json!({"token_ttl": "1h"})),
    ];
    vec![
        Part::at("auth/pods/role/f-shop", needed(accounts), pods),
        Part::at("auth/jwt/role/f-deploy", json!({"role_type": "jwt"}), jobs),
    ]
}

fn people(sources: &Sources) -> Vec<Part> {
    let rows = vec![row(
        "identityGroup.memberEntities",
        "/member_entity_ids",
        json!([sources.alice]),
        json!({"member_entity_ids": []}),
    )];
    vec![Part::at("identity/group/name/f-shop-ops", json!({}), rows)]
}

fn database() -> Vec<Part> {
    let role = vec![
        fixed("database.connectionRef.name", "/db_name", json!("f-pg")),
        row("database.defaultTTL", "/default_ttl", json!(3600), json!({"default_ttl": 60})),
        row("database.maxTTL", "/max_ttl", json!(86_400), json!({"max_ttl": 90_000})),
    ];
    let statement = "SELECT pg_catalog.has_database_privilege('fields_app', 'postgres', 'CONNECT')";
    let check = vec![
        fixed("database.ownerRole", "/username", json!("fields_app")),
        fixed("database.database", "/rotation_statements", json!([statement])),
    ];
    vec![
        Part::at("database/roles/f-shop", json!({"db_name": "f-pg"}), role),
        Part::at("database/static-roles/f-shop.owner", json!({"db_name": "f-pg"}), check),
    ]
}

/// The fields that exclude others.
fn pairs() -> Sample {
    let spec = json!({
        "kv": {"mount": "apps-kv"}, "identityGroup": {"enabled": false},
        "runtime": {"audience": "mine", "bindings": [{"serviceAccount": "a", "namespace": "n"}]},
        "database": {
            "connectionRef": {"name": "f-connection"}, "database": "postgres", "ownerRole": "fields_app",
            "creationStatements": ["SELECT 1;"], "revocationStatements": ["SELECT 2;"],
        },
    });
    let pods = bound(["runtime.bindings[].serviceAccount", "runtime.bindings[].namespace"], json!(["a"]));
    let role = vec![
        row(
            "database.creationStatements",
            "/creation_statements",
            json!(["SELECT 1;"]),
            json!({"creation_statements": ["x"]}),
        ),
        row(
            "database.revocationStatements",
            "/revocation_statements",
            json!(["SELECT 2;"]),
            json!({"revocation_statements": ["x"]}),
        ),
    ];
    let parts = vec![
        Part::at("auth/kubernetes/role/f-pairs", needed(json!(["a"])), pods),
        Part::at("database/roles/f-pairs", json!({"db_name": "f-pg"}), role),
        Part::at("identity/group/name/f-pairs-ops", json!({}), vec![absent("identityGroup.enabled")]),
    ];
    Sample { kind: "SecretsApp", name: "f-pairs", spec, parts }
}

/// An application without credentials of its database, with a reader.
fn plain() -> Sample {
    let spec = json!({
        "kv": {"mount": "apps-kv"}, "runtime": {"audience": "mine"},
        "database": {
            "enabled": false, "connectionRef": {"name": "f-connection"}, "database": "postgres", "ownerRole": "fields_app",
        },
        "readers": [{"name": "f_reader", "serviceAccount": "r", "namespace": "n", "prefix": "sub"}],
    });
    let policy =
        vec![place("readers[].name"), text("readers[].prefix", "policy?path \"apps-kv/data/f-plain/sub/*\"")];
    let login = bound(["readers[].serviceAccount", "readers[].namespace"], json!(["r"]));
    let parts = vec![
        Part::at("sys/policies/acl/f_reader", json!({}), policy),
        Part::at("auth/kubernetes/role/f_reader", needed(json!(["r"])), login),
        Part::at("database/roles/f-plain", json!({}), vec![absent("database.enabled")]),
    ];
    Sample { kind: "SecretsApp", name: "f-plain", spec, parts }
}

/// An application whose CI jobs may create its roles.
fn of_repository() -> Sample {
    let spec = json!({
        "rolesOwner": "Repository", "kv": {"mount": "apps-kv"}, "runtime": {"audience": "mine"},
        "ci": {"mount": "jwt", "audiences": ["gitea"], "boundClaims": {"repository": ["example/r"]}},
    });
    let rows = vec![text("rolesOwner", "policy?path \"auth/kubernetes/role/f-repository\"")];
    let parts = vec![
        Part::at("sys/policies/acl/f-repository-ops", json!({}), rows),
        Part::at("auth/kubernetes/role/f-repository", json!({}), vec![absent("rolesOwner")]),
    ];
    Sample { kind: "SecretsApp", name: "f-repository", spec, parts }
}
