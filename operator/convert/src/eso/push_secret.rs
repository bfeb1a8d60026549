//! PushSecret.

use serde_json::{Value, json};

use super::location::located;
use super::names::rules;
use super::search::is_everything;
use super::store_reference::StoreReference;
use super::{generator, keys, policies};
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::inventory::Store;
use crate::task::Task;

/// Parts that determine what is pushed, and what to do if they are not converted.
const HELD: &[(&str, &str)] = &[
    ("dataTo", "this item is not converted: write items of data with path, match and rewrite"),
    (
        "selector",
        "this part is not converted: write secretRef or selector, or generate in an item of data for a generator",
    ),
];

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
    selected(task, spec, &mut draft);
    draft.copy(spec, &["updatePolicy"]);
    deletion(spec, &mut draft);
    let mut data: Vec<Value> = spec.each("data", |item| pushed(item, &store)).into_iter().flatten().collect();
    data.extend(spec.each("dataTo", |item| bundled(item, (&reference, &store))).into_iter().flatten());
    generated(task, spec, &draft, &mut data);
    draft.put("data", data, "spec.data");
    spec.within("template", |template| {
        template.expect("engineVersion", &json!("v2"));
        // External Secrets Operator keeps the other keys with every policy.
        keys::policy(template);
        keys::moved(task, template, &mut draft, "transformation");
    });
    held(task, spec, &mut draft);
    task.drafts.push(draft);
}

fn deletion(spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("deletionPolicy");
    if let Some(policy) = spec.take_if("deletionPolicy", |policy| policy == "Delete" || policy == "None") {
        draft.put("deletionPolicy", json!(if policy == "Delete" { "Delete" } else { "Retain" }), path);
    }
}

/// Moves the selection of Secrets.
fn selected(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    spec.within("selector", |from| {
        from.within("secret", |secret| {
            draft.rename(secret, "name", "secretRef.name");
            draft.rename(secret, "selector", "selector");
        });
    });
    if draft.get("selector").is_some() {
        let text = "each Secret gets an entry of its own, at the path and its name: review what reads them";
        task.hold(draft, ("spec.selector.secret.selector".to_owned(), None), text);
    }
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

/// All keys of the Secret, or those that match, in one entry.
fn bundled(item: &mut Cursor, (reference, store): (&StoreReference, &Store)) -> Option<Value> {
    item.expect("conversionStrategy", &json!("None"));
    let is_plain = ["conversionStrategy", "metadata"].iter().all(|field| !item.has(field));
    let kind = |it: &Value| it["kind"].as_str().unwrap_or("SecretStore") == reference.kind;
    let is_own = |it: &Value| it["name"] == *reference.name && kind(it) && it.get("labelSelector").is_none();
    if !is_plain || item.peek("storeRef").is_some_and(|it| !is_own(it)) {
        return None;
    }
    let mut fields = located(store, item.peek("remoteKey")?.as_str()?, None)?.fields();
    let (matched, rewrite) = (matched(item)?, rules(item)?);
    if !is_everything(&matched) {
        fields.insert("match".to_owned(), json!(matched));
    }
    if !rewrite.is_empty() {
        fields.insert("rewrite".to_owned(), json!(rewrite));
    }
    for field in ["remoteKey", "storeRef", "match", "rewrite"] {
        item.take(field);
    }
    Some(Value::Object(fields))
}

/// The expression for keys. `None` if the choice has another form.
fn matched(item: &Cursor) -> Option<String> {
    let Some(choice) = item.peek("match") else { return Some(".*".to_owned()) };
    let fields = choice.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("regexp")?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Lets an item generate its value. External Secrets Operator generates another one at each refresh that may replace it.
fn generated(task: &mut Task<'_>, spec: &mut Cursor, draft: &Draft, data: &mut Vec<Value>) {
    let is_replaced = draft.get("updatePolicy") != Some(&json!("IfNotExists"));
    let interval = draft.get("refreshAfter").filter(|_| is_replaced).cloned();
    // A generated value has no Secret and no transformation.
    let has_secret = draft.get("secretRef").is_some() || draft.get("selector").is_some();
    if has_secret || spec.has("template") || interval.as_ref().is_some_and(is_short) {
        return;
    }
    spec.within("selector", |from| {
        let reference = from.peek("generatorRef")?;
        let found = generator::converted(task.inventory, task.origin.namespace(), reference)?;
        let mut item = found.item(data)?;
        item.extend(interval.map(|interval| ("rotateAfter".to_owned(), interval)));
        if found.adds_public_part(data) {
            let text = "Steamer also writes the public key, to the property with the suffix .pub";
            task.note(from.path("generatorRef"), text);
        }
        *data = vec![Value::Object(item)];
        task.absorbed.push(found.origin);
        from.take("generatorRef")
    });
}

/// Returns true for an interval at which Steamer does not generate values.
fn is_short(interval: &Value) -> bool {
    let duration = interval.as_str().and_then(|text| text.parse::<steamer_api::Duration>().ok());
    duration.is_none_or(|duration| duration.get().as_secs() < 60)
}

/// Suspends the converted object if a part that determines what is pushed remains.
fn held(task: &mut Task<'_>, spec: &Cursor, draft: &mut Draft) {
    for (field, action) in HELD {
        if spec.has(field) {
            task.hold(draft, (spec.path(field), None), action);
        }
    }
}
