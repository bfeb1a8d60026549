//! What all general kinds have in common, for the kinds without a test of their own of it, and in an OpenBao namespace that is an
//! object, too.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_testing::ground::apply;

use crate::general::{Scene, Subject, check};

/// OpenBao namespace of the objects. It is the one of a BaoNamespace with this name.
const TEAM: &str = "team";
/// Secret with the user of a database.
const LOGIN: &str = "postgres";

/// The objects in the namespace, except for the authority. Their specs do not contain the namespace. `entity` is the ID of the
/// entity `alice`.
fn inside(entity: &str) -> Vec<Subject<'static>> {
    vec![method(), login(), group(entity), key(), role(), connection(), credentials()]
}

fn namespace() -> Subject<'static> {
    let path = "sys/namespaces/unit";
    Subject {
        kind: "BaoNamespace",
        name: "unit",
        spec: json!({"customMetadata": {"team": "one"}, "deletionPolicy": "Delete"}),
        path,
        by_hand: vec![(path, json!({"custom_metadata": {"team": "one"}}))],
        drift: vec![(path, json!({"custom_metadata": {"team": "two"}}))],
    }
}

/// OpenBao has quotas in the root namespace only.
fn quota() -> Subject<'static> {
    let path = "sys/quotas/rate-limit/unit";
    Subject {
        kind: "BaoRateLimitQuota",
        name: "unit",
        spec: json!({"rate": 5000, "path": "auth/kubernetes"}),
        path,
        by_hand: vec![(path, json!({"rate": 5000, "path": "auth/kubernetes"}))],
        drift: vec![(path, json!({"rate": 6000, "path": "auth/kubernetes"}))],
    }
}

fn method() -> Subject<'static> {
    let path = "team/sys/auth/unit";
    let config = json!({"default_lease_ttl": "1h", "max_lease_ttl": "2h"});
    Subject {
        kind: "AuthMethod",
        name: "unit",
        spec: json!({"type": "approle", "tune": {"defaultLeaseTTL": "1h", "maxLeaseTTL": "2h"}}),
        path,
        by_hand: vec![(path, json!({"type": "approle", "config": config}))],
        drift: vec![("team/sys/auth/unit/tune", json!({"max_lease_ttl": "5h"}))],
    }
}

/// A role of the auth mount `approle`.
fn login() -> Subject<'static> {
    let path = "team/auth/approle/role/unit";
    let body = json!({
        "bind_secret_id": true, "secret_id_bound_cidrs": ["127.0.0.0/8"], "token_policies": ["web"], "token_ttl": 1800,
    });
    Subject {
        kind: "BaoAuthRole",
        name: "unit",
        spec: json!({
            "mount": "approle", "appRole": {"bindSecretID": true, "secretIDBoundCIDRs": ["127.0.0.0/8"]},
            "tokenPolicies": ["web"], "tokenTTL": "30m",
        }),
        path,
        by_hand: vec![(path, body)],
        drift: vec![(path, json!({"token_policies": ["web", "more"]}))],
    }
}

fn group(entity: &str) -> Subject<'static> {
    let path = "team/identity/group/name/unit";
    Subject {
        kind: "IdentityGroup",
        name: "unit",
        spec: json!({"policies": ["web"], "metadata": {"team": "web"}, "memberEntities": ["alice"]}),
        path,
        by_hand: vec![(
            path,
            json!({
                "type": "internal", "policies": ["web"], "metadata": {"team": "web"}, "member_entity_ids": [entity],
            }),
        )],
        drift: vec![(path, json!({"policies": ["web", "more"]})), (path, json!({"member_entity_ids": []}))],
    }
}

fn key() -> Subject<'static> {
    let (path, config) = ("team/transit/keys/unit", "team/transit/keys/unit/config");
    Subject {
        kind: "TransitKey",
        name: "unit",
        spec: json!({"mount": "transit", "deletionAllowed": true, "deletionPolicy": "Delete"}),
        path,
        by_hand: vec![(path, json!({})), (config, json!({"deletion_allowed": true}))],
        drift: vec![(config, json!({"auto_rotate_period": "48h"}))],
    }
}

fn role() -> Subject<'static> {
    let path = "team/pki/roles/unit";
    let body = |domain: &str| json!({"allowed_domains": [domain], "allow_subdomains": true});
    Subject {
        kind: "PKIRole",
        name: "unit",
        spec: json!({"mount": "pki", "allowedDomains": ["example.com"], "allowSubdomains": true}),
        path,
        by_hand: vec![(path, body("example.com"))],
        drift: vec![(path, body("example.org"))],
    }
}

/// A connection to a server that does not exist.
fn connection() -> Subject<'static> {
    let path = "team/database/config/unit";
    let (plugin, url) =
        ("postgresql-database-plugin", "postgresql://{{username}}:{{password}}@127.0.0.1:1/postgres");
    let body = json!({
        "plugin_name": plugin, "connection_url": url, "username": "postgres", "password": "trusted",
        "verify_connection": false, "allowed_roles": ["*"], "max_open_connections": 5,
    });
    Subject {
        kind: "DatabaseConnection",
        name: "unit",
        spec: json!({
            "mount": "database", "plugin": plugin, "connectionURL": url, "rootSecretRef": {"name": LOGIN}, "verify": false,
            "allowedRoles": ["*"], "maxOpenConnections": 5, "deletionPolicy": "Delete",
        }),
        path,
        by_hand: vec![(path, body)],
        drift: vec![(path, json!({"verify_connection": false, "max_open_connections": 9}))],
    }
}

/// A role of the connection `shared`, which determines its namespace.
fn credentials() -> Subject<'static> {
    let path = "team/database/roles/unit";
    let body =
        |ttl: &str| json!({"db_name": "shared", "creation_statements": ["SELECT 1;"], "default_ttl": ttl});
    Subject {
        kind: "DatabaseRole",
        name: "unit",
        spec: json!({
            "connectionRef": {"name": "shared"}, "creationStatements": ["SELECT 1;"], "defaultTTL": "1h",
        }),
        path,
        by_hand: vec![(path, body("1h"))],
        drift: vec![(path, body("2h"))],
    }
}

/// A spec in the OpenBao namespace.
fn placed(kind: &str, mut spec: Value) -> Value {
    if kind != "DatabaseRole" {
        spec["namespace"] = json!(TEAM);
    }
    spec
}

/// Creates the namespace and what the objects in it refer to. Returns the ID of the entity `alice`.
async fn prepare(scene: &Scene) -> Result<String> {
    scene.apply("BaoNamespace", TEAM, json!({"deletionPolicy": "Delete"})).await?;
    scene.ready("BaoNamespace", TEAM, "True/Applied").await?;
    for engine in ["transit", "pki", "database"] {
        scene.post(&format!("{TEAM}/sys/mounts/{engine}"), json!({"type": engine})).await?;
    }
    scene.post(&format!("{TEAM}/sys/auth/approle"), json!({"type": "approle"})).await?;
    let login = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": LOGIN, "namespace": scene.case.namespace},
        "stringData": {"username": "postgres", "password": "trusted"},
    });
    apply(&scene.case.client, login).await?;
    let port = scene.case.ground.postgres.port;
    let mut shared = connection().spec;
    shared["connectionURL"] = json!(format!(
        "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable"
    ));
    shared["verify"] = json!(true);
    scene.apply("DatabaseConnection", "shared", placed("DatabaseConnection", shared)).await?;
    scene.ready("DatabaseConnection", "shared", "True/Applied").await?;
    let entity = scene.post(&format!("{TEAM}/identity/entity/name/alice"), json!({})).await?;
    entity.pointer("/data/id").and_then(Value::as_str).map(str::to_owned).context("no ID")
}

#[tokio::test]
async fn every_kind_is_repaired_observed_suspended_adopted_and_deleted_in_any_namespace() -> Result<()> {
    let scene = Scene::new("general-kinds").await?;
    for subject in [namespace(), quota()] {
        check(&scene, &subject).await.context(subject.kind)?;
    }
    let entity = prepare(&scene).await?;
    for mut subject in inside(&entity) {
        subject.spec = placed(subject.kind, subject.spec);
        check(&scene, &subject).await.context(subject.kind)?;
    }
    authorities(&scene).await?;
    nothing_is_left(&scene).await
}

/// A root and an intermediate of two mounts, whose role issues a certificate. A change by hand is repaired.
async fn authorities(scene: &Scene) -> Result<()> {
    scene.post(&format!("{TEAM}/sys/mounts/pki-int"), json!({"type": "pki"})).await?;
    let root = json!({
        "mount": "pki", "root": {"commonName": "Team Root", "ttl": "48h"}, "crl": {"expiry": "24h"}, "deletionPolicy": "Delete",
    });
    let intermediate = json!({
        "mount": "pki-int", "intermediate": {"commonName": "Team CA", "parentRef": {"name": "root"}, "ttl": "24h"},
        "deletionPolicy": "Delete",
    });
    let role = json!({"mount": "pki-int", "issuerRef": "int", "allowedDomains": ["example.com"], "allowSubdomains": true});
    let objects = [("PKIIssuer", "root", root), ("PKIIssuer", "int", intermediate), ("PKIRole", "web", role)];
    for (kind, name, spec) in objects.clone() {
        scene.apply(kind, name, placed(kind, spec)).await?;
    }
    for (kind, name, _) in &objects {
        scene.ready(kind, name, "True/Applied").await?;
    }
    let (lists, expiry) = (format!("{TEAM}/pki/config/crl"), json!({"expiry": "12h"}));
    let right = scene.state(&lists).await?.context("no configuration")?;
    let writes = scene.writes()?;
    scene.post(&lists, expiry).await?;
    let is_effective = scene.state(&lists).await?.as_ref() != Some(&right) || scene.writes()? > writes;
    ensure!(is_effective, "the request changes nothing");
    scene.nudge("PKIIssuer", "root").await?;
    scene.becomes(&lists, Some(&right)).await?;
    let request = json!({"common_name": "web.example.com", "ttl": "1h"});
    let issued = scene.post(&format!("{TEAM}/pki-int/issue/web"), request).await?;
    let chain = issued.pointer("/data/ca_chain").and_then(Value::as_array).map(Vec::len);
    ensure!(chain == Some(2), "not the certificates of two authorities: {chain:?}");
    for (kind, name, _) in objects.iter().rev() {
        scene.delete(kind, name).await?;
    }
    // The mount of the intermediate keeps the certificate of the root, which came with the chain.
    for path in ["pki/issuers", "pki/keys", "pki-int/keys", "pki-int/roles"] {
        let left = names(scene, path).await?;
        ensure!(left.is_empty(), "{path} has {left:?}");
    }
    Ok(())
}

/// Names or IDs of a list.
async fn names(scene: &Scene, path: &str) -> Result<Vec<Value>> {
    let list = Method::from_bytes(b"LIST")?;
    match scene.admin.request_any(list, &format!("{TEAM}/{path}"), None).await {
        Ok(answer) => Ok(answer["data"]["keys"].as_array().cloned().unwrap_or_default()),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The namespace can be deleted after all objects in it.
async fn nothing_is_left(scene: &Scene) -> Result<()> {
    scene.delete("DatabaseConnection", "shared").await?;
    scene.becomes("team/database/config/shared", None).await?;
    scene.delete("BaoNamespace", TEAM).await?;
    scene.becomes("sys/namespaces/team", None).await
}
