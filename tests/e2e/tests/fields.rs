//! Every field of every general kind: it is in the table of samples with its value in OpenBao, which is read back, changed by
//! hand and repaired, or it is listed with the test that shows its behavior.

mod elsewhere;
mod samples;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_testing::ground::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::general::Scene;
use elsewhere::ELSEWHERE;
pub use samples::KEY;
use samples::{Change, Part, Sample, samples};

/// The kinds of the table.
const KINDS: [&str; 13] = [
    "BaoPolicy",
    "SecretEngine",
    "AuthMethod",
    "BaoAuthRole",
    "IdentityGroup",
    "BaoNamespace",
    "TransitKey",
    "BaoRateLimitQuota",
    "PKIIssuer",
    "PKIRole",
    "DatabaseConnection",
    "DatabaseRole",
    "SecretsApp",
];

/// The fields of a spec, as `tune.maxLeaseTTL` or `rules[].path`.
fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let items = &schema["items"];
    let (inner, path) = if items["properties"].is_object() {
        (items, format!("{path}[]"))
    } else {
        (schema, path.to_owned())
    };
    let Some(properties) = inner["properties"].as_object() else {
        found.insert(path);
        return;
    };
    for (name, schema) in properties {
        let separator = if path.is_empty() { "" } else { "." };
        fields(schema, &format!("{path}{separator}{name}"), found);
    }
}

fn declared(kind: &str) -> BTreeSet<String> {
    let definition = steamer_api::definitions().into_iter().find(|it| it.spec.names.kind == kind);
    let definition = serde_json::to_value(definition).unwrap_or_default();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = BTreeSet::new();
    fields(schema, "", &mut found);
    found
}

/// Returns true if a spec sets a field.
fn sets(spec: &Value, field: &str) -> bool {
    match field.split_once('.') {
        _ if field.is_empty() => true,
        Some((first, rest)) => match first.strip_suffix("[]") {
            Some(list) => spec[list].as_array().is_some_and(|items| items.iter().any(|it| sets(it, rest))),
            None => sets(&spec[first], rest),
        },
        None => !spec[field].is_null(),
    }
}

#[test]
fn every_field_of_every_general_kind_has_a_row_or_a_test_of_its_own() {
    let samples = samples(5432, "CA");
    let mut problems = Vec::new();
    for kind in KINDS {
        let declared = declared(kind);
        assert!(declared.len() > 5, "{kind} has no schema");
        let rows: BTreeSet<&str> =
            samples.iter().filter(|it| it.kind == kind).flat_map(Sample::fields).collect();
        let listed: BTreeSet<&str> = ELSEWHERE
            .iter()
            .filter(|(of, _, _)| *of == kind || *of == "*")
            .flat_map(|(_, fields, _)| fields.iter().copied())
            .collect();
        for field in &declared {
            if !rows.contains(&**field) && !listed.contains(&**field) {
                problems.push(format!("{kind}: {field} has neither a row nor a test of its own"));
            }
        }
        problems.extend(
            rows.iter().filter(|it| !declared.contains(**it)).map(|it| format!("{kind}: no field {it}")),
        );
    }
    for sample in &samples {
        let unset = sample.fields().into_iter().filter(|field| !sets(&sample.spec, field));
        problems.extend(unset.map(|field| format!("{} {} does not set {field}", sample.kind, sample.name)));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_field_is_removed_wherever_it_is() {
    assert_eq!(without("ttl"), json!({"spec": {"ttl": null}}));
    assert_eq!(without("tune.listingVisibility"), json!({"spec": {"tune": {"listingVisibility": null}}}));
}

#[test]
fn every_test_of_a_field_exists_and_contains_its_name() -> Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut problems = Vec::new();
    for (kind, fields, test) in ELSEWHERE {
        let (file, name) = test.split_once(' ').context("no test")?;
        let text = std::fs::read_to_string(root.join(file)).with_context(|| format!("{kind}: {file}"))?;
        if !text.contains(&format!("fn {name}(")) {
            problems.push(format!("{kind}: {file} has no function {name}"));
        }
        let missing = fields.iter().filter(|field| !names(&text, field));
        problems.extend(missing.map(|field| format!("{kind}: {file} does not contain {field}")));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// Returns true if a text contains each part of the path of a field as a word.
fn names(text: &str, field: &str) -> bool {
    let is_inside = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words: BTreeSet<&str> = text.split(|character: char| !is_inside(character)).collect();
    field.split('.').all(|part| words.contains(part.trim_end_matches("[]")))
}

#[test]
fn a_field_is_named_by_words() {
    let text = r#"json!({"intermediate": {"parentRef": {"name": "root"}}, "namespaces": []})"#;
    for (field, expected) in [
        ("intermediate.parentRef.name", true),
        ("intermediate.parentRef.namespace", false),
        ("namespaces[]", true),
        ("parent", false),
    ] {
        assert_eq!(names(text, field), expected, "{field}");
    }
}

/// Compares values in the forms in which OpenBao returns them.
pub fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().all(|it| found.iter().any(|other| same(it, other)))
        }
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|other| same(value, other)))
        }
        (Value::Number(expected), Value::Number(found)) => expected.as_f64() == found.as_f64(),
        (Value::String(expected), Value::String(found)) => expected.trim() == found.trim(),
        (expected, found) => expected == found,
    }
}

/// The data at a path, without the time of a rotation.
async fn read(scene: &Scene, path: &str) -> Result<Value> {
    let mut state = scene.state(path).await?.unwrap_or_default();
    if let Some(fields) = state.as_object_mut() {
        fields.remove("last_vault_rotation");
    }
    Ok(state)
}

/// The value of a row. The text of a policy is read as JSON, or searched.
fn value(state: &Value, pointer: &str) -> Value {
    let text = state["policy"].as_str().unwrap_or_default();
    if let Some(part) = pointer.strip_prefix("policy?") {
        return json!(text.contains(part));
    }
    match pointer.strip_prefix("policy#") {
        Some(inner) => {
            let policy: Value = serde_json::from_str(text).unwrap_or_default();
            policy.pointer(inner).cloned().unwrap_or_default()
        }
        None => state.pointer(pointer).cloned().unwrap_or_default(),
    }
}

async fn check(scene: &Scene, sample: &Sample) -> Result<usize> {
    let Sample { kind, name, spec, parts, .. } = sample;
    if *kind == "DatabaseRole" {
        scene.case.object(kind, name, spec.clone()).await?;
    } else {
        scene.apply(kind, name, spec.clone()).await?;
    }
    scene.ready(kind, name, "True/Applied").await?;
    let mut changes = 0;
    for part in parts {
        let right = read(scene, part.read).await?;
        for row in &part.rows {
            let found = value(&right, row.pointer);
            ensure!(
                same(&row.value, &found),
                "{}: {} is {found} instead of {}",
                part.read,
                row.pointer,
                row.value
            );
            if let Change::Body(change) = &row.change {
                repaired(scene, sample, (part, &right, change)).await.with_context(|| row.field)?;
                changes += 1;
            }
        }
    }
    removed(scene, sample).await?;
    Ok(changes)
}

/// The patch that removes a field, such as `tune.listingVisibility`, from a spec.
fn without(field: &str) -> Value {
    let spec = field.rsplit('.').fold(Value::Null, |inner, name| json!({name: inner}));
    json!({"spec": spec})
}

/// Returns true for a value that OpenBao can return as null, or not at all.
fn is_none(value: &Value) -> bool {
    [json!(null), json!(""), json!([])].contains(value)
}

/// Removes fields that give access from the spec, one after the other, and waits until OpenBao has their defaults.
async fn removed(scene: &Scene, sample: &Sample) -> Result<()> {
    for part in &sample.parts {
        for row in &part.rows {
            let Some(default) = &row.default else { continue };
            scene.change(sample.kind, sample.name, without(row.field)).await?;
            eventually(&format!("{} is {default} after {} is removed", row.pointer, row.field), || async {
                let state = read(scene, part.read).await.map_err(|error| format!("{error:#}"))?;
                let found = value(&state, row.pointer);
                let is_default = same(default, &found) || (is_none(default) && is_none(&found));
                if is_default { Ok(()) } else { Err(found.to_string()) }
            })
            .await?;
        }
    }
    scene.ready(sample.kind, sample.name, "True/Applied").await.map(drop)
}

/// Changes a value by hand, and waits until it is repaired.
async fn repaired(
    scene: &Scene,
    sample: &Sample,
    (part, right, change): (&Part, &Value, &Value),
) -> Result<()> {
    let none = Map::new();
    let mut body = part.needed.clone();
    for (name, value) in change.as_object().unwrap_or(&none) {
        body[name] = value.clone();
    }
    let writes = scene.writes()?;
    let method = Method::from_bytes(part.method.as_bytes())?;
    scene
        .admin
        .request_any(method, part.write, Some(body.clone()))
        .await
        .with_context(|| body.to_string())?;
    // A pass of the operator can repair the change before it is read.
    let is_effective = read(scene, part.read).await? != *right || scene.writes()? > writes;
    ensure!(is_effective, "{body} changes nothing");
    scene.nudge(sample.kind, sample.name).await?;
    eventually(&format!("{body} is repaired"), || async {
        let found = read(scene, part.read).await.map_err(|error| format!("{error:#}"))?;
        if found == *right { Ok(()) } else { Err(format!("{found} instead of {right}")) }
    })
    .await
}

async fn prepare(scene: &Scene) -> Result<()> {
    for engine in ["transit", "pki", "database"] {
        scene.post(&format!("sys/mounts/{engine}"), json!({"type": engine})).await?;
    }
    for method in ["jwt", "approle", "cert"] {
        scene.post(&format!("sys/auth/{method}"), json!({"type": method})).await?;
    }
    for entity in ["alice", "bob"] {
        scene.post(&format!("identity/entity/name/{entity}"), json!({})).await?;
    }
    scene.post("identity/group/name/members", json!({})).await?;
    let passwords = "length = 24\nrule \"charset\" { charset = \"abcdefghijklmnopqrstuvwxyz\" }";
    scene.post("sys/policies/password/letters", json!({"policy": passwords})).await?;
    mount_kv(&scene.admin, "apps-kv").await?;
    let further = json!({"policy": "path \"apps-kv/data/further\" { capabilities = [\"read\"] }"});
    scene.post("sys/policies/acl/apps-extra", further).await?;
    let postgres = &scene.case.ground.postgres;
    postgres.run(
        "postgres",
        "CREATE ROLE fields_batch LOGIN; CREATE ROLE fields_app; CREATE ROLE fields_owner",
    )?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values", "namespace": scene.case.namespace},
        "stringData": {
            "username": "postgres", "password": "trusted", "token": "first.token.here", "secret": "client-secret",
            "ca.crt": scene.case.ground.plane.ca,
        },
    });
    apply(&scene.case.client, secret).await.map(drop)
}

#[tokio::test]
async fn every_field_is_applied_read_back_and_repaired() -> Result<()> {
    let scene = Scene::new("fields").await?;
    prepare(&scene).await?;
    let ground = &scene.case.ground;
    let samples = samples(ground.postgres.port, &ground.plane.ca);
    let checked = try_join_all(samples.iter().map(|sample| async {
        check(&scene, sample).await.with_context(|| format!("{} {}", sample.kind, sample.name))
    }));
    let changes: usize = checked.await?.into_iter().sum();
    println!("{changes} changes by hand of {} objects were repaired", samples.len());
    ensure!(changes > 120, "only {changes} changes");
    // Roles and applications are deleted before their connection.
    for sample in samples.iter().rev() {
        scene.delete(sample.kind, sample.name).await?;
    }
    Ok(())
}
