//! Labels and annotations of a destination Secret.

use serde_json::{Map, Value};
use steamer_api::rules::reserved_key;

use crate::draft::Draft;
use crate::task::Task;

/// Names of reserved keys in a message.
const MAX_NAMES: usize = 10;

/// Sets labels or annotations of the Secret (`field`) from those at `path`. Reserved keys are reported.
pub(crate) fn set(
    task: &mut Task<'_>,
    draft: &mut Draft,
    (path, field): (&str, &str),
    all: Map<String, Value>,
) {
    let (reserved, kept): (Map<_, _>, Map<_, _>) = all.into_iter().partition(|(key, _)| is_reserved(key));
    if !reserved.is_empty() {
        let names: Vec<&str> = reserved.keys().map(String::as_str).take(MAX_NAMES).collect();
        let text =
            "Steamer does not set keys of Kubernetes and its own ones, which stay on an existing Secret";
        let action = format!("{text}: remove {}", names.join(", "));
        task.review(path, Some(&Value::Object(reserved.clone())), action);
    }
    if !kept.is_empty() {
        draft.put(&format!("destination.{field}"), Value::Object(kept), path);
    }
}

/// Returns true for a key that Steamer does not set on a Secret.
pub(crate) fn is_reserved(key: &str) -> bool {
    reserved_key(&[(key.to_owned(), String::new())].into()).is_some()
}
