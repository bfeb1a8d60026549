//! Destination, transformation and restarts, which several kinds of VSO share.

use serde_json::{Map, Value, json};
use steamer_api::rules::is_reserved_type;

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::secret_keys;
use crate::task::Task;

/// Moves the destination and the targets of restarts.
pub(super) fn moved(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let moved = spec.within("destination", |from| {
        copied(task, from, draft);
        transformation(task, from, draft);
    });
    if moved.is_none() {
        task.review(
            "spec.destination",
            spec.peek("destination"),
            "an object needs a destination: write destination.name",
        );
    }
    draft.copy(spec, &["rolloutRestartTargets"]);
}

fn copied(task: &mut Task<'_>, from: &mut Cursor, draft: &mut Draft) {
    for field in ["name", "create", "type"] {
        draft.rename(from, field, &format!("destination.{field}"));
    }
    let overwrite = from.path("overwrite");
    from.flag("overwrite");
    if draft.get("destination.create") == Some(&json!(true)) {
        // The Secret exists: the former operator created it.
        draft.put("destination.overwrite", true, overwrite);
    } else {
        task.review(
            from.path("create"),
            None,
            "another client created the Secret, and the former operator is recorded as the owner of its keys: when it is stopped, remove the record with kubectl patch secret NAME --type=json -p '[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":[{}]}]'",
        );
    }
    let type_ = draft.get("destination.type").and_then(Value::as_str);
    if type_.is_some_and(is_reserved_type) {
        task.review(from.path("type"), None, "Kubernetes or Helm acts on Secrets of this type, and Steamer does not write them: choose another type");
    }
    for field in ["labels", "annotations"] {
        let all = from.texts(field);
        secret_keys::set(task, draft, (&from.path(field), field), all);
    }
}

fn transformation(task: &Task<'_>, from: &mut Cursor, draft: &mut Draft) {
    let path = from.path("transformation.excludeRaw");
    let excluded = from.within("transformation", |from| {
        for field in ["templates", "includes", "excludes"] {
            draft.rename(from, field, &format!("destination.transformation.{field}"));
        }
        references(task, from, draft);
        from.flag("excludeRaw")
    });
    // VSO writes `_raw` unless it is excluded. Without it, a takeover would change the data.
    if !excluded.flatten().unwrap_or(false) && !task.settings.exclude_raw {
        draft.put("destination.transformation.excludeRaw", false, path);
    }
}

/// Moves references to SecretTransformations. Their fields have the same names.
fn references(task: &Task<'_>, from: &mut Cursor, draft: &mut Draft) {
    let path = from.path("transformationRefs");
    let references: Vec<Value> = from.each("transformationRefs", |reference| {
        let mut moved = Map::new();
        if reference.peek("namespace") == Some(&json!(task.origin.namespace())) {
            reference.take("namespace");
        }
        for field in ["name", "namespace", "templateRefs", "ignoreIncludes", "ignoreExcludes"] {
            if let Some(value) = reference.take(field).filter(|value| *value != json!("")) {
                moved.insert(field.to_owned(), value);
            }
        }
        Value::Object(moved)
    });
    if !references.is_empty() {
        draft.put("destination.transformation.transformationRefs", references, path);
    }
}
