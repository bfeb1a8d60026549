//! Template of the target Secret.

use serde_json::{Map, Value, json};

use super::keys;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::secret_keys;
use crate::task::Task;

/// Moves the template of the target. Without one, the Secret has labels and annotations of the object.
pub(super) fn moved(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let found =
        spec.within("target", |target| target.within("template", |template| all(task, template, draft)));
    if found.flatten().is_none() {
        inherited(task, draft);
    }
}

fn all(task: &mut Task<'_>, template: &mut Cursor, draft: &mut Draft) {
    template.expect("engineVersion", &json!("v2"));
    draft.rename(template, "type", "destination.type");
    if let Some(part) = ["data", "templateFrom"].into_iter().find(|part| template.has(part)) {
        keys::uncombined(task, draft, template.path(part));
    }
    template.within("metadata", |metadata| {
        for field in ["labels", "annotations"] {
            let all = metadata.texts(field);
            texts(task, draft, (&metadata.path(field), field), all);
        }
    });
    let (policy, path) = (keys::policy(template), template.path("data"));
    if keys::moved(task, template, draft, keys::TARGET) && policy != Some(json!("Merge")) {
        draft.put(&format!("{}.excludes", keys::TARGET), json!([".*"]), path);
    }
}

/// Sets labels or annotations: fixed texts and templates are in different fields.
fn texts(task: &mut Task<'_>, draft: &mut Draft, (path, field): (&str, &str), all: Map<String, Value>) {
    let is_template = |value: &Value| value.as_str().is_some_and(|text| text.contains("{{"));
    let (templates, fixed): (Map<_, _>, Map<_, _>) =
        all.into_iter().partition(|(_, value)| is_template(value));
    if !templates.is_empty() {
        keys::uncombined(task, draft, path.to_owned());
        unmerged(task, draft, path);
    }
    let mut wrapped = Map::new();
    for (key, text) in templates {
        let text = text.as_str().unwrap_or_default();
        let text = keys::wrapped(task, draft, format!("{path}.{key}"), text);
        wrapped.insert(key, Value::String(text));
    }
    secret_keys::set(task, draft, (path, field), fixed);
    secret_keys::set(task, draft, (path, &format!("transformation.{field}")), wrapped);
}

/// Suspends the converted object if the target is a Secret of another client: its labels and annotations are not changed.
fn unmerged(task: &mut Task<'_>, draft: &mut Draft, path: &str) {
    if draft.get("destination.create") != Some(&json!(true)) {
        let text = "Steamer does not set labels and annotations of a Secret that another client creates: remove these templates";
        task.hold(draft, (path.to_owned(), None), text);
    }
}

/// The object's own labels and annotations, which the Secret has. Reserved ones stay on an existing Secret.
fn inherited(task: &mut Task<'_>, draft: &mut Draft) {
    let all =
        [("labels", draft.metadata.labels.clone()), ("annotations", draft.metadata.annotations.clone())];
    for (field, all) in all {
        let kept: Map<_, _> = all.into_iter().filter(|(key, _)| !secret_keys::is_reserved(key)).collect();
        secret_keys::set(task, draft, (&format!("metadata.{field}"), field), kept);
    }
}
