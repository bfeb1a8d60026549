use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use reqwest::Method;
use serde_json::json;
use steamer_api::BaoStaticSecret;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::fixture::Case;

#[tokio::test]
async fn a_value_is_synced_to_a_secret_and_the_secret_follows_changes() -> Result<()> {
    let case = Case::new("static-basic").await?;
    engine(&case, "static-basic").await?;
    case.admin()?.write_kv2("static-basic", "app", &json!({"password": "one", "port": 5432})).await?;
    case.object("BaoAuth", "default", auth("static-basic")).await?;
    let spec = json!({
        "mount": "static-basic", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let secrets = case.api::<Secret>();
    let secret = secrets.get("app").await?;
    let data = secret.data.unwrap_or_default();
    assert_eq!(data["password"].0, b"one");
    assert_eq!(data["port"].0, b"5432");
    case.admin()?.write_kv2("static-basic", "app", &json!({"password": "two"})).await?;
    eventually("the Secret follows the new value", || async {
        let data = secrets.get("app").await.map_err(|error| error.to_string())?.data.unwrap_or_default();
        if data["password"].0 == b"two" && data.len() == 1 {
            Ok(())
        } else {
            Err(format!("{:?}", data.keys()))
        }
    })
    .await
}

/// Mounts a KV v2 engine, and creates a role with which every ServiceAccount of the test's namespace can read it.
pub async fn engine(case: &Case, mount: &str) -> Result<()> {
    mount_kv(&case.admin()?, mount).await?;
    case.role(mount, json!({format!("{mount}/*"): {"capabilities": ["read"]}}), "10m").await
}

/// Returns the spec of a BaoAuth with that role.
pub fn auth(role: &str) -> serde_json::Value {
    json!({
        "clusterRef": {"name": "main"}, "method": "Kubernetes",
        "kubernetes": {"role": role, "serviceAccount": "default", "audiences": ["openbao"]},
    })
}

/// Returns the spec of a BaoStaticSecret of engine `mount` with `changes` applied.
fn spec(mount: &str, name: &str, changes: serde_json::Value) -> serde_json::Value {
    let mut spec = json!({
        "mount": mount, "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": name, "create": true},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

async fn value_of(case: &Case, name: &str) -> Result<std::collections::BTreeMap<String, String>> {
    let data = case.api::<Secret>().get(name).await?.data.unwrap_or_default();
    Ok(data.into_iter().map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect())
}

#[tokio::test]
async fn a_pinned_version_is_kept_and_kv_v1_values_are_synced() -> Result<()> {
    let case = Case::new("static-kinds").await?;
    engine(&case, "static-kinds").await?;
    let admin = case.admin()?;
    for value in ["one", "two"] {
        admin.write_kv2("static-kinds", "app", &json!({"v": value})).await?;
    }
    admin
        .request_any(
            Method::POST,
            "sys/mounts/static-kinds-v1",
            Some(json!({"type": "kv", "options": {"version": "1"}})),
        )
        .await?;
    let policy = json!({"path": {"static-kinds*": {"capabilities": ["read"]}}}).to_string();
    admin.request_any(Method::POST, "sys/policies/acl/static-kinds", Some(json!({"policy": policy}))).await?;
    admin.write_kv1("static-kinds-v1", "a b/ü", &json!({"v": "old", "n": {"x": [1, null]}})).await?;
    case.object("BaoAuth", "default", auth("static-kinds")).await?;
    case.object("BaoStaticSecret", "pinned", spec("static-kinds", "pinned", json!({"version": 1}))).await?;
    case.object("BaoStaticSecret", "newest", spec("static-kinds", "newest", json!({"version": 0}))).await?;
    let v1 = json!({"mount": "static-kinds-v1", "path": "a b/ü", "type": "kv-v1"});
    case.object("BaoStaticSecret", "v1", spec("", "v1", v1)).await?;
    for name in ["pinned", "newest", "v1"] {
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    }
    assert_eq!(value_of(&case, "pinned").await?["v"], "one");
    assert_eq!(value_of(&case, "newest").await?["v"], "two");
    assert_eq!(value_of(&case, "v1").await?["n"], r#"{"x":[1,null]}"#);
    // A missing version is reported, and synced once it is written.
    case.object("BaoStaticSecret", "future", spec("static-kinds", "future", json!({"version": 3}))).await?;
    case.ready::<BaoStaticSecret>("future", "False/SourceMissing").await?;
    admin.write_kv2("static-kinds", "app", &json!({"v": "three"})).await?;
    case.ready::<BaoStaticSecret>("future", "True/Applied").await?;
    assert_eq!(value_of(&case, "pinned").await?["v"], "one");
    Ok(())
}

#[tokio::test]
async fn a_renamed_destination_is_pruned_and_a_changed_type_recreates_it() -> Result<()> {
    let case = Case::new("static-rename").await?;
    engine(&case, "static-rename").await?;
    case.admin()?.write_kv2("static-rename", "app", &json!({"v": "1"})).await?;
    case.object("BaoAuth", "default", auth("static-rename")).await?;
    case.object("BaoStaticSecret", "app", spec("static-rename", "first", json!({}))).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    case.object("BaoStaticSecret", "app", spec("static-rename", "second", json!({}))).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    assert_eq!(value_of(&case, "second").await?["v"], "1");
    crate::openbao_outage::gone(&case.api::<Secret>(), "first").await?;
    let destination = json!({"destination": {"name": "second", "create": true, "type": "example.com/t", "labels": {"a": "b"}}});
    case.object("BaoStaticSecret", "app", spec("static-rename", "second", destination)).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let secret = case.api::<Secret>().get("second").await?;
    assert_eq!(secret.type_.as_deref(), Some("example.com/t"));
    assert_eq!(secret.metadata.labels.unwrap_or_default()["a"], "b");
    // A type that the value does not fit changes nothing.
    let uid = case.api::<Secret>().get("second").await?.metadata.uid;
    let destination = json!({"destination": {"name": "second", "create": true, "type": "kubernetes.io/tls"}});
    case.object("BaoStaticSecret", "app", spec("static-rename", "second", destination)).await?;
    let refused = serde_json::to_string(&case.ready::<BaoStaticSecret>("app", "False/Invalid").await?)?;
    assert!(
        refused.contains("keeps type example.com/t and its data") && !refused.contains("ApiError"),
        "{refused}"
    );
    assert_eq!(case.api::<Secret>().get("second").await?.metadata.uid, uid);
    // A label that was removed from the spec is removed from the Secret.
    let destination = json!({"destination": {"name": "second", "create": true, "type": "example.com/t"}});
    case.object("BaoStaticSecret", "app", spec("static-rename", "second", destination)).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    assert!(!case.api::<Secret>().get("second").await?.metadata.labels.unwrap_or_default().contains_key("a"));
    Ok(())
}

#[tokio::test]
async fn a_foreign_secret_is_overwritten_only_with_overwrite_and_merged_into_without_create() -> Result<()> {
    let case = Case::new("static-foreign").await?;
    engine(&case, "static-foreign").await?;
    case.admin()?.write_kv2("static-foreign", "app", &json!({"v": "1"})).await?;
    case.object("BaoAuth", "default", auth("static-foreign")).await?;
    let theirs = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "static-foreign", "labels": {"whose": "theirs"}},
            "data": {"own": "eA=="},
        })
    };
    let secrets = case.api::<Secret>();
    for name in ["kept", "taken", "shared"] {
        steamer_testing::ground::apply(&case.client, theirs(name)).await?;
    }
    let before = secrets.get("kept").await?;
    case.object("BaoStaticSecret", "kept", spec("static-foreign", "kept", json!({}))).await?;
    case.ready::<BaoStaticSecret>("kept", "False/Conflict").await?;
    assert_eq!(secrets.get("kept").await?, before, "no field was changed");

    let overwrite = json!({"destination": {"name": "taken", "create": true, "overwrite": true}});
    case.object("BaoStaticSecret", "taken", spec("static-foreign", "taken", overwrite)).await?;
    case.ready::<BaoStaticSecret>("taken", "True/Applied").await?;
    assert_eq!(value_of(&case, "taken").await?, [("v".to_owned(), "1".to_owned())].into());
    assert_eq!(secrets.get("taken").await?.metadata.labels.unwrap_or_default()["whose"], "theirs");

    let shared = json!({"destination": {"name": "shared"}});
    case.object("BaoStaticSecret", "shared", spec("static-foreign", "shared", shared)).await?;
    case.ready::<BaoStaticSecret>("shared", "True/Applied").await?;
    let both = [("own".to_owned(), "x".to_owned()), ("v".to_owned(), "1".to_owned())];
    assert_eq!(value_of(&case, "shared").await?, both.into());
    case.admin()?.write_kv2("static-foreign", "app", &json!({"w": "2"})).await?;
    eventually("the new key is added and the old one removed", || async {
        let seen = value_of(&case, "shared").await.map_err(|error| error.to_string())?;
        let wanted = [("own".to_owned(), "x".to_owned()), ("w".to_owned(), "2".to_owned())];
        if seen == wanted.into() { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;

    let absent = json!({"destination": {"name": "absent"}});
    case.object("BaoStaticSecret", "absent", spec("static-foreign", "absent", absent)).await?;
    case.ready::<BaoStaticSecret>("absent", "False/Waiting").await?;
    steamer_testing::ground::apply(&case.client, theirs("absent")).await?;
    case.ready::<BaoStaticSecret>("absent", "True/Applied").await.map(drop)
}

#[tokio::test]
async fn several_paths_become_one_secret() -> Result<()> {
    let case = Case::new("static-sources").await?;
    engine(&case, "static-sources").await?;
    let admin = case.admin()?;
    admin.write_kv2("static-sources", "db", &json!({"user": "app", "password": "p"})).await?;
    admin.write_kv2("static-sources", "api", &json!({"user": "x", "token": "t"})).await?;
    case.object("BaoAuth", "default", auth("static-sources")).await?;
    let source = |path: &str, changes: serde_json::Value| {
        let mut source = json!({"mount": "static-sources", "path": path, "type": "kv-v2"});
        for (key, value) in changes.as_object().into_iter().flatten() {
            source[key] = value.clone();
        }
        source
    };
    let spec = |name: &str, sources: serde_json::Value| {
        let template =
            json!({"templates": {"line": {"text": "{{ .Secrets.DB_user }}:{{ .Secrets.TOKEN }}"}}});
        let destination = json!({"name": name, "create": true, "transformation": template});
        json!({"sources": sources, "refreshAfter": "1s", "destination": destination})
    };
    let token = json!({"keys": [{"key": "token", "name": "TOKEN"}]});
    let sources = json!([source("db", json!({"prefix": "DB_"})), source("api", token)]);
    case.object("BaoStaticSecret", "app", spec("app", sources)).await?;
    let contains = async |token: &str| {
        let line = format!("app:{token}");
        let wanted = [("DB_password", "p"), ("DB_user", "app"), ("TOKEN", token), ("line", &line)];
        let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
        eventually("the Secret contains the keys of both paths", || async {
            let seen = value_of(&case, "app").await.map_err(|error| error.to_string())?;
            if seen == wanted.clone().into() { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await
    };
    contains("t").await?;
    admin.write_kv2("static-sources", "api", &json!({"token": "t2"})).await?;
    contains("t2").await?;

    // Without a prefix both paths have the key `user`, and an absent path keeps the Secret.
    admin.write_kv2("static-sources", "api", &json!({"user": "x", "token": "t2"})).await?;
    let both = json!([source("db", json!({})), source("api", json!({}))]);
    case.object("BaoStaticSecret", "both", spec("both", both)).await?;
    let refused = case.ready::<BaoStaticSecret>("both", "False/Invalid").await?;
    assert!(serde_json::to_string(&refused)?.contains("sources 1 and 2 have a key of the same name"));
    admin.delete_kv2("static-sources", "api").await?;
    let missing = serde_json::to_string(&case.ready::<BaoStaticSecret>("app", "False/SourceMissing").await?)?;
    assert!(missing.contains("static-sources/api"), "{missing}");
    contains("t2").await
}

#[tokio::test]
async fn two_objects_never_share_a_secret_and_the_waiting_one_takes_over() -> Result<()> {
    let case = Case::new("static-rivals").await?;
    engine(&case, "static-rivals").await?;
    case.object("BaoAuth", "default", auth("static-rivals")).await?;
    for end in ["a", "b"] {
        case.admin()?.write_kv2("static-rivals", end, &json!({end: "1"})).await?;
    }
    let secrets = case.api::<Secret>();
    let overwriting = json!({"name": "taken", "create": true, "overwrite": true});
    for (secret, destination) in [("merged", json!({"name": "merged"})), ("taken", overwriting)] {
        let theirs = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": "static-rivals"},
            "data": {"own": "eA=="},
        });
        steamer_testing::ground::apply(&case.client, theirs).await?;
        let names = ["a", "b"].map(|end| format!("{secret}-{}-{end}", "x".repeat(130)));
        let of = |end: &str| spec("static-rivals", secret, json!({"path": end, "destination": destination}));
        case.object("BaoStaticSecret", &names[0], of("a")).await?;
        case.ready::<BaoStaticSecret>(&names[0], "True/Applied").await?;
        case.object("BaoStaticSecret", &names[1], of("b")).await?;
        case.ready::<BaoStaticSecret>(&names[1], "False/Conflict").await?;
        let before = secrets.get(secret).await?;
        for name in &names {
            crate::drift::nudge(&case, "BaoStaticSecret", name).await?;
        }
        case.ready::<BaoStaticSecret>(&names[0], "True/Applied").await?;
        case.ready::<BaoStaticSecret>(&names[1], "False/Conflict").await?;
        assert_eq!(secrets.get(secret).await?.metadata.resource_version, before.metadata.resource_version);
        case.api::<BaoStaticSecret>().delete(&names[0], &DeleteParams::default()).await?;
        case.ready::<BaoStaticSecret>(&names[1], "True/Applied").await?;
        let keys: Vec<String> = value_of(&case, secret).await?.into_keys().collect();
        assert_eq!(keys, if secret == "merged" { vec!["b", "own"] } else { vec!["b"] });
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_value_keeps_clears_or_deletes_the_secret_according_to_on_source_deleted() -> Result<()> {
    let case = Case::new("static-deleted").await?;
    engine(&case, "static-deleted").await?;
    case.admin()?.write_kv2("static-deleted", "app", &json!({"v": "1"})).await?;
    case.object("BaoAuth", "default", auth("static-deleted")).await?;
    for (name, policy) in [("retain", "Retain"), ("clear", "Clear"), ("delete", "Delete")] {
        let changes = json!({"onSourceDeleted": policy});
        case.object("BaoStaticSecret", name, spec("static-deleted", name, changes)).await?;
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    }
    case.admin()?.request_any(Method::DELETE, "static-deleted/data/app", None).await?;
    for name in ["retain", "clear", "delete"] {
        case.ready::<BaoStaticSecret>(name, "False/SourceMissing").await?;
    }
    assert_eq!(value_of(&case, "retain").await?["v"], "1");
    assert!(value_of(&case, "clear").await?.is_empty());
    crate::openbao_outage::gone(&case.api::<Secret>(), "delete").await?;
    case.admin()?.write_kv2("static-deleted", "app", &json!({"v": "2"})).await?;
    for name in ["retain", "clear", "delete"] {
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
        assert_eq!(value_of(&case, name).await?["v"], "2");
    }
    Ok(())
}

#[tokio::test]
async fn keys_in_a_foreign_secret_follow_a_rename_and_on_source_deleted() -> Result<()> {
    let case = Case::new("static-keys").await?;
    engine(&case, "static-keys").await?;
    case.admin()?.write_kv2("static-keys", "app", &json!({"v": "1"})).await?;
    case.object("BaoAuth", "default", auth("static-keys")).await?;
    let policies = [("retain", "Retain"), ("clear", "Clear"), ("delete", "Delete")];
    let keys = async |secret: &str| {
        Ok::<_, anyhow::Error>(value_of(&case, secret).await?.into_keys().collect::<Vec<_>>())
    };
    for (name, policy) in policies {
        for secret in [name.to_owned(), format!("{name}-renamed")] {
            let theirs = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": "static-keys"},
                "data": {"own": "eA=="},
            });
            steamer_testing::ground::apply(&case.client, theirs).await?;
            let changes = json!({"onSourceDeleted": policy, "destination": {"name": secret}});
            case.object("BaoStaticSecret", name, spec("static-keys", name, changes)).await?;
            case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
            assert_eq!(keys(&secret).await?, ["own", "v"]);
        }
        // The keys of the former destination are removed, and so is the mark.
        let former = case.api::<Secret>().get(name).await?;
        assert!(
            !former.metadata.annotations.unwrap_or_default().contains_key("steamer.dev/keys-of"),
            "{name}"
        );
        assert_eq!(keys(name).await?, ["own"]);
    }
    case.admin()?.request_any(Method::DELETE, "static-keys/data/app", None).await?;
    for (name, _) in policies {
        case.ready::<BaoStaticSecret>(name, "False/SourceMissing").await?;
        let expected: &[&str] = if name == "retain" { &["own", "v"] } else { &["own"] };
        assert_eq!(keys(&format!("{name}-renamed")).await?, expected, "{name}");
    }
    case.admin()?.write_kv2("static-keys", "app", &json!({"w": "2"})).await?;
    for (name, _) in policies {
        case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
        assert_eq!(keys(&format!("{name}-renamed")).await?, ["own", "w"], "{name}");
    }

    // No field manager owns keys that were applied as stringData: they are neither taken nor removed.
    for (name, data, expected) in [
        ("taken", json!({"own": "x", "w": "theirs"}), "False/Conflict"),
        ("beside", json!({"own": "x"}), "True/Applied"),
    ] {
        let theirs = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "static-keys"},
            "stringData": data,
        });
        steamer_testing::ground::apply(&case.client, theirs).await?;
        let changes = json!({"destination": {"name": name}});
        case.object("BaoStaticSecret", name, spec("static-keys", name, changes)).await?;
        case.ready::<BaoStaticSecret>(name, expected).await?;
        let objects = case.api::<BaoStaticSecret>();
        objects.delete(name, &kube::api::DeleteParams::default()).await?;
        crate::openbao_outage::gone(&objects, name).await?;
    }
    assert_eq!(keys("taken").await?, ["own", "w"]);
    assert_eq!(value_of(&case, "taken").await?["w"], "theirs");
    assert_eq!(keys("beside").await?, ["own"]);
    Ok(())
}

#[tokio::test]
async fn a_recreated_owner_waits_for_the_object_that_follows_it() -> Result<()> {
    let case = Case::new("static-former").await?;
    engine(&case, "static-former").await?;
    for path in ["owner", "merger"] {
        case.admin()?.write_kv2("static-former", path, &json!({path: "1"})).await?;
    }
    case.object("BaoAuth", "default", auth("static-former")).await?;
    let destination = json!({"name": "shared", "create": true, "deletionPolicy": "Retain"});
    let owner = spec("static-former", "shared", json!({"path": "owner", "destination": destination}));
    case.object("BaoStaticSecret", "owner", owner.clone()).await?;
    case.ready::<BaoStaticSecret>("owner", "True/Applied").await?;
    case.api::<BaoStaticSecret>().delete("owner", &DeleteParams::default()).await?;
    crate::openbao_outage::gone(&case.api::<BaoStaticSecret>(), "owner").await?;
    let merger = json!({"path": "merger", "destination": {"name": "shared"}});
    case.object("BaoStaticSecret", "merger", spec("static-former", "shared", merger)).await?;
    case.ready::<BaoStaticSecret>("merger", "True/Applied").await?;
    case.object("BaoStaticSecret", "owner", owner).await?;
    case.ready::<BaoStaticSecret>("owner", "False/Conflict").await?;
    // The status of before says True as well, so a new value shows that the object was reconciled again.
    case.admin()?.write_kv2("static-former", "merger", &json!({"merger": "2"})).await?;
    crate::drift::nudge(&case, "BaoStaticSecret", "merger").await?;
    eventually("the new value is in the Secret", || async {
        let seen = value_of(&case, "shared").await.map_err(|error| error.to_string())?;
        if seen.get("merger").is_some_and(|value| value == "2") { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    case.ready::<BaoStaticSecret>("merger", "True/Applied").await?;
    assert_eq!(value_of(&case, "shared").await?.into_keys().collect::<Vec<_>>(), ["merger", "owner"]);
    case.api::<BaoStaticSecret>().delete("merger", &DeleteParams::default()).await?;
    case.ready::<BaoStaticSecret>("owner", "True/Applied").await?;
    assert_eq!(value_of(&case, "shared").await?.into_keys().collect::<Vec<_>>(), ["owner"]);
    Ok(())
}

#[tokio::test]
async fn a_mount_that_is_gone_or_of_another_type_removes_nothing() -> Result<()> {
    let case = Case::new("static-mounts").await?;
    engine(&case, "static-mounts").await?;
    case.admin()?.write_kv2("static-mounts", "app", &json!({"v": "1"})).await?;
    case.object("BaoAuth", "default", auth("static-mounts")).await?;
    for kind in ["kv-v1", "kv-v2"] {
        let changes = json!({"type": kind, "onSourceDeleted": "Delete"});
        case.object("BaoStaticSecret", kind, spec("static-mounts", kind, changes)).await?;
    }
    case.ready::<BaoStaticSecret>("kv-v1", "False/MountChanged").await?;
    case.ready::<BaoStaticSecret>("kv-v2", "True/Applied").await?;
    let admin = case.admin()?;
    let mount = async |version: &str| {
        admin.request_any(Method::DELETE, "sys/mounts/static-mounts", None).await?;
        let body = json!({"type": "kv", "options": {"version": version}});
        admin.request_any(Method::POST, "sys/mounts/static-mounts", Some(body)).await
    };
    admin.request_any(Method::DELETE, "sys/mounts/static-mounts", None).await?;
    case.ready::<BaoStaticSecret>("kv-v2", "False/MountChanged").await?;
    mount("1").await?;
    crate::drift::nudge(&case, "BaoStaticSecret", "kv-v2").await?;
    case.ready::<BaoStaticSecret>("kv-v2", "False/MountChanged").await?;
    assert_eq!(value_of(&case, "kv-v2").await?["v"], "1");
    Ok(())
}

#[tokio::test]
async fn an_error_about_an_invalid_value_does_not_contain_the_value() -> Result<()> {
    let case = Case::new("static-invalid").await?;
    engine(&case, "static-invalid").await?;
    case.object("BaoAuth", "default", auth("static-invalid")).await?;
    let admin = case.admin()?;
    admin.write_kv2("static-invalid", "key", &json!({"a b": "canary-4711"})).await?;
    admin.write_kv2("static-invalid", "big", &json!({"v": "canary-4711".repeat(110_000)})).await?;
    for (name, sentence) in [("key", "rename it in OpenBao"), ("big", "a Secret takes 1048576 at most")] {
        case.object("BaoStaticSecret", name, spec("static-invalid", name, json!({"path": name}))).await?;
        let object = case.ready::<BaoStaticSecret>(name, "False/Invalid").await?;
        let text = serde_json::to_string(&object)?;
        assert!(text.contains(sentence) && !text.contains("canary"), "{text}");
    }
    Ok(())
}
