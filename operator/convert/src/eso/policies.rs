//! Refresh and target policies of an ExternalSecret.

use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Interval of External Secrets Operator without one.
const DEFAULT_INTERVAL: &str = "1h";

/// Interval of refreshes.
pub(super) enum Interval {
    /// A duration.
    Every(String),
    /// 0: no refresh.
    Never,
    /// No duration, which is reported.
    Unknown,
}

/// Takes the refresh interval.
pub(super) fn interval(task: &mut Task<'_>, spec: &mut Cursor) -> Interval {
    let path = spec.path("refreshInterval");
    let text = spec.text("refreshInterval").unwrap_or_else(|| DEFAULT_INTERVAL.to_owned());
    let text = if text == "0" { "0s".to_owned() } else { text };
    match text.parse::<steamer_api::Duration>() {
        Ok(duration) if duration.get().is_zero() => Interval::Never,
        Ok(_) => Interval::Every(text),
        Err(_) => {
            let action = "not a duration such as 30s, 5m or 1h30m: write refreshAfter";
            task.review(path, Some(&Value::String(text)), action);
            Interval::Unknown
        }
    }
}

/// Moves the refresh interval and policy.
pub(super) fn refresh(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("refreshInterval");
    match interval(task, spec) {
        Interval::Every(text) => draft.put("refreshAfter", json!(text), path),
        Interval::Never if !spec.has("refreshPolicy") => {
            draft.put("refreshPolicy", json!("CreatedOnce"), path);
        }
        Interval::Never | Interval::Unknown => {}
    }
    draft.copy(spec, &["refreshPolicy"]);
}

/// Moves name, policies and type of the target. Returns false if the object writes no Secret.
pub(super) fn target(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) -> bool {
    let default = task.origin.name.clone();
    draft.put("destination.name", json!(default), "metadata.name");
    let written = spec.within("target", |target| {
        draft.rename(target, "name", "destination.name");
        deletion(target, draft);
        let written = creation(task, target, draft);
        if written {
            immutable(task, target, draft);
        }
        if target.has("manifest") {
            let text = "Steamer writes values to Secrets only: create a Secret, and use it; the object is not converted";
            task.review(target.path("manifest"), target.take("manifest").as_ref(), text);
            return false;
        }
        written
    });
    if written.is_none() {
        owned(draft, "Owner", "spec.target.creationPolicy");
    }
    written.unwrap_or(true)
}

fn immutable(task: &mut Task<'_>, target: &mut Cursor, draft: &mut Draft) {
    let path = target.path("immutable");
    draft.rename(target, "immutable", "destination.immutable");
    if draft.get("destination.immutable") == Some(&json!(true)) {
        task.review(
            path,
            None,
            "Steamer does not take over an immutable Secret: when External Secrets Operator is stopped, delete the Secret, and Steamer creates it again",
        );
    }
}

fn deletion(target: &mut Cursor, draft: &mut Draft) {
    let path = target.path("deletionPolicy");
    let action = match target.peek("deletionPolicy").and_then(Value::as_str) {
        Some("Retain") => "Retain",
        Some("Delete") => "Delete",
        Some("Merge") => "Clear",
        _ => return,
    };
    target.take("deletionPolicy");
    draft.put("onSourceDeleted", json!(action), path);
}

fn creation(task: &mut Task<'_>, target: &mut Cursor, draft: &mut Draft) -> bool {
    let path = target.path("creationPolicy");
    let policy = target.text("creationPolicy").unwrap_or_else(|| "Owner".to_owned());
    let found = Value::String(policy.clone());
    match policy.as_str() {
        "Owner" | "Orphan" => owned(draft, &policy, &path),
        "Merge" => task.review(
            path,
            Some(&found),
            "Steamer writes into the existing Secret with server-side apply: when External Secrets Operator is stopped, remove its record with kubectl patch secret NAME --type=json -p '[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":[{}]}]'",
        ),
        "CreateOrMerge" => {
            owned(draft, "Orphan", &path);
            task.hold(draft, (path, Some(&found)), "Steamer owns all keys of a Secret, or writes some keys into an existing one: set destination.create and overwrite to false if other clients write keys of the Secret");
        }
        _ => {
            task.review(path, Some(&found), "the object writes no Secret, and Steamer has no such object: not converted");
            return false;
        }
    }
    true
}

/// Lets Steamer own the Secret, which exists: the former operator created it.
fn owned(draft: &mut Draft, policy: &str, path: &str) {
    draft.put("destination.create", true, path);
    draft.put("destination.overwrite", true, path);
    if policy != "Owner" {
        draft.put("destination.creationPolicy", json!(policy), path);
    }
}
