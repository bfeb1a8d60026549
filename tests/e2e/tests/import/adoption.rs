//! What the operator does with imported objects.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;
use steamer_testing::kubectl::Kubectl;
use steamer_testing::proxy::Asked;
use steamer_testing::wait::eventually;

use crate::drift::nudge;
use crate::fixture::all_ready;
use crate::fixture::check_ready;
use crate::rig::Rig;

/// Requests with which the operator logs in, keeps its token and reads its rights.
const OWN: [&str; 4] = [
    "/v1/auth/kubernetes/login",
    "/v1/auth/token/renew-self",
    "/v1/auth/token/revoke-self",
    "/v1/sys/capabilities-self",
];

/// Waits until every object is Ready, and for a further pass over each of them. Fails if one of the passes wrote to OpenBao.
pub async fn without_writes(rig: &Rig, count: usize) -> Result<()> {
    all_ready(&rig.case.client).await?;
    let kubectl = Kubectl::new(&rig.case.ground.plane.kubeconfig)?;
    let ready = || std::future::ready(waiting(&kubectl, &rig.case.namespace, count));
    eventually("every imported object is Ready", ready).await?;
    assert_eq!(writes(rig), BTreeMap::new(), "the adoption wrote to OpenBao");
    let objects = objects(&kubectl, &rig.case.namespace)?;
    further_pass(rig, &objects).await?;
    assert_eq!(writes(rig), BTreeMap::new(), "a further pass wrote to OpenBao");
    Ok(())
}

/// The writes of the operator to OpenBao.
fn writes(rig: &Rig) -> BTreeMap<String, usize> {
    rig.openbao.count(|asked| {
        let is_write = asked.writes() && !OWN.contains(&asked.path.as_str());
        is_write.then(|| format!("{} {}", asked.method, place(&asked.namespace, &asked.path)))
    })
}

/// The reads of the operator by path.
fn reads(rig: &Rig) -> BTreeMap<String, usize> {
    rig.openbao.count(|asked: &Asked| (!asked.writes()).then(|| place(&asked.namespace, &asked.path)))
}

fn place(namespace: &str, path: &str) -> String {
    format!("{namespace}:{path}")
}

/// The read with which each pass over an object starts. None for an object without a resource in OpenBao.
fn first_read(object: &Value) -> Option<String> {
    let owned = object.pointer("/status/owned")?;
    let path = match object["kind"].as_str() {
        Some("PKIIssuer") => format!("{}/issuers", object["spec"]["mount"].as_str()?),
        _ => owned["resources"].as_array()?.first()?["path"].as_str()?.to_owned(),
    };
    Some(place(owned["namespace"].as_str().unwrap_or_default(), &format!("/v1/{path}")))
}

/// The second read of each object ends its first pass.
async fn further_pass(rig: &Rig, objects: &[Value]) -> Result<()> {
    let paths: Vec<String> = objects.iter().filter_map(first_read).collect();
    ensure!(
        paths.len() + 1 >= objects.len(),
        "only {} of {} objects own a resource",
        paths.len(),
        objects.len()
    );
    for _ in 0..2 {
        let before = reads(rig);
        for object in objects {
            let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str());
            nudge(&rig.case, kind.unwrap_or_default(), name.unwrap_or_default()).await?;
        }
        eventually("every object is compared again", || async {
            let now = reads(rig);
            let left: Vec<&String> =
                paths.iter().filter(|path| now.get(*path) <= before.get(*path)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await?;
    }
    Ok(())
}

fn objects(kubectl: &Kubectl, namespace: &str) -> Result<Vec<Value>> {
    let list: Value =
        serde_json::from_str(&kubectl.run(&["get", "steamer", "-n", namespace, "-o", "json"])?)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Fails with the objects that are not Ready, of `count` objects besides the cluster.
fn waiting(kubectl: &Kubectl, namespace: &str, count: usize) -> Result<(), String> {
    let objects = objects(kubectl, namespace).map_err(|error| error.to_string())?;
    let state = |object: &Value| {
        let seen = check_ready(object, "True/").err()?;
        Some(format!("{} {}: {seen}", object["kind"], object["metadata"]["name"]))
    };
    let waiting: Vec<String> = objects.iter().filter_map(state).collect();
    if waiting.is_empty() && objects.len() > count {
        Ok(())
    } else {
        Err(format!("{} objects; {}", objects.len(), waiting.join("; ")))
    }
}
