//! Findings of an import.

use steamer_convert::{Finding, Severity};
use steamer_core::policy_lines::policy_lines;

/// Action for a parameter with a secret value.
pub(crate) const SECRET: &str =
    "the value is secret and is not imported: put it into a Secret, or set it by hand";

/// A finding about a whole resource that needs no change.
pub(crate) fn note(object: String, action: String) -> Finding {
    Finding { severity: Severity::Note, object, field: String::new(), value: String::new(), action }
}

/// A finding about a field that a user has to change.
pub(crate) fn review(object: String, field: &str, action: &str) -> Finding {
    Finding {
        severity: Severity::Review,
        object,
        field: field.to_owned(),
        value: String::new(),
        action: action.to_owned(),
    }
}

/// A finding about a path that the token may not read.
pub(crate) fn denied(method: &str, path: &str) -> Finding {
    let line = policy_lines("", method, path);
    let action = format!(
        "the token may not read this path, and its resources are missing: add `{line}` to a policy of the token"
    );
    review(path.to_owned(), "", &action)
}
