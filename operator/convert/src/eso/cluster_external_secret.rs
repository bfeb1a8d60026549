//! ClusterExternalSecret.

use serde_json::{Value, json};

use super::external_secret;
use super::namespaces::not_empty;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("ClusterBaoStaticSecret");
    draft.copy(spec, &["namespaces"]);
    selectors(spec, &mut draft);
    draft.rename(spec, "externalSecretName", "template.metadata.name");
    spec.within("externalSecretMetadata", |metadata| {
        for field in ["labels", "annotations"] {
            draft.rename(metadata, field, &format!("template.metadata.{field}"));
        }
    });
    let path = spec.path("externalSecretSpec");
    let converted = spec.within("externalSecretSpec", |inner| {
        external_secret::converted(task, inner);
        task.drafts.pop()
    });
    match converted.flatten() {
        Some(inner) => {
            draft.put("template.spec", inner_spec(&draft, inner), path);
            task.drafts.push(draft);
        }
        None => task.review(path, None, "the ExternalSecret was not converted, and neither was this object"),
    }
}

/// Moves the selectors. An empty one selects all namespaces, and Steamer refuses it.
fn selectors(spec: &mut Cursor, draft: &mut Draft) {
    for field in ["namespaceSelector", "namespaceSelectors"] {
        let path = spec.path(field);
        let selected = match spec.take(field) {
            Some(Value::Array(all)) => all.into_iter().map(not_empty).collect(),
            Some(selector) => not_empty(selector),
            None => continue,
        };
        draft.put(field, selected, path);
    }
}

/// The spec of the converted ExternalSecret. Its default name is that of the ExternalSecrets.
fn inner_spec(draft: &Draft, mut inner: Draft) -> Value {
    let own = inner.name.clone();
    if let Some(name) = draft.get("template.metadata.name").cloned()
        && inner.get("destination.name") == Some(&json!(own))
    {
        inner.put("destination.name", name, "spec.externalSecretName");
    }
    inner.object()["spec"].take()
}
