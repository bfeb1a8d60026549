//! Content of a report.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use serde_json::{Value, json};
use steamer_api::{GROUP, KindId, VERSION};

use super::redaction::{last_lines, redacted};
use crate::connection::Cluster;
use crate::lists::{Answer, Listed, lists};

/// Events in a report.
const EVENTS: u32 = 2000;

/// The documents of a report, and a summary of them. What you may not read is listed in the first document.
///
/// # Errors
/// When the API server does not answer, or when you may read no object.
pub(super) async fn documents(
    cluster: &Cluster,
    namespace: Option<&str>,
    lines: i64,
) -> Result<(Vec<Value>, String)> {
    let listed = lists::<Value>(cluster, KindId::ALL, namespace).await?;
    let mut missing: Vec<String> = listed.iter().filter_map(unread).collect();
    let objects: Vec<Value> = listed.into_iter().flat_map(objects).collect();
    let events = or_missing(events(cluster, namespace).await, "Events", &mut missing).unwrap_or_default();
    let logs =
        or_missing(logs(cluster, lines).await, "pods of the operator", &mut missing).unwrap_or_default();
    let kubernetes = cluster.client.apiserver_version().await.map_err(|error| cluster.refusal(error))?;
    let summary = format!("{} objects, {} Events, {} logs", objects.len(), events.len(), logs.len());
    let first = json!({
        "kind": "SteamerReport", "plugin": env!("CARGO_PKG_VERSION"), "kubernetes": kubernetes.git_version,
        "time": jiff::Timestamp::now().to_string(), "notIncluded": missing,
    });
    let logs =
        logs.into_iter().map(|(pod, log)| json!({"kind": "Log", "pod": pod, "lines": last_lines(&log)}));
    Ok((std::iter::once(first).chain(objects).chain(events).chain(logs).collect(), summary))
}

fn unread(listed: &Listed<Value>) -> Option<String> {
    match listed.answer {
        Answer::Objects(_) => None,
        Answer::Denied => Some(format!("{}: you may not list them", listed.kind)),
        Answer::NotInstalled => Some(format!("{}: not installed", listed.kind)),
    }
}

/// The objects of a kind, with their version and kind, which elements of a list lack.
fn objects(listed: Listed<Value>) -> Vec<Value> {
    let Answer::Objects(objects) = listed.answer else { return Vec::new() };
    let described = |object: Value| {
        let mut described = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": listed.kind.as_str()});
        for (name, value) in redacted(object).as_object().into_iter().flatten() {
            described[name.as_str()] = value.clone();
        }
        described
    };
    objects.into_iter().map(described).collect()
}

fn or_missing<T>(result: Result<T, kube::Error>, what: &str, missing: &mut Vec<String>) -> Option<T> {
    result
        .map_err(|error| {
            let why = match error {
                kube::Error::Api(status) => status.message,
                other => other.to_string(),
            };
            missing.push(format!("{what}: {why}"));
        })
        .ok()
}

/// Events of the objects of Steamer.
async fn events(cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<Value>, kube::Error> {
    let api: Api<Event> = match namespace {
        Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let found = api.list(&ListParams::default().limit(EVENTS)).await?.items.into_iter();
    let group = format!("{GROUP}/");
    let own = found.filter(|event| {
        event.involved_object.api_version.as_deref().is_some_and(|version| version.starts_with(&group))
    });
    let shown = own.map(|event| {
        let object = &event.involved_object;
        json!({
            "kind": "Event", "reason": event.reason, "message": event.message, "count": event.count,
            "last": event.last_timestamp, "time": event.event_time,
            "object": format!(
                "{} {}/{}",
                object.kind.as_deref().unwrap_or_default(),
                object.namespace.as_deref().unwrap_or_default(),
                object.name.as_deref().unwrap_or_default()
            ),
        })
    });
    Ok(shown.collect())
}

/// Logs of the pods of the operator, by name.
async fn logs(cluster: &Cluster, lines: i64) -> Result<BTreeMap<String, String>, kube::Error> {
    let api: Api<Pod> = Api::all(cluster.client.clone());
    let labels = ListParams::default().labels("app.kubernetes.io/name=steamer");
    let mut logs = BTreeMap::new();
    for pod in api.list(&labels).await? {
        let own: Api<Pod> = cluster.api_in(&pod.namespace().unwrap_or_default());
        let parameters = LogParams { tail_lines: Some(lines), ..LogParams::default() };
        let log = own.logs(&pod.name_any(), &parameters).await;
        let log = log.unwrap_or_else(|error| format!("the log cannot be read: {error}"));
        logs.insert(format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()), log);
    }
    Ok(logs)
}
