//! Lines of a policy that an object reports if the policy of the operator grants less than it needs.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_testing::ground::apply;
use steamer_testing::installation::install_root_scope;
use steamer_testing::openbao::mount_kv;
use steamer_testing::operator_policy::{self, PolicyScope};
use steamer_testing::wait::eventually;

use crate::fields::KEY;
use crate::fixture::ready_of;
use crate::general::Scene;

/// Policy of the operator besides `steamer`, which contains the lines that an object reports.
const LINES: &str = "sys/policies/acl/steamer-lines";
/// Text before the lines in a message.
const START: &str = "to the policy of the operator: ";
/// Secret with the user of a database.
const LOGIN: &str = "lines-postgres";

/// Kind of an object of the root namespace, its spec, how many requests its lines permit at least, and what its status then
/// contains.
type Row = (&'static str, Value, usize, &'static str);

const OWNED: &str = "/status/owned";

fn access() -> Vec<Row> {
    let policy = "path \"kv/*\" { capabilities = [\"read\"] }\n";
    let role = json!({"mount": "lines", "appRole": {"roleID": "lines"}, "tokenPolicies": ["web"]});
    let issuer = json!({"publicKeys": [KEY], "boundIssuer": "https://lines.example.com"});
    let reader = json!({"name": "lines_x", "serviceAccount": "a", "namespace": "b", "prefix": "x"});
    vec![
        ("BaoPolicy", json!({"policy": policy}), 1, OWNED),
        ("BaoAuthRole", role, 3, OWNED),
        ("AuthMethod", json!({"path": "lines-auth", "type": "jwt", "jwt": issuer}), 2, OWNED),
        ("IdentityGroup", json!({"policies": ["web"], "memberEntities": ["jane"]}), 2, OWNED),
        ("SecretsApp", json!({"readers": [reader]}), 7, OWNED),
        ("BaoNamespace", json!({"customMetadata": {"a": "b"}, "deletionPolicy": "Delete"}), 1, OWNED),
        ("BaoRateLimitQuota", json!({"rate": 5000, "path": "auth/kubernetes"}), 1, OWNED),
    ]
}

fn engines(port: u16) -> Vec<Row> {
    let mount = json!({
        "type": "kv-v2", "config": {"maxVersions": 5}, "tune": {"maxLeaseTTL": "1h"}, "deletionPolicy": "Delete",
    });
    let key = json!({"mount": "lines-transit", "deletionAllowed": true, "deletionPolicy": "Delete"});
    let intermediate = json!({"commonName": "Lines", "parentRef": {"name": "lines-root"}, "ttl": "1h"});
    let issuer = json!({
        "mount": "lines-pki", "intermediate": intermediate, "default": true, "crl": {"expiry": "48h"},
        "urls": {"issuingCertificates": ["http://lines/ca"]}, "deletionPolicy": "Delete",
    });
    let mut connection = connection(port);
    connection["rotateRoot"] = json!("Once");
    let role = json!({"connectionRef": {"name": "lines-shared"}, "creationStatements": ["SELECT 1;"], "defaultTTL": "1h"});
    vec![
        ("SecretEngine", mount, 3, OWNED),
        ("TransitKey", key, 2, "/status/latestVersion"),
        ("PKIIssuer", issuer, 9, "/status/certificate"),
        ("PKIRole", json!({"mount": "lines-pki", "allowedDomains": ["example.com"]}), 1, OWNED),
        ("DatabaseConnection", connection, 2, "/status/rootCredential/rotatedAt"),
        ("DatabaseRole", role, 1, "/status/credentialPath"),
    ]
}

fn connection(port: u16) -> Value {
    let url =
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable");
    json!({
        "mount": "lines-database", "plugin": "postgresql-database-plugin", "connectionURL": url,
        "rootSecretRef": {"name": LOGIN}, "allowedRoles": ["*"], "deletionPolicy": "Delete",
    })
}

/// An object reports all lines at once: with exactly these it becomes Ready, and can be deleted.
pub async fn the_reported_lines_are_enough(scene: &Scene) -> Result<()> {
    let scope = json!({"operatorScope": "Root", "operatorNamespaces": null});
    scene.change("OpenBaoCluster", "own", json!({"spec": scope})).await?;
    prepare(scene).await?;
    let narrow = json!({"policy": operator_policy::text(&PolicyScope::Tenants)});
    scene.post("sys/policies/acl/steamer", narrow).await?;
    let role = json!({"token_policies": ["steamer", "steamer-lines"]});
    scene.post("auth/kubernetes/role/steamer", role).await?;
    for row in access().into_iter().chain(engines(scene.case.ground.postgres.port)) {
        let kind = row.0;
        enough(scene, row).await.context(kind)?;
    }
    lines_that_do_not_fit_follow(scene).await?;
    install_root_scope(&scene.openbao).await
}

/// Creates what the objects refer to, with all rights.
async fn prepare(scene: &Scene) -> Result<()> {
    install_root_scope(&scene.openbao).await?;
    scene.post("sys/auth/lines", json!({"type": "approle"})).await?;
    scene.post("identity/entity/name/jane", json!({})).await?;
    mount_kv(&scene.admin, "kvv2").await?;
    for (mount, type_) in [
        ("lines-transit", "transit"),
        ("lines-pki", "pki"),
        ("lines-parent", "pki"),
        ("lines-database", "database"),
    ] {
        scene.post(&format!("sys/mounts/{mount}"), json!({"type": type_})).await?;
    }
    let postgres = &scene.case.ground.postgres;
    postgres.run("postgres", "CREATE ROLE lines_root LOGIN SUPERUSER")?;
    let login = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": LOGIN, "namespace": scene.case.namespace},
        "stringData": {"username": "lines_root", "password": "trusted"},
    });
    apply(&scene.case.client, login).await?;
    let root = json!({"mount": "lines-parent", "root": {"commonName": "Lines Root", "ttl": "24h"}});
    scene.apply("PKIIssuer", "lines-root", root).await?;
    scene.apply("DatabaseConnection", "lines-shared", connection(postgres.port)).await?;
    for (kind, name) in [("PKIIssuer", "lines-root"), ("DatabaseConnection", "lines-shared")] {
        scene.ready(kind, name, "True/Applied").await?;
    }
    Ok(())
}

async fn enough(scene: &Scene, (kind, spec, least, done): Row) -> Result<()> {
    scene.apply(kind, "lines", spec).await?;
    let object = scene.ready(kind, "lines", "False/PermissionDenied").await?;
    let message = ready_of(&object);
    let (_, lines) = message.split_once(START).context("no lines")?;
    ensure!(lines.lines().count() >= least, "{lines}");
    scene.post(LINES, json!({"policy": lines})).await?;
    scene.nudge(kind, "lines").await?;
    let api = scene.case.dynamic(kind)?;
    eventually("the object is complete", || async {
        let object = api.get("lines").await.map_err(|error| error.to_string())?;
        let object = serde_json::to_value(&object).map_err(|error| error.to_string())?;
        let is_done = object.pointer(done).is_some_and(|it| !it.is_null());
        let seen = ready_of(&object);
        if is_done && seen.starts_with("True/Applied") { Ok(()) } else { Err(seen) }
    })
    .await
    .with_context(|| lines.to_owned())?;
    scene.delete(kind, "lines").await.with_context(|| lines.to_owned())?;
    scene.admin.request_any(Method::DELETE, LINES, None).await?;
    Ok(())
}

/// A message that cannot contain all lines says how many follow. They do after the first ones are granted.
async fn lines_that_do_not_fit_follow(scene: &Scene) -> Result<()> {
    let (kind, name) = ("SecretsApp", "cut");
    let reader = |number: usize| json!({"name": format!("cut_reader_{number}"), "serviceAccount": "a", "namespace": "b", "prefix": "x"});
    let readers: Vec<Value> = (10..32).map(reader).collect();
    scene.apply(kind, name, json!({"identityGroup": {"enabled": false}, "readers": readers})).await?;
    let object = scene.ready(kind, name, "False/PermissionDenied").await?;
    let message = ready_of(&object);
    let (_, lines) = message.split_once(START).context("no lines")?;
    let (first, rest) = lines.rsplit_once("\n# ").context("the message contains all lines")?;
    let number: usize = rest.strip_suffix(" more lines follow").context("no number of lines")?.parse()?;
    scene.post(LINES, json!({"policy": first})).await?;
    scene.nudge(kind, name).await?;
    let api = scene.case.dynamic(kind)?;
    let second = eventually("the other lines follow", || async {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let seen = ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?);
        match seen.split_once(START) {
            Some((_, lines)) if !lines.contains("more lines follow") => Ok(lines.to_owned()),
            _ => Err(seen),
        }
    })
    .await?;
    ensure!(second.lines().count() == number, "not {number} lines: {second}");
    scene.post(LINES, json!({"policy": format!("{first}\n{second}")})).await?;
    scene.nudge(kind, name).await?;
    scene.ready(kind, name, "True/Applied").await?;
    scene.delete(kind, name).await?;
    scene.admin.request_any(Method::DELETE, LINES, None).await?;
    Ok(())
}
