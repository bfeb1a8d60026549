//! Every field of every general kind: it is in the table of samples with its value in OpenBao, which is read back, changed by
//! hand and repaired, or it is listed with the test that shows its behavior.

mod certificate;
mod citations;
mod elsewhere;
mod samples;
mod table;
mod values;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_testing::audit;
use steamer_testing::ground::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::general::{Scene, is_of_operator};
pub use samples::KEY;
use samples::{Change, Part, Row, Sample, Sources, samples};
pub use values::same;
use values::value;

/// The data at a path, without the time of a rotation.
async fn read(scene: &Scene, path: &str) -> Result<Value> {
    let mut state = scene.state(path).await?.unwrap_or_default();
    if let Some(fields) = state.as_object_mut() {
        fields.remove("last_vault_rotation");
    }
    Ok(state)
}

/// Compares a row with the data at the path of its part.
fn compare(scene: &Scene, (part, right): (&Part, &Value), row: &Row) -> Result<()> {
    let path = part.read;
    match row.change {
        Change::Place => ensure!(right.is_object(), "{path} does not exist"),
        Change::Sent => {
            ensure!(is_sent(scene, path, row)?, "no request to {path} has {} at {}", row.value, row.pointer);
        }
        Change::Body(_) | Change::Fixed | Change::Issued => {
            let found = value(right, row.pointer);
            let Row { pointer, value, .. } = row;
            ensure!(same(value, &found), "{path}: {pointer} is {found} instead of {value}");
        }
    }
    Ok(())
}

/// Returns true if the audit log has a request of the operator to the path with the value.
fn is_sent(scene: &Scene, path: &str, row: &Row) -> Result<bool> {
    let entries = audit::entries(&scene.openbao.audit, &format!("\"path\":\"{path}\""))?;
    let has_value = |request: &Value| {
        request["path"] == *path
            && request["data"].pointer(row.pointer).is_some_and(|it| same(&row.value, it))
    };
    Ok(entries.iter().any(|entry| is_of_operator(entry) && has_value(&entry["request"])))
}

async fn check(scene: &Scene, sample: &Sample) -> Result<usize> {
    let Sample { kind, name, spec, parts, .. } = sample;
    scene.apply(kind, name, spec.clone()).await?;
    scene.ready(kind, name, "True/Applied").await?;
    let mut changes = 0;
    for part in parts {
        let right = read(scene, part.read).await?;
        for row in &part.rows {
            compare(scene, (part, &right), row).with_context(|| row.field)?;
            if let Change::Body(change) = &row.change {
                repaired(scene, sample, (part, &right, change)).await.with_context(|| row.field)?;
                changes += 1;
            }
        }
    }
    removed(scene, sample).await?;
    Ok(changes)
}

#[test]
fn a_field_is_removed_wherever_it_is() {
    assert_eq!(without("ttl"), json!({"spec": {"ttl": null}}));
    assert_eq!(without("tune.listingVisibility"), json!({"spec": {"tune": {"listingVisibility": null}}}));
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

/// Number of writes that the operator has requested of a resource with that state. The operator writes those of other samples at the
/// same time, and an issuer at the path with its ID. A repair can be read before OpenBao has logged its end.
fn writes(scene: &Scene, (part, right): (&Part, &Value)) -> Result<usize> {
    let folder = part.read.rsplit_once('/').map(|(folder, _)| folder);
    let by_id = folder.zip(right["issuer_id"].as_str()).map(|(folder, id)| format!("{folder}/{id}"));
    let begun = scene.begun()?;
    let paths = begun.iter().filter_map(|write| write.split_once(' ')).map(|(_, path)| path);
    let is_counted = |path: &&str| [part.write, part.read].contains(path) || by_id.as_deref() == Some(*path);
    Ok(paths.filter(is_counted).count())
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
    let before = writes(scene, (part, right))?;
    let method = Method::from_bytes(part.method.as_bytes())?;
    scene
        .admin
        .request_any(method, part.write, Some(body.clone()))
        .await
        .with_context(|| body.to_string())?;
    // A pass of the operator can repair the change before it is read.
    let is_effective = read(scene, part.read).await? != *right || writes(scene, (part, right))? > before;
    ensure!(is_effective, "{body} changes nothing");
    scene.nudge(sample.kind, sample.name).await?;
    eventually(&format!("{body} is repaired"), || async {
        let found = read(scene, part.read).await.map_err(|error| format!("{error:#}"))?;
        if found == *right { Ok(()) } else { Err(format!("{found} instead of {right}")) }
    })
    .await
}

/// A text of an answer of OpenBao.
fn text(answer: &Value, name: &str) -> Result<String> {
    let found = answer["data"][name].as_str().with_context(|| format!("no {name} in {answer}"))?;
    Ok(found.to_owned())
}

/// Creates what the samples need in OpenBao.
async fn mounts(scene: &Scene) -> Result<()> {
    for engine in ["pki", "database"] {
        scene.post(&format!("sys/mounts/{engine}"), json!({"type": engine})).await?;
    }
    for method in ["jwt", "approle", "cert"] {
        scene.post(&format!("sys/auth/{method}"), json!({"type": method})).await?;
    }
    scene.post("sys/auth/pods", json!({"type": "kubernetes"})).await?;
    // The audit log has these parameters in plain text.
    let plain = |name: &str| json!({"audit_non_hmac_request_keys": [name]});
    scene.post("sys/mounts/ciphers", json!({"type": "transit", "config": plain("context")})).await?;
    scene.post("sys/auth/userpass", json!({"type": "userpass", "config": plain("password")})).await?;
    for path in ["ciphers/keys/f-rotated", "ciphers/keys/f-rotated/rotate", "ciphers/keys/f-rotated/rotate"] {
        scene.post(path, json!({})).await?;
    }
    scene.post("sys/namespaces/f-space", json!({})).await?;
    let passwords = "length = 24\nrule \"charset\" { charset = \"abcdefghijklmnopqrstuvwxyz\" }";
    scene.post("sys/policies/password/letters", json!({"policy": passwords})).await?;
    mount_kv(&scene.admin, "apps-kv").await?;
    let further = json!({"policy": "path \"apps-kv/data/further\" { capabilities = [\"read\"] }"});
    scene.post("sys/policies/acl/apps-extra", further).await.map(drop)
}

/// Creates an entity or a group, and returns its ID.
async fn identity(scene: &Scene, path: &str) -> Result<String> {
    text(&scene.post(&format!("identity/{path}"), json!({})).await?, "id")
}

async fn prepare(scene: &Scene) -> Result<Sources> {
    mounts(scene).await?;
    let client = json!({"common_name": "client", "key_type": "ec"});
    let client = scene.post("pki/root/generate/exported", client).await?;
    let (certificate, key) = (text(&client, "certificate")?, text(&client, "private_key")?);
    let ground = &scene.case.ground;
    ground.postgres.run(
        "postgres",
        "CREATE ROLE fields_batch LOGIN; CREATE ROLE fields_app; CREATE ROLE fields_owner",
    )?;
    let secret = |name: &str, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": scene.case.namespace},
            "stringData": data,
        })
    };
    let values = json!({
        "username": "postgres", "password": "trusted", "token": "first.token.here", "secret": "client-secret",
        "url": "https://values.example.com/v1/pki", "authority.pem": ground.plane.ca,
    });
    apply(&scene.case.client, secret("values", values)).await?;
    let pair = json!({"tls.crt": certificate, "tls.key": key});
    apply(&scene.case.client, secret("pair", pair)).await?;
    Ok(Sources {
        postgres: ground.postgres.port,
        ca: ground.plane.ca.clone(),
        pair: format!("{certificate}\n{key}"),
        alice: identity(scene, "entity/name/alice").await?,
        bob: identity(scene, "entity/name/bob").await?,
        members: identity(scene, "group/name/members").await?,
    })
}

#[tokio::test]
async fn every_field_is_applied_read_back_and_repaired() -> Result<()> {
    let scene = Scene::new("fields").await?;
    let samples = samples(&prepare(&scene).await?);
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
