//! References of VSO: `name` or `namespace/name`; empty refers to the object `default` in the namespace of VSO.

use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::inventory::named;
use crate::task::Task;

/// Moves a reference of VSO to a reference of Steamer.
pub(crate) fn moved(task: &Task<'_>, source: &mut Cursor, draft: &mut Draft, (from, to): (&str, &str)) {
    let (path, text) = (source.path(from), source.text(from).unwrap_or_default());
    let default = || (task.settings.vso_namespace.clone(), "default".to_owned());
    let (namespace, name) = named(&text, task.origin.namespace()).unwrap_or_else(default);
    draft.put(to, reference(task, &namespace, &name), path);
}

fn reference(task: &Task<'_>, namespace: &str, name: &str) -> Value {
    if namespace == task.origin.namespace() {
        return json!({"name": name});
    }
    json!({"name": name, "namespace": namespace})
}
