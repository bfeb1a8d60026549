//! VaultAuth.

use serde_json::{Value, json};

use super::{methods, reference};
use crate::consents;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoAuth");
    let has_global = spec.has("vaultAuthGlobalRef");
    if !has_global || spec.has("vaultConnectionRef") {
        reference::moved(task, spec, &mut draft, ("vaultConnectionRef", "connectionRef"));
    }
    draft.copy(spec, &["namespace", "mount", "params", "headers"]);
    global(task, spec, &mut draft);
    methods::chosen(spec, &mut draft, "method");
    let method = draft.get("method").and_then(Value::as_str).map(str::to_owned);
    methods::blocks(task, spec, &mut draft, method.as_deref());
    if !has_global {
        consents::audiences(task, &draft, "spec");
    }
    consent(task, spec, &mut draft);
    task.drafts.push(draft);
}

/// Moves the reference to a VaultAuthGlobal.
fn global(task: &Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let own = task.origin.namespace().to_owned();
    draft.trace("authGlobalRef", spec.path("vaultAuthGlobalRef"));
    spec.within("vaultAuthGlobalRef", |from| {
        if from.peek("namespace") == Some(&json!(own)) {
            from.take("namespace");
        }
        for field in ["name", "namespace", "allowDefault"] {
            draft.rename(from, field, &format!("authGlobalRef.{field}"));
        }
        from.within("mergeStrategy", |from| strategies(from, draft));
    });
}

/// Moves the merge strategies. Their names begin with a capital letter.
fn strategies(from: &mut Cursor, draft: &mut Draft) {
    for field in ["headers", "params"] {
        let path = from.path(field);
        let strategy = match from.peek(field).and_then(Value::as_str) {
            Some("union") => "Union",
            Some("replace") => "Replace",
            Some("none") => "None",
            _ => continue,
        };
        from.take(field);
        draft.put(&format!("authGlobalRef.mergeStrategy.{field}"), json!(strategy), path);
    }
}

/// Moves `allowedNamespaces`. The object `default` in the namespace of VSO serves all namespaces.
pub(super) fn consent(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("allowedNamespaces");
    let is_names = |value: &Value| value.as_array().is_some_and(|names| names.iter().all(Value::is_string));
    let listed = spec.take_if("allowedNamespaces", is_names);
    let names: Vec<&str> =
        listed.iter().flat_map(|names| names.as_array()).flatten().filter_map(Value::as_str).collect();
    let is_default = task.origin.name == "default" && task.origin.namespace() == task.settings.vso_namespace;
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != task.origin.namespace()).collect();
    match &others[..] {
        _ if is_default || names == ["*"] => draft.put("allowedNamespaces", json!({"from": "All"}), path),
        [] => {}
        [one] if *one != "*" => {
            let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": one}});
            draft.put("allowedNamespaces", json!({"from": "Selector", "selector": selector}), path);
        }
        _ => task.review(
            path,
            listed.as_ref(),
            "Steamer selects namespaces by labels: set a label on these namespaces, and write it to allowedNamespaces.selector.matchLabels with from: Selector",
        ),
    }
}
