//! PushSecret.

use serde_json::{Value, json};

use super::location::located;
use super::policies;
use super::store_reference::StoreReference;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::inventory::Store;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoPushSecret");
    let Some(reference) = store(task, spec) else { return };
    let Some(store) = reference.store(task) else { return };
    draft.put("authRef", reference.auth(task), reference.path.as_str());
    policies::refresh(task, spec, &mut draft);
    if draft.get("refreshPolicy").is_some() {
        let text = "a BaoPushSecret always pushes changes: review refreshAfter";
        task.hold(&mut draft, ("spec.refreshInterval".to_owned(), None), text);
    }
    spec.within("selector", |from| {
        from.within("secret", |secret| {
            draft.rename(secret, "name", "secretRef.name");
            draft.rename(secret, "selector", "selector");
        });
    });
    if draft.get("selector").is_some() {
        let text = "each Secret gets an entry of its own, at the path and its name: review what reads them";
        task.hold(&mut draft, ("spec.selector.secret.selector".to_owned(), None), text);
    }
    draft.copy(spec, &["updatePolicy"]);
    let path = spec.path("deletionPolicy");
    if let Some(policy) = spec.take_if("deletionPolicy", |policy| policy == "Delete" || policy == "None") {
        draft.put("deletionPolicy", json!(if policy == "Delete" { "Delete" } else { "Retain" }), path);
    }
    let mut data: Vec<Value> = spec.each("data", |item| pushed(item, &store)).into_iter().flatten().collect();
    data.extend(spec.each("dataTo", |item| bundled(item, (&reference, &store))).into_iter().flatten());
    draft.put("data", data, "spec.data");
    held(task, spec, &mut draft);
    task.drafts.push(draft);
}

/// The first store. A BaoPushSecret writes to one.
fn store(task: &mut Task<'_>, spec: &mut Cursor) -> Option<StoreReference> {
    let stores = spec.each("secretStoreRefs", |item| {
        let path = item.here().to_owned();
        let kind = item.text("kind").unwrap_or_else(|| "SecretStore".to_owned());
        Some(StoreReference { kind, name: item.text("name")?, path })
    });
    let mut stores = stores.into_iter().flatten();
    let first = stores.next();
    if first.is_none() {
        task.review(
            "spec.secretStoreRefs",
            None,
            "no store is selected by its name: write authRef, and one object for each store",
        );
    }
    for other in stores {
        task.review(
            other.path,
            None,
            "a BaoPushSecret writes to one store: write another object for this one",
        );
    }
    first
}

fn pushed(item: &mut Cursor, store: &Store) -> Option<Value> {
    item.expect("conversionStrategy", &json!("None"));
    item.within("match", |from| {
        let (remote, property) =
            from.within("remoteRef", |remote| (remote.text("remoteKey"), remote.text("property")))?;
        let mut entry = located(store, &remote?, None)?.fields();
        for (field, value) in [("key", from.text("secretKey")), ("property", property)] {
            if let Some(value) = value {
                entry.insert(field.to_owned(), json!(value));
            }
        }
        Some(Value::Object(entry))
    })?
}

/// All keys of the Secret in one entry.
fn bundled(item: &mut Cursor, (reference, store): (&StoreReference, &Store)) -> Option<Value> {
    item.expect("conversionStrategy", &json!("None"));
    item.expect("match", &json!({"regexp": ".*"}));
    let is_plain =
        ["match", "rewrite", "conversionStrategy", "metadata"].iter().all(|field| !item.has(field));
    let kind = |it: &Value| it["kind"].as_str().unwrap_or("SecretStore") == reference.kind;
    let is_own = |it: &Value| it["name"] == *reference.name && kind(it) && it.get("labelSelector").is_none();
    if !is_plain || item.peek("storeRef").is_some_and(|it| !is_own(it)) {
        return None;
    }
    let location = located(store, item.peek("remoteKey")?.as_str()?, None)?;
    item.take("remoteKey");
    item.take("storeRef");
    Some(Value::Object(location.fields()))
}

/// Parts that determine what is pushed, and have no counterpart.
fn held(task: &mut Task<'_>, spec: &Cursor, draft: &mut Draft) {
    for field in ["template", "dataTo", "selector"] {
        if spec.has(field) {
            task.hold(draft, (spec.path(field), None), "this part has no counterpart: review what is pushed");
        }
    }
}
