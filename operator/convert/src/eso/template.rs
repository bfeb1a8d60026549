//! Template of the target Secret.

use serde_json::{Map, Value, json};
use steamer_template::Template;

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::secret_keys;
use crate::task::Task;

const TEMPLATES: &str = "destination.transformation.templates";

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
    template.within("metadata", |metadata| {
        for field in ["labels", "annotations"] {
            let all = metadata.texts(field);
            texts(task, draft, (&metadata.path(field), field), all);
        }
    });
    data(task, template, draft);
    if template.has("templateFrom") {
        task.hold(
            draft,
            (template.path("templateFrom"), None),
            "templates of other objects are not converted: write them into a SecretTransformation",
        );
    }
}

/// Sets labels or annotations. Steamer does not render them.
fn texts(task: &mut Task<'_>, draft: &mut Draft, (path, field): (&str, &str), all: Map<String, Value>) {
    let is_template = |value: &Value| value.as_str().is_some_and(|text| text.contains("{{"));
    let (templates, fixed): (Map<_, _>, Map<_, _>) =
        all.into_iter().partition(|(_, value)| is_template(value));
    if !templates.is_empty() {
        task.review(
            path,
            Some(&Value::Object(templates)),
            "labels and annotations are fixed texts: write the values without templates",
        );
    }
    secret_keys::set(task, draft, (path, field), fixed);
}

/// Moves the templates of keys. The dot of a template of External Secrets Operator is `.Secrets`.
fn data(task: &mut Task<'_>, template: &mut Cursor, draft: &mut Draft) {
    let policy = template.take_if("mergePolicy", |policy| policy == "Merge" || policy == "Replace");
    let path = template.path("data");
    let texts = template.texts("data");
    if texts.is_empty() {
        return;
    }
    if draft.get(TEMPLATES).is_some() {
        task.hold(draft, (path.clone(), None), "an entry became a template, and the templates of the target cannot read its result: combine both");
    }
    let mut templates = draft.get(TEMPLATES).and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, text) in texts {
        let text = text.as_str().unwrap_or_default();
        let wrapped = format!("{{{{ with .Secrets }}}}{text}{{{{ end }}}}");
        if let Some(problem) = problem(text, &wrapped) {
            task.hold(draft, (format!("{path}.{key}"), None), problem);
        }
        templates.insert(key, json!({"text": wrapped}));
    }
    draft.put(TEMPLATES, Value::Object(templates), path.as_str());
    if policy != Some(json!("Merge")) {
        draft.put("destination.transformation.excludes", json!([".*"]), path);
    }
}

fn problem(text: &str, wrapped: &str) -> Option<&'static str> {
    if text.contains("$.") {
        return Some("$ is another input in Steamer: write $.Secrets instead of $");
    }
    Template::parse("template", wrapped)
        .err()
        .map(|_| "Steamer does not know a function of this template: write it in another way")
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
