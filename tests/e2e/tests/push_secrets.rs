//! Secrets and generated values are written to OpenBao with the identity of their object.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoPushSecret, BaoStaticSecret};
use steamer_openbao::{Kv, KvMetadata};
use steamer_testing::ground::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::proxy::{Asked, Traffic};
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_of};
use crate::observed::{changes, planned, written};
use crate::openbao_outage::gone;
use crate::rig::Rig;
use crate::static_secrets::auth;

/// Rules that the page about the kind states for entries of a mount.
fn minimal(mount: &str) -> Value {
    json!({
        format!("{mount}/data/*"): {"capabilities": ["create", "read", "update"]},
        format!("{mount}/metadata/*"): {"capabilities": ["create", "read", "update", "delete"]},
    })
}

/// Mounts an engine, and creates a role with these rules and a BaoAuth for it.
async fn engine(case: &Case, mount: &str, rules: Value) -> Result<()> {
    mount_kv(&case.admin()?, mount).await?;
    case.role(mount, rules, "10m").await?;
    case.object("BaoAuth", "default", auth(mount)).await.map(drop)
}

async fn permit(case: &Case, policy: &str, rules: Value) -> Result<()> {
    let body = json!({"policy": json!({"path": rules}).to_string()});
    case.admin()?.request_any(Method::POST, &format!("sys/policies/acl/{policy}"), Some(body)).await?;
    Ok(())
}

async fn secret(case: &Case, name: &str, data: Value) -> Result<()> {
    let metadata = json!({"name": name, "namespace": case.namespace});
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    apply(&case.client, object).await.map(drop)
}

/// Returns the spec of an object that writes all keys of Secret `app` to a path of a mount, with `changes` applied.
fn spec(mount: &str, path: &str, changes: Value) -> Value {
    let mut spec = json!({
        "secretRef": {"name": "app"}, "data": [{"mount": mount, "path": path, "type": "kv-v2"}], "refreshAfter": "1s",
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Returns an item with a generator.
fn generated(mount: &str, path: &str, property: &str, generator: &str) -> Value {
    let mut item =
        json!({"mount": mount, "path": path, "type": "kv-v2", "property": property, "generate": {}});
    item["generate"][generator] = json!({});
    item
}

async fn value(case: &Case, mount: &str, path: &str, version: Option<i64>) -> Result<Value> {
    use secrecy::ExposeSecret;
    match case.admin()?.read_kv2(mount, path, version).await? {
        Kv::Value { values, .. } => {
            let text = |value: &steamer_openbao::Json| json!(value.text().expose_secret());
            Ok(values.0.iter().map(|(key, value)| (key.clone(), text(value))).collect())
        }
        other => anyhow::bail!("{path}: {other:?}"),
    }
}

async fn contains(case: &Case, mount: &str, path: &str, expected: Value) -> Result<()> {
    eventually(&format!("{path} contains {expected}"), || async {
        let seen = value(case, mount, path, None).await.map_err(|error| error.to_string())?;
        if seen == expected { Ok(()) } else { Err(seen.to_string()) }
    })
    .await
}

async fn metadata(case: &Case, mount: &str, path: &str) -> Result<KvMetadata> {
    case.admin()?.kv_metadata(mount, path).await?.with_context(|| format!("{path} does not exist"))
}

async fn nudge(case: &Case, name: &str, text: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/reconcile": text}}}));
    case.api::<BaoPushSecret>().patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Pushes a password that OpenBao generates by a password policy. The policy of the login must permit the generation.
async fn fits_the_password_policy(case: &Case, mount: &str) -> Result<()> {
    let rule = |charset: &str, least: u8| {
        format!("rule \"charset\" {{\n  charset = \"{charset}\"\n  min-chars = {least}\n}}\n")
    };
    let body = Some(json!({"policy": format!("length = 24\n{}{}", rule("abc", 2), rule("+=", 3))}));
    case.admin()?.request_any(Method::POST, "sys/policies/password/push-pin", body).await?;
    let mut item = generated(mount, "pin", "pin", "passwordPolicy");
    item["generate"]["passwordPolicy"]["name"] = json!("push-pin");
    case.object("BaoPushSecret", "pin", json!({"data": [item], "refreshAfter": "1s"})).await?;
    let line = r#"path "sys/policies/password/push-pin/generate" { capabilities = ["read"] }"#;
    case.says::<BaoPushSecret>("pin", "False/PermissionDenied", line).await?;
    let mut rules = minimal(mount);
    rules["sys/policies/password/push-pin/generate"] = json!({"capabilities": ["read"]});
    permit(case, mount, rules).await?;
    nudge(case, "pin", "permitted").await?;
    case.ready::<BaoPushSecret>("pin", "True/Applied").await?;
    let pushed = value(case, mount, "pin", None).await?;
    let pin = pushed["pin"].as_str().context("no pin")?;
    let count = |charset: &str| pin.chars().filter(|character| charset.contains(*character)).count();
    let counts = (pin.len(), count("abc"), count("+="));
    ensure!(counts.0 == 24 && counts.1 + counts.2 == 24, "the password has other characters: {counts:?}");
    ensure!(counts.1 >= 2 && counts.2 >= 3, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn entries_follow_their_secret_and_entries_of_others_stay_unchanged() -> Result<()> {
    let (case, mount) = (Case::new("push").await?, "push");
    engine(&case, mount, json!({"push/data/*": {"capabilities": ["create", "read", "update"]}})).await?;
    let admin = case.admin()?;
    secret(&case, "app", json!({"user": "app", "password": "one"})).await?;

    // The message contains the lines that the policy needs.
    case.object("BaoPushSecret", "app", spec(mount, "app", json!({"deletionPolicy": "Delete"}))).await?;
    let denied = case.ready::<BaoPushSecret>("app", "False/PermissionDenied").await?;
    let message = ready_of(&serde_json::to_value(&denied)?);
    let line = r#"path "push/metadata/app" { capabilities = ["create", "read", "update", "delete"] }"#;
    ensure!(message.contains(line), "{message}");
    permit(&case, mount, minimal(mount)).await?;
    nudge(&case, "app", "permitted").await?;
    case.ready::<BaoPushSecret>("app", "True/Applied").await?;
    contains(&case, mount, "app", json!({"user": "app", "password": "one"})).await?;
    let owner = metadata(&case, mount, "app").await?.custom_metadata["owner"].clone();
    ensure!(owner.ends_with("/BaoPushSecret/push/app"), "{owner}");

    // The Secret changes, and another client changes the entry.
    secret(&case, "app", json!({"password": "two"})).await?;
    contains(&case, mount, "app", json!({"user": "app", "password": "two"})).await?;
    admin.write_kv2(mount, "app", &json!({"password": "edited", "more": "x"})).await?;
    contains(&case, mount, "app", json!({"user": "app", "password": "two"})).await?;
    admin.delete_kv2(mount, "app").await?;
    contains(&case, mount, "app", json!({"user": "app", "password": "two"})).await?;

    // Entries of others: without an owner, of another object, and kept by the update policy.
    for path in ["foreign", "adopted", "kept"] {
        admin.write_kv2(mount, path, &json!({"theirs": "x"})).await?;
    }
    let foreign = metadata(&case, mount, "foreign").await?;
    for (name, path, changes, ready) in [
        ("foreign", "foreign", json!({}), "False/Conflict"),
        ("second", "app", json!({"adopt": "IfUnowned"}), "False/Conflict"),
        ("adopted", "adopted", json!({"adopt": "IfUnowned"}), "True/Applied"),
        ("kept", "kept", json!({"updatePolicy": "IfNotExists"}), "True/Applied"),
        ("plan", "planned", json!({"mode": "Observe"}), "True/Drifted"),
    ] {
        case.object("BaoPushSecret", name, spec(mount, path, changes)).await?;
        case.ready::<BaoPushSecret>(name, ready).await?;
    }
    assert_eq!(metadata(&case, mount, "foreign").await?, foreign);
    assert_eq!(value(&case, mount, "foreign", None).await?, json!({"theirs": "x"}));
    assert_eq!(value(&case, mount, "kept", None).await?, json!({"theirs": "x"}));
    contains(&case, mount, "adopted", json!({"user": "app", "password": "two"})).await?;
    let plan = case.ready::<BaoPushSecret>("plan", "True/Drifted").await?;
    let plan = plan.status.context("no status")?.lifecycle.plan;
    assert_eq!((plan.len(), plan[0].path.as_str()), (1, "push/data/planned"));
    assert_eq!(admin.kv_metadata(mount, "planned").await?, None);

    // Templates, and keys that are chosen and renamed by expressions.
    let rewrite = json!([{"source": "^app_", "target": ""}, {"template": "{{ .value | upper }}"}]);
    let changes = json!({
        "transformation": {"templates": {"app_url": {"text": "https://{{ .Secrets.user }}:{{ .Secrets.password }}@x"}}},
        "data": [{"mount": mount, "path": "rendered", "type": "kv-v2", "match": "^app_", "rewrite": rewrite}],
    });
    case.object("BaoPushSecret", "rendered", spec(mount, "rendered", changes)).await?;
    contains(&case, mount, "rendered", json!({"URL": "https://app:two@x"})).await?;

    // A Secret that Steamer writes does not return to OpenBao.
    let destination = json!({"name": "delivered", "create": true});
    let delivered = json!({"mount": mount, "path": "kept", "type": "kv-v2", "destination": destination});
    case.object("BaoStaticSecret", "delivered", delivered).await?;
    case.ready::<BaoStaticSecret>("delivered", "True/Applied").await?;
    let circle = spec(mount, "circle", json!({"secretRef": {"name": "delivered"}}));
    case.object("BaoPushSecret", "circle", circle).await?;
    let refused = case.ready::<BaoPushSecret>("circle", "False/Conflict").await?;
    let message = ready_of(&serde_json::to_value(&refused)?);
    ensure!(message.contains("is written by BaoStaticSecret push/delivered"), "{message}");

    fits_the_password_policy(&case, mount).await?;

    // kv-v1 records no owner.
    let v1 = json!({"type": "kv", "options": {"version": "1"}});
    admin.request_any(Method::POST, "sys/mounts/push-v1", Some(v1)).await?;
    let mut rules = minimal(mount);
    rules["push-v1/*"] = json!({"capabilities": ["create", "read", "update", "delete"]});
    permit(&case, mount, rules).await?;
    admin.write_kv1("push-v1", "theirs", &json!({"theirs": "x"})).await?;
    for (path, ready) in [("own", "True/Applied"), ("theirs", "False/Conflict")] {
        let data =
            json!([{"mount": "push-v1", "path": path, "type": "kv-v1", "key": "password", "property": "p"}]);
        let changes = json!({"data": data, "deletionPolicy": "Delete"});
        case.object("BaoPushSecret", &format!("v1-{path}"), spec(mount, path, changes)).await?;
        case.ready::<BaoPushSecret>(&format!("v1-{path}"), ready).await?;
    }

    // A deletion removes the entries of the object only. Another object takes over a path without an entry.
    let objects: Api<BaoPushSecret> = case.api();
    for name in ["v1-own", "v1-theirs", "foreign", "app"] {
        objects.delete(name, &DeleteParams::default()).await?;
        gone(&objects, name).await?;
    }
    assert!(matches!(admin.read_kv1("push-v1", "own").await?, Kv::Absent));
    assert!(matches!(admin.read_kv1("push-v1", "theirs").await?, Kv::Value { .. }));
    assert_eq!(metadata(&case, mount, "foreign").await?, foreign);
    case.ready::<BaoPushSecret>("second", "True/Applied").await?;
    let owner = metadata(&case, mount, "app").await?.custom_metadata["owner"].clone();
    ensure!(owner.ends_with("/BaoPushSecret/push/second"), "{owner}");
    Ok(())
}

/// Creates or changes a Secret with the label `push`.
async fn labelled(case: &Case, name: &str, value: &str, label: &str) -> Result<()> {
    let metadata = json!({"name": name, "namespace": case.namespace, "labels": {"push": label}});
    let data = json!({"v": value});
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data});
    apply(&case.client, object).await.map(drop)
}

/// Waits until the entries of a mount below `apps` are those with these names.
async fn has_entries(case: &Case, mount: &str, expected: &[&str]) -> Result<()> {
    eventually(&format!("the entries are {expected:?}"), || async {
        let admin = case.admin().map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        for name in ["a", "b", "c", "other", "made"] {
            let entry = admin.kv_metadata(mount, &format!("apps/{name}")).await;
            found.extend(entry.map_err(|error| error.to_string())?.map(|_| name));
        }
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

#[tokio::test]
async fn each_selected_secret_has_an_entry_of_its_own_and_a_failure_concerns_no_other() -> Result<()> {
    let (case, mount) = (Case::new("push-selector").await?, "push-selector");
    engine(&case, mount, minimal(mount)).await?;
    let admin = case.admin()?;
    for (name, label) in [("a", "yes"), ("b", "yes"), ("other", "no")] {
        labelled(&case, name, name, label).await?;
    }
    admin.write_kv2(mount, "apps/b", &json!({"theirs": "x"})).await?;

    let selecting = |label: &str, expressions: Value| {
        let selector = json!({"matchLabels": {"push": label}, "matchExpressions": expressions});
        spec(mount, "apps", json!({"secretRef": null, "selector": selector, "deletionPolicy": "Delete"}))
    };
    case.object("BaoPushSecret", "all", selecting("yes", json!([]))).await?;
    let partial = case.ready::<BaoPushSecret>("all", "False/Conflict").await?;
    let message = ready_of(&serde_json::to_value(&partial)?);
    ensure!(message.contains("1 of 2 selected Secrets are not pushed"), "{message}");
    let status = partial.status.context("no status")?;
    assert_eq!((status.selected, status.failed.len(), status.failed[0].name.as_str()), (Some(2), 1, "b"));
    ensure!(status.failed[0].message.contains("push-selector/data/apps/b"), "{:?}", status.failed);
    contains(&case, mount, "apps/a", json!({"v": "a"})).await?;
    assert_eq!(value(&case, mount, "apps/b", None).await?, json!({"theirs": "x"}));

    // The other client removes its entry. A Secret appears, and another one changes.
    admin.delete_kv2(mount, "apps/b").await?;
    contains(&case, mount, "apps/b", json!({"v": "b"})).await?;
    labelled(&case, "c", "c", "yes").await?;
    labelled(&case, "a", "two", "yes").await?;
    for (path, expected) in [("apps/a", "two"), ("apps/c", "c")] {
        contains(&case, mount, path, json!({"v": expected})).await?;
    }
    let objects: Api<BaoPushSecret> = case.api();
    eventually("three entries are recorded, and none failed", || async {
        let status = objects.get("all").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if (status.failed.len(), status.entries.len()) == (0, 3) {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await?;

    // A Secret that Steamer writes is refused, another object gets none of the paths, and a Secret without the label is released.
    let destination = json!({"name": "made", "create": true, "labels": {"push": "yes"}});
    let delivered = json!({"mount": mount, "path": "apps/a", "type": "kv-v2", "destination": destination});
    case.object("BaoStaticSecret", "made", delivered).await?;
    let refused = case.ready::<BaoPushSecret>("all", "False/Conflict").await?.status.context("no status")?;
    assert_eq!((refused.failed.len(), refused.failed[0].name.as_str()), (1, "made"));
    let own = json!([{"key": "app.kubernetes.io/managed-by", "operator": "DoesNotExist"}]);
    case.object("BaoPushSecret", "all", selecting("yes", own)).await?;
    case.ready::<BaoPushSecret>("all", "True/Applied").await?;
    case.object("BaoPushSecret", "rival", selecting("yes", json!([]))).await?;
    case.ready::<BaoPushSecret>("rival", "False/Conflict").await?;
    labelled(&case, "b", "b", "no").await?;
    has_entries(&case, mount, &["a", "c"]).await?;
    case.ready::<BaoPushSecret>("all", "True/Applied").await?;

    // A selector that matches no Secret releases nothing.
    case.object("BaoPushSecret", "all", selecting("none", json!([]))).await?;
    case.ready::<BaoPushSecret>("all", "False/ReferenceNotFound").await?;
    has_entries(&case, mount, &["a", "c"]).await?;
    assert_eq!(value(&case, mount, "apps/a", None).await?, json!({"v": "two"}));
    for name in ["rival", "all"] {
        objects.delete(name, &DeleteParams::default()).await?;
        gone(&objects, name).await?;
    }
    has_entries(&case, mount, &[]).await
}

/// Classifies the requests for entries.
fn of_entries(asked: &Asked) -> Option<String> {
    let of_entry = |part: &&str| asked.path.contains(&format!("/push-rig/{part}/"));
    ["data", "metadata"].iter().find(|part| of_entry(part)).map(|part| format!("{} {part}", asked.method))
}

#[tokio::test]
async fn a_concurrent_version_is_kept_and_generated_values_survive_a_restart() -> Result<()> {
    let mut rig = Rig::new("push-rig").await?;
    let mount = "push-rig";
    engine(&rig.case, mount, minimal(mount)).await?;
    secret(&rig.case, "app", json!({"v": "one"})).await?;
    rig.case.object("BaoPushSecret", "app", spec(mount, "app", json!({}))).await?;
    let items = json!([
        generated(mount, "ids", "password", "password"),
        generated(mount, "ids", "id", "uuid"),
        generated(mount, "ids", "key", "bytes"),
        generated(mount, "ids", "ssh", "sshKey"),
        generated(mount, "ids", "tls", "tlsKey"),
    ]);
    let values = json!({"data": items, "refreshAfter": "24h"});
    rig.case.object("BaoPushSecret", "ids", values.clone()).await?;
    rig.start().await?;
    for name in ["app", "ids"] {
        rig.case.ready::<BaoPushSecret>(name, "True/Applied").await?;
    }
    let ids = value(&rig.case, mount, "ids", None).await?;
    let keys: Vec<&String> = ids.as_object().context("no object")?.keys().collect();
    assert_eq!(keys, ["id", "key", "password", "ssh", "ssh.pub", "tls", "tls.pub"]);

    // Settled: each check reads the metadata only, and nothing is written.
    rig.openbao.forget();
    rig.kubernetes.forget();
    eventually("three checks", || async {
        let seen = rig.openbao.count(of_entries);
        if seen.get("GET metadata").is_some_and(|count| *count >= 3) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await?;
    let seen = rig.openbao.count(of_entries);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["GET metadata"], "{seen:?}");
    let of_objects = |asked: &Asked| asked.writes() && asked.path.contains("/baopushsecrets/");
    let writes = rig.kubernetes.count(|asked| of_objects(asked).then(|| asked.path.clone()));
    assert_eq!(writes, BTreeMap::new());

    // Another client writes between the read and the write.
    rig.openbao.set(Traffic::HoldsWrites);
    secret(&rig.case, "app", json!({"v": "two"})).await?;
    eventually("a write is held", || async {
        let seen = rig.openbao.count(of_entries);
        if seen.contains_key("POST data") { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    let theirs = rig.case.admin()?.write_kv2(mount, "app", &json!({"v": "theirs"})).await?;
    rig.openbao.set(Traffic::Passes);
    let events: Api<Event> = rig.case.api();
    eventually("the conflict is reported", || async {
        let list = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let reasons: Vec<_> = list.items.into_iter().filter_map(|event| event.reason).collect();
        if reasons.iter().any(|reason| reason == "Conflict") { Ok(()) } else { Err(format!("{reasons:?}")) }
    })
    .await?;
    contains(&rig.case, mount, "app", json!({"v": "two"})).await?;
    assert_eq!(metadata(&rig.case, mount, "app").await?.current_version, theirs + 1);
    assert_eq!(value(&rig.case, mount, "app", Some(theirs)).await?, json!({"v": "theirs"}));
    rig.case.ready::<BaoPushSecret>("app", "True/Applied").await?;

    // A restart generates nothing, and reads nothing before it is due. A changed spec keeps the values.
    rig.kill().await?;
    rig.openbao.forget();
    rig.start().await?;
    secret(&rig.case, "app", json!({"v": "three"})).await?;
    contains(&rig.case, mount, "app", json!({"v": "three"})).await?;
    let of_ids = |asked: &Asked| asked.path.ends_with("/ids").then(|| asked.path.clone());
    assert_eq!(rig.openbao.count(of_ids), BTreeMap::new());
    let mut longer = values;
    longer["data"][0]["generate"]["password"] = json!({"length": 64});
    longer["data"].as_array_mut().context("no items")?.push(generated(mount, "ids", "second", "uuid"));
    rig.case.object("BaoPushSecret", "ids", longer).await?;
    rig.case.ready::<BaoPushSecret>("ids", "True/Applied").await?;
    let mut after = value(&rig.case, mount, "ids", None).await?;
    let second = after.as_object_mut().and_then(|after| after.remove("second"));
    ensure!(second.is_some_and(|second| second.as_str().is_some_and(|second| second.len() == 36)));
    assert_eq!(after, ids);

    // A lost value is not replaced silently.
    rig.case.admin()?.delete_kv2(mount, "ids").await?;
    nudge(&rig.case, "ids", "lost").await?;
    rig.case.ready::<BaoPushSecret>("ids", "False/SourceMissing").await?;
    assert_eq!(rig.case.admin()?.kv_metadata(mount, "ids").await?, None);
    Ok(())
}

#[tokio::test]
async fn an_object_that_observes_lists_the_keys_of_entries_and_writes_nothing() -> Result<()> {
    let (case, mount) = (Case::new("push-observe").await?, "push-observe");
    engine(&case, mount, minimal(mount)).await?;
    secret(&case, "app", json!({"user": "app", "password": "canary"})).await?;
    let setup = changes(&case, "push-observe/data/")?;
    let apply = async |mode: &str, path: &str, key: Value, expected: &str| {
        let items = json!([{"mount": mount, "path": path, "type": "kv-v2", "key": key}]);
        let changes = json!({"mode": mode, "data": items, "deletionPolicy": "Delete"});
        case.object("BaoPushSecret", "app", spec(mount, path, changes)).await?;
        case.ready::<BaoPushSecret>("app", expected).await
    };
    let plan = |object: &BaoPushSecret| {
        object.status.as_ref().map(|status| status.lifecycle.plan.clone()).unwrap_or_default()
    };

    let first = plan(&apply("Observe", "app", Value::Null, "True/Drifted").await?);
    assert_eq!(planned(&first), ["Create push-observe/data/app"]);
    assert_eq!(first[0].reason, "the entry does not exist; creates password, user");
    assert_eq!(changes(&case, "push-observe/data/")?, setup);
    assert_eq!(written(&case, &["secrets", "baopushsecrets"])?, [""; 0]);

    let applied = apply("Enforce", "app", Value::Null, "True/Applied").await?;
    ensure!(plan(&applied).is_empty(), "{:?}", plan(&applied));
    let (entry, done) = (metadata(&case, mount, "app").await?, changes(&case, "push-observe/data/")?);
    ensure!(done.len() > setup.len(), "the entry was not written");
    apply("Observe", "app", Value::Null, "True/Observed").await?;
    let edited = plan(&apply("Observe", "app", json!("user"), "True/Drifted").await?);
    assert_eq!(planned(&edited), ["Update push-observe/data/app"]);
    assert_eq!(edited[0].reason, "the entry differs from the Secret; deletes password");

    // The former entry would be deleted.
    let moved = apply("Observe", "other", json!("user"), "True/Drifted").await?;
    let reasons: Vec<String> = plan(&moved).into_iter().map(|change| change.reason).collect();
    assert_eq!(planned(&plan(&moved)), ["Create push-observe/data/other", "Delete push-observe/data/app"]);
    let expected = [
        "the entry does not exist; creates user",
        "the spec no longer contains the entry; deletes password, user",
    ];
    assert_eq!(reasons, expected);
    ensure!(!serde_json::to_string(&moved)?.contains("canary"), "the status contains a value");
    assert_eq!((metadata(&case, mount, "app").await?, changes(&case, "push-observe/data/")?), (entry, done));
    assert_eq!(case.admin()?.kv_metadata(mount, "other").await?, None);
    Ok(())
}

/// Waits until the entry is repaired, or the object reports the conflict. Returns true for the conflict.
async fn is_left(case: &Case, mount: &str, is_repaired: impl Fn(&KvMetadata) -> bool) -> Result<bool> {
    let objects = case.api::<BaoPushSecret>();
    eventually("the entry is repaired, or the object reports the conflict", || async {
        let object = objects.get("app").await.map_err(|error| error.to_string())?;
        let state = ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?);
        if state.starts_with("False/Conflict: another client undoes each change") {
            return Ok(true);
        }
        let found = metadata(case, mount, "app").await.map_err(|error| format!("{error:#}"))?;
        if is_repaired(&found) { Ok(false) } else { Err(state) }
    })
    .await
}

/// Writes other values to the entry. Returns false when they are replaced, and true when the object reports the conflict instead.
async fn an_edit_stays(case: &Case, mount: &str) -> Result<bool> {
    let theirs = case.admin()?.write_kv2(mount, "app", &json!({"v": "theirs"})).await?;
    is_left(case, mount, |found| found.current_version > theirs).await
}

/// Removes the mark of the entry. Returns false when it is written again, and true when the object reports the conflict instead.
async fn a_mark_stays_removed(case: &Case, mount: &str) -> Result<bool> {
    let marked = metadata(case, mount, "app").await?;
    let (none, version) = (BTreeMap::new(), marked.current_metadata_version);
    case.admin()?.put_kv_metadata(mount, "app", &none, version).await?;
    is_left(case, mount, |found| found.custom_metadata == marked.custom_metadata).await
}

/// Requests a check, and waits until it sends a write of the values.
async fn a_write_is_sent(rig: &Rig, mount: &str, request: &str) -> Result<()> {
    let path = format!("{mount}/data/app");
    rig.openbao.forget();
    nudge(&rig.case, "app", request).await?;
    eventually("a write of the values", || async {
        let is_sent = !rig.writes(|asked| asked.ends_with(&path)).is_empty();
        if is_sent { Ok(()) } else { Err("no write") }
    })
    .await
}

/// Waits for three checks of the entry. None of them writes it.
async fn checks_write_nothing(rig: &Rig, mount: &str, version: i64) -> Result<()> {
    let path = format!("{mount}/metadata/app");
    rig.openbao.forget();
    eventually("three checks", || async {
        let seen = rig.openbao.seen();
        let reads = seen.iter().filter(|asked| asked.method == "GET" && asked.path.ends_with(&path)).count();
        if reads >= 3 { Ok(()) } else { Err(format!("{reads} checks")) }
    })
    .await?;
    let writes = rig.writes(|asked| asked.contains(mount));
    let found = metadata(&rig.case, mount, "app").await?.current_version;
    ensure!(writes.is_empty() && found == version, "version {found} instead of {version}: {writes:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_undoes_each_repair_of_an_entry_is_reported_and_nothing_is_written() -> Result<()> {
    let (mut rig, mount) = (Rig::new("push-contested").await?, "push-contested");
    engine(&rig.case, mount, minimal(mount)).await?;
    secret(&rig.case, "app", json!({"v": "ours"})).await?;
    rig.case.object("BaoPushSecret", "app", spec(mount, "app", json!({}))).await?;
    rig.start().await?;
    rig.case.ready::<BaoPushSecret>("app", "True/Applied").await?;
    let mut repairs = 0;
    while !an_edit_stays(&rig.case, mount).await? {
        repairs += 1;
        ensure!(repairs <= 5, "{repairs} repairs, and no conflict is reported");
    }
    ensure!(repairs == 5, "{repairs} repairs");
    let version = metadata(&rig.case, mount, "app").await?.current_version;
    checks_write_nothing(&rig, mount, version).await?;
    // The next process knows the stop from the status only.
    rig.kill().await?;
    rig.start().await?;
    checks_write_nothing(&rig, mount, version).await?;
    rig.case.object("BaoPushSecret", "app", spec(mount, "app", json!({"refreshAfter": "2s"}))).await?;
    contains(&rig.case, mount, "app", json!({"v": "ours"})).await?;
    let object = rig.case.ready::<BaoPushSecret>("app", "True/Applied").await?;
    ensure!(
        object.status.is_some_and(|status| status.lifecycle.stopped.is_empty()),
        "the stop is still listed"
    );
    Ok(())
}

#[tokio::test]
async fn refused_writes_of_an_entry_do_not_count_and_writes_of_its_mark_do() -> Result<()> {
    let (mut rig, mount) = (Rig::new("push-refused").await?, "push-refused");
    let mut rules = minimal(mount);
    rules[format!("{mount}/data/*")] = json!({"capabilities": ["read"]});
    engine(&rig.case, mount, rules).await?;
    secret(&rig.case, "app", json!({"v": "ours"})).await?;
    rig.case.object("BaoPushSecret", "app", spec(mount, "app", json!({"adopt": "IfUnowned"}))).await?;
    rig.start().await?;
    rig.case.says::<BaoPushSecret>("app", "False/PermissionDenied", mount).await?;
    for request in ["one", "two", "three", "four", "five", "six"] {
        a_write_is_sent(&rig, mount, request).await?;
    }
    permit(&rig.case, mount, minimal(mount)).await?;
    nudge(&rig.case, "app", "permitted").await?;
    contains(&rig.case, mount, "app", json!({"v": "ours"})).await?;
    rig.case.ready::<BaoPushSecret>("app", "True/Applied").await?;
    let mut repairs = 0;
    while !a_mark_stays_removed(&rig.case, mount).await? {
        repairs += 1;
        ensure!(repairs <= 5, "{repairs} repairs, and no conflict is reported");
    }
    ensure!(repairs == 5, "{repairs} repairs");
    let suspend = json!({"adopt": "IfUnowned", "suspend": true});
    rig.case.object("BaoPushSecret", "app", spec(mount, "app", suspend)).await?;
    let objects = rig.case.api::<BaoPushSecret>();
    eventually("a suspended object lists no stop", || async {
        let object = objects.get("app").await.map_err(|error| error.to_string())?;
        let stopped = object.status.map(|status| status.lifecycle.stopped).unwrap_or_default();
        if stopped.is_empty() { Ok(()) } else { Err(format!("{stopped:?}")) }
    })
    .await
}
