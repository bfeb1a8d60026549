//! Credentials of a login.

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Moves a reference to a key of a Secret: Steamer reads a fixed key.
pub(super) fn secret(
    task: &mut Task<'_>,
    from: &mut Cursor,
    login: &mut Draft,
    (field, key, to): (&str, &str, &str),
) {
    from.within(field, |from| named_secret(task, from, login, (key, to)));
}

/// Same as [`secret`], for the reference itself.
pub(super) fn named_secret(
    task: &mut Task<'_>,
    from: &mut Cursor,
    login: &mut Draft,
    (key, to): (&str, &str),
) {
    let path = from.path("key");
    let found = from.take("key");
    if found.as_ref().is_some_and(|found| found != key) {
        task.review(path, found.as_ref(), format!("Steamer reads the key {key}: add it to the Secret"));
    }
    if let Some(namespace) = from.take("namespace") {
        task.review(
            from.path("namespace"),
            Some(&namespace),
            "Steamer reads the Secret of this name in the namespace of each object that reads: create it there",
        );
    }
    login.rename(from, "name", to);
}

/// Reports a field that has no effect beside another one.
pub(super) fn unused(task: &mut Task<'_>, from: &mut Cursor, (field, other): (&str, &str)) {
    if let Some(found) = from.take(field) {
        let action = format!("External Secrets Operator uses {other}, and not this field: remove it");
        task.review(from.path(field), Some(&found), action);
    }
}
