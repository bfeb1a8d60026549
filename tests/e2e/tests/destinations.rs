//! Destinations that do not follow every value: immutable Secrets, policies of reads, secrets of a folder, and objects that
//! only report.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::static_secrets::{auth, engine};

fn spec(case: &Case, name: &str, changes: &Value, destination: &Value) -> Value {
    let mut spec = json!({
        "mount": case.namespace, "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": name, "create": true},
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    for (field, value) in destination.as_object().into_iter().flatten() {
        spec["destination"][field] = value.clone();
    }
    spec
}

/// Waits until the key `v` of a Secret has this value, and returns the Secret.
async fn contains(case: &Case, name: &str, expected: &str) -> Result<Secret> {
    let secrets: Api<Secret> = case.api();
    eventually(&format!("{name} contains {expected}"), || async {
        let secret = secrets.get(name).await.map_err(|error| error.to_string())?;
        let value =
            secret.data.iter().flatten().find(|(key, _)| *key == "v").map(|(_, value)| value.0.clone());
        if value.as_deref() == Some(expected.as_bytes()) { Ok(secret) } else { Err(format!("{value:?}")) }
    })
    .await
}

#[tokio::test]
async fn an_immutable_secret_is_recreated_for_a_new_value_and_policies_limit_the_reads() -> Result<()> {
    let case = Case::new("destinations").await?;
    engine(&case, "destinations").await?;
    let admin = case.admin()?;
    admin.write_kv2("destinations", "app", &json!({"v": "1"})).await?;
    case.object("BaoAuth", "default", auth("destinations")).await?;
    let apply = async |name: &str, changes: Value, destination: Value| {
        case.object("BaoStaticSecret", name, spec(&case, name, &changes, &destination)).await?;
        case.ready::<BaoStaticSecret>(name, "True/Applied").await
    };
    let (change, once) = (json!({"refreshPolicy": "OnChange"}), json!({"refreshPolicy": "CreatedOnce"}));
    apply("fixed", json!({}), json!({"immutable": true})).await?;
    apply("change", change.clone(), json!({})).await?;
    apply("once", once.clone(), json!({})).await?;
    let first = contains(&case, "fixed", "1").await?;
    ensure!(first.immutable == Some(true), "the Secret is immutable");

    // This window is open on February 31 only: no new value is delivered, and the message states it.
    let window = json!({"syncWindows": [{"kind": "Allow", "schedule": "0 0 31 2 *", "duration": "1h"}]});
    let closed = serde_json::to_string(&apply("closed", window, json!({})).await?)?;
    ensure!(closed.contains("new values wait: no sync window opens"), "{closed}");

    admin.write_kv2("destinations", "app", &json!({"v": "2"})).await?;
    let second = contains(&case, "fixed", "2").await?;
    ensure!(second.immutable == Some(true) && second.metadata.uid != first.metadata.uid, "it was recreated");
    for name in ["change", "once", "closed"] {
        contains(&case, name, "1").await?;
    }

    // A label is changed in place, and an immutable Secret becomes an ordinary one.
    apply("fixed", json!({}), json!({"immutable": true, "labels": {"a": "b"}})).await?;
    ensure!(
        contains(&case, "fixed", "2").await?.metadata.uid == second.metadata.uid,
        "a label recreates nothing"
    );
    apply("fixed", json!({}), json!({})).await?;
    ensure!(contains(&case, "fixed", "2").await?.immutable.is_none(), "it is not immutable any more");

    // A changed request and a missing Secret read the value. What is created once stays, also if it was edited.
    apply("change", json!({"refreshPolicy": "OnChange", "version": 2}), json!({})).await?;
    contains(&case, "change", "2").await?;
    let edit = Patch::Merge(json!({"stringData": {"v": "edited"}}));
    case.api::<Secret>().patch("once", &PatchParams::default(), &edit).await?;
    let other = json!({"refreshPolicy": "CreatedOnce", "version": 2});
    apply("once", other, json!({"labels": {"a": "b"}})).await?;
    let kept = contains(&case, "once", "edited").await?;
    ensure!(kept.metadata.labels.unwrap_or_default()["a"] == "b", "labels follow the spec");
    case.api::<Secret>().delete("once", &DeleteParams::default()).await?;
    contains(&case, "once", "2").await.map(drop)
}

#[tokio::test]
async fn secrets_are_found_by_path_name_and_metadata_and_their_keys_are_rewritten_and_decoded() -> Result<()>
{
    let case = Case::new("found").await?;
    engine(&case, "found").await?;
    let admin = case.admin()?;
    let values =
        [("team/db/user", "YXBw"), ("team/db/password", "//8="), ("team/web", "dw=="), ("other", "eA==")];
    for (path, value) in values {
        admin.write_kv2("found", path, &json!({"v": value})).await?;
    }
    let metadata = json!({"custom_metadata": {"tier": "db"}});
    for path in ["team/db/user", "other"] {
        admin
            .request_any(reqwest::Method::POST, &format!("found/metadata/{path}"), Some(metadata.clone()))
            .await?;
    }
    case.object("BaoAuth", "default", auth("found")).await?;
    let find = |find: Value, changes: Value| {
        let mut source = json!({"mount": "found", "type": "kv-v2", "find": find});
        for (field, value) in changes.as_object().into_iter().flatten() {
            source[field] = value.clone();
        }
        source
    };
    let create = async |name: &str, source: Value| {
        let destination = json!({"name": name, "create": true});
        let spec = json!({"sources": [source], "refreshAfter": "1s", "destination": destination});
        case.object("BaoStaticSecret", name, spec).await
    };
    let rewrite = json!({"rewrite": [{"source": "^db/(.*)$", "target": "DB_$1"}], "decode": "Base64"});
    create("named", find(json!({"path": "team", "regexp": "^db/", "key": "v"}), rewrite)).await?;
    create("tagged", find(json!({"metadata": {"tier": "db"}}), json!({"prefix": "x-"}))).await?;

    // The message of a denied list is the rule to add.
    for (name, rule) in [("named", "found/metadata/team/*"), ("tagged", "found/detailed-metadata/*")] {
        let denied = case.ready::<BaoStaticSecret>(name, "False/PermissionDenied").await?;
        let message = serde_json::to_string(&denied)?;
        ensure!(
            message.contains(&format!(r#"path \"{rule}\" {{ capabilities = [\"list\"] }}"#)),
            "{message}"
        );
    }
    let rules = json!({"path": {"found/*": {"capabilities": ["read", "list"]}}}).to_string();
    admin
        .request_any(reqwest::Method::POST, "sys/policies/acl/found", Some(json!({"policy": rules})))
        .await?;
    for name in ["named", "tagged"] {
        crate::drift::nudge(&case, "BaoStaticSecret", name).await?;
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    }
    let contents = async |name: &str| {
        let data = case.api::<Secret>().get(name).await?.data.unwrap_or_default();
        Ok::<_, anyhow::Error>(data.into_iter().map(|(key, value)| (key, value.0)).collect::<Vec<_>>())
    };
    let entry = |key: &str, value: &[u8]| (key.to_owned(), value.to_vec());
    ensure!(contents("named").await? == [entry("DB_password", b"\xff\xff"), entry("DB_user", b"app")]);
    let whole = [entry("x-other", br#"{"v":"eA=="}"#), entry("x-team_db_user", br#"{"v":"YXBw"}"#)];
    ensure!(contents("tagged").await? == whole);

    // A new secret is added, a deleted one is removed, and nothing that matches is a missing value.
    admin.write_kv2("found", "team/db/host", &json!({"v": "aA=="})).await?;
    admin.delete_kv2("found", "team/db/password").await?;
    eventually("the Secret follows the folder", || async {
        let seen = contents("named").await.map_err(|error| error.to_string())?;
        let expected = [entry("DB_host", b"h"), entry("DB_user", b"app")];
        if seen == expected {
            Ok(())
        } else {
            Err(format!("{:?}", seen.iter().map(|(key, _)| key).collect::<Vec<_>>()))
        }
    })
    .await?;
    for path in ["team/db/host", "team/db/user"] {
        admin.delete_kv2("found", path).await?;
    }
    let missing = case.ready::<BaoStaticSecret>("named", "False/SourceMissing").await?;
    ensure!(serde_json::to_string(&missing)?.contains("find in found/team"));
    ensure!(contents("named").await?.len() == 2, "the Secret is kept");

    // With one character of a key that is not Base64, the object is invalid, and its message has no value.
    admin.write_kv2("found", "team/db/user", &json!({"v": "canary!"})).await?;
    let invalid = serde_json::to_string(&case.ready::<BaoStaticSecret>("named", "False/Invalid").await?)?;
    ensure!(invalid.contains("is not a text in Base64") && !invalid.contains("canary"), "{invalid}");
    Ok(())
}

#[tokio::test]
async fn an_object_that_observes_lists_keys_and_workloads_and_writes_nothing() -> Result<()> {
    let case = Case::new("observed").await?;
    engine(&case, "observed").await?;
    let admin = case.admin()?;
    admin.write_kv2("observed", "app", &json!({"v": "canary", "w": "2"})).await?;
    case.object("BaoAuth", "default", auth("observed")).await?;
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app", "namespace": "observed"},
        "stringData": {"v": "1", "x": "1"},
    });
    steamer_testing::ground::apply(&case.client, theirs).await?;
    let secrets: Api<Secret> = case.api();
    let before = secrets.get("app").await?;
    let apply = async |mode: &str, expected: &str| {
        let targets = json!([{"kind": "Deployment", "name": "web"}]);
        let changes = json!({"mode": mode, "rolloutRestartTargets": targets});
        case.object("BaoStaticSecret", "app", spec(&case, "app", &changes, &json!({"overwrite": true})))
            .await?;
        case.ready::<BaoStaticSecret>("app", expected).await
    };
    let plan = |object: &BaoStaticSecret| {
        let plan = object.status.iter().flat_map(|status| &status.plan);
        plan.map(|change| format!("{:?} {}", change.operation, change.path)).collect::<Vec<_>>()
    };
    let drifted = apply("Observe", "True/Drifted").await?;
    let expected = [
        "Update Secret/app",
        "Update Secret/app/v",
        "Create Secret/app/w",
        "Delete Secret/app/x",
        "Update Deployment/web",
    ];
    ensure!(plan(&drifted) == expected, "{:?}", plan(&drifted));
    let text = serde_json::to_string(&drifted)?;
    ensure!(!text.contains("canary") && text.contains(r#""type":"InSync""#), "{text}");
    ensure!(secrets.get("app").await? == before, "no field was changed");

    let applied = apply("Enforce", "True/Applied").await?;
    ensure!(plan(&applied).is_empty() && !serde_json::to_string(&applied)?.contains("InSync"));
    contains(&case, "app", "canary").await?;
    apply("Observe", "True/Observed").await?;
    let before = secrets.get("app").await?;
    admin.write_kv2("observed", "app", &json!({"v": "canary", "w": "3"})).await?;
    let objects: Api<BaoStaticSecret> = case.api();
    eventually("the plan follows the value", || async {
        let plan = plan(&objects.get("app").await.map_err(|error| error.to_string())?);
        if plan == ["Update Secret/app/w", "Update Deployment/web"] {
            Ok(())
        } else {
            Err(format!("{plan:?}"))
        }
    })
    .await?;
    ensure!(secrets.get("app").await? == before, "no field was changed");
    Ok(())
}
