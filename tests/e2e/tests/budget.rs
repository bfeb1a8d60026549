//! Requests per BaoStaticSecret, counted in proxies in front of the servers, with 300 objects on 10 paths.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::BaoStaticSecret;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::fixture::ready_of;
use crate::rig::Rig;
use crate::static_secrets::{auth, engine};

const OBJECTS: usize = 300;
const PATHS: usize = 10;

/// Classifies a request to Kubernetes. Watches, leases and Events are not counted.
fn of_kubernetes(asked: &Asked) -> Option<String> {
    let quiet =
        asked.query.contains("watch=true") || asked.path.contains("lease") || asked.path.contains("/events");
    let kind = match asked.path.split('/').collect::<Vec<_>>()[..] {
        [.., "budget", "secrets"] => "secrets",
        [.., "budget", "secrets", _] => "secret",
        [.., "baostaticsecrets", _, "status"] => "status",
        [.., "serviceaccounts", _, "token"] => "token",
        _ => return (!quiet).then(|| format!("{} {}", asked.method, asked.path)),
    };
    (!quiet).then(|| format!("{} {kind}", asked.method))
}

fn of_openbao(asked: &Asked) -> Option<String> {
    let kind = match asked.path.split('/').collect::<Vec<_>>()[..] {
        [.., "data", _] => "value",
        [.., "login"] => "login",
        [.., "internal", "ui", "mounts", _] => "mount",
        _ => return None,
    };
    Some(format!("{} {kind}", asked.method))
}

/// Returns the destination of an object. Every third one has a template.
fn destination(number: usize) -> Value {
    let mut destination = json!({"name": format!("s{number}"), "create": true});
    if number.is_multiple_of(3) {
        let template = json!({"text": "{{ .Secrets.a }} {{ .Metadata.version }}"});
        destination["transformation"] = json!({"templates": {"b": template}});
    }
    destination
}

async fn all_ready(rig: &Rig) -> Result<()> {
    let objects: Api<BaoStaticSecret> = rig.case.api();
    eventually("all objects are Ready", || async {
        let list = objects.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let states = list.items.iter().filter_map(|object| serde_json::to_value(object).ok());
        let waiting: BTreeSet<String> =
            states.map(|state| ready_of(&state)).filter(|state| !state.starts_with("True/Applied")).collect();
        if list.items.len() == OBJECTS && waiting.is_empty() { Ok(()) } else { Err(format!("{waiting:?}")) }
    })
    .await
}

#[tokio::test]
async fn three_hundred_objects_cost_no_more_requests_than_needed() -> Result<()> {
    let mut rig = Rig::new("budget").await?;
    let case = &rig.case;
    engine(case, "budget").await?;
    for path in 0..PATHS {
        case.admin()?.write_kv2("budget", &format!("p{path}"), &json!({"a": "1"})).await?;
    }
    for name in ["first", "second"] {
        case.object("BaoAuth", name, auth("budget")).await?;
    }
    for number in 0..OBJECTS {
        let spec = json!({
            // Two BaoAuths with the same identity.
            "authRef": {"name": if number % 2 == 0 { "first" } else { "second" }},
            "mount": "budget", "path": format!("p{}", number % PATHS), "type": "kv-v2", "refreshAfter": "15s",
            "destination": destination(number),
            "rolloutRestartTargets": [{"kind": "Deployment", "selector": {"matchLabels": {"app": "web"}}}],
        });
        case.object("BaoStaticSecret", &format!("s{number}"), spec).await?;
    }

    rig.start().await?;
    // A list of all objects takes much processor time, so that the first one follows the last write.
    eventually("every status is written", || async {
        let is_status = |path: &str| path.contains("/baostaticsecrets/") && path.ends_with("/status");
        let count = rig.kubernetes.number(|asked| asked.writes() && is_status(&asked.path));
        if count >= OBJECTS { Ok(()) } else { Err(count) }
    })
    .await?;
    all_ready(&rig).await?;
    let kubernetes = rig.kubernetes.count(of_kubernetes);
    let openbao = rig.openbao.count(of_openbao);
    println!("first sync of {OBJECTS} objects on {PATHS} paths: {kubernetes:?} {openbao:?}");
    let reads = openbao["GET value"];
    assert!((PATHS..=OBJECTS).contains(&reads), "{openbao:?}");
    assert_eq!(kubernetes["POST secrets"], OBJECTS, "one write per Secret");
    assert_eq!(kubernetes["PATCH status"], OBJECTS, "one status write per object");
    // Besides, the CA of the BaoAuths is found by a list of Secrets with its name; no Secret and no object is read.
    let others = |asked: &&String| {
        ["GET secret", "PATCH secret", "GET status"].contains(&asked.as_str())
            || asked.contains("/deployments")
    };
    assert_eq!(kubernetes.keys().find(others), None, "{kubernetes:?}");
    // The operator's own identity and that of the two BaoAuths; one more token shows the API server's audiences.
    assert_eq!(openbao["GET mount"], 1, "one check per login and mount: {openbao:?}");
    assert_eq!(openbao["POST login"], 2, "one login per identity, not per object: {openbao:?}");
    assert_eq!(kubernetes["POST token"], 3, "{kubernetes:?}");

    // After one refresh all objects of a path are due together; from then on each path is read once per refresh, and
    // nothing is written.
    let openbao = rig.openbao.clone();
    let by_path = || openbao.count(|asked| asked.path.contains("budget/data").then(|| asked.path.clone()));
    let refreshed = async |times: usize| {
        openbao.forget();
        eventually(&format!("{times} refreshes are complete"), || async {
            let reads = by_path();
            let passed = reads.len() == PATHS && reads.values().all(|count| *count >= times);
            if passed { Ok(()) } else { Err(format!("{reads:?}")) }
        })
        .await
    };
    refreshed(1).await?;
    rig.kubernetes.forget();
    refreshed(3).await?;
    let (reads, writes) =
        (by_path(), rig.kubernetes.count(|asked| asked.writes().then(|| asked.path.clone())));
    println!("three refreshes: {reads:?}");
    assert!(reads.values().all(|count| *count <= 4), "{OBJECTS} objects on {PATHS} paths: {reads:?}");
    assert_eq!(writes, BTreeMap::new(), "a refresh without a change must not write");

    // A manually edited Secret is repaired with one write and at most one read, which is shared.
    rig.kubernetes.forget();
    rig.openbao.forget();
    let secrets: Api<Secret> = rig.case.api();
    let edit = json!({"stringData": {"a": "edited", "b": "added"}});
    secrets.patch("s7", &PatchParams::default(), &Patch::Merge(&edit)).await?;
    eventually("the Secret is repaired", || async {
        let data = secrets.get("s7").await.map_err(|error| error.to_string())?.data.unwrap_or_default();
        let repaired = data.len() == 1 && data["a"].0 == b"1";
        if repaired { Ok(()) } else { Err(format!("{:?}", data.keys())) }
    })
    .await?;
    let repair = rig.kubernetes.count(|asked| of_kubernetes(asked).filter(|asked| asked.contains("secret")));
    assert_eq!(repair, BTreeMap::from([("PATCH secret".to_owned(), 1)]));
    assert!(by_path().values().all(|count| *count <= 2), "{:?}", by_path());

    // A restart reads each path again and writes nothing.
    rig.kill().await?;
    rig.kubernetes.forget();
    rig.openbao.forget();
    rig.start().await?;
    eventually("every path is read", || async {
        let reads = by_path();
        let looked = reads.len() == PATHS;
        if looked { Ok(()) } else { Err(format!("{reads:?}")) }
    })
    .await?;
    all_ready(&rig).await?;
    let writes = rig.kubernetes.count(|asked| {
        let token = asked.path.ends_with("/token");
        (asked.writes() && !token).then(|| asked.path.clone())
    });
    println!("restart: {:?} {:?}", rig.kubernetes.count(of_kubernetes), rig.openbao.count(of_openbao));
    assert_eq!(writes, BTreeMap::new(), "a restart must not write");
    let logins = rig.openbao.count(of_openbao).remove("POST login").unwrap_or_default();
    assert!(logins <= 2, "{logins} logins after a restart, and not one for each identity");
    Ok(())
}

#[tokio::test]
async fn objects_with_the_same_find_list_its_folders_once_per_refresh() -> Result<()> {
    let mut rig = Rig::new("shared-find").await?;
    let case = &rig.case;
    engine(case, "shared-find").await?;
    let rules = json!({"shared-find/*": {"capabilities": ["read", "list"]}});
    case.role("shared-find-list", rules, "10m").await?;
    for path in ["team/a", "team/sub/b"] {
        case.admin()?.write_kv2("shared-find", path, &json!({"v": "1"})).await?;
    }
    case.object("BaoAuth", "default", auth("shared-find-list")).await?;
    for name in ["one", "two"] {
        let source = json!({"mount": "shared-find", "type": "kv-v2", "find": {"path": "team", "key": "v"}});
        let destination = json!({"name": name, "create": true});
        let spec = json!({"sources": [source], "refreshAfter": "3s", "destination": destination});
        case.object("BaoStaticSecret", name, spec).await?;
    }
    rig.start().await?;
    for name in ["one", "two"] {
        rig.case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    }
    let openbao = rig.openbao.clone();
    let number = |end: &str| openbao.number(|asked| asked.path.ends_with(end));
    openbao.forget();
    eventually("the folder is listed at five refreshes", || async {
        let lists = number("shared-find/metadata/team/sub");
        if lists >= 5 { Ok(()) } else { Err(lists) }
    })
    .await?;
    // The values are shared: without shared lists, there would be twice as many lists as reads.
    let (top, sub) = (number("shared-find/metadata/team"), number("shared-find/metadata/team/sub"));
    let reads = number("shared-find/data/team/sub/b");
    println!("lists: {top} and {sub}, reads: {reads}");
    assert!(top <= reads + 2 && sub <= reads + 2, "{top} and {sub} lists, {reads} reads");
    Ok(())
}
