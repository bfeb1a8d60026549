//! SecretTransformation.

use crate::consents;
use crate::cursor::Cursor;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("SecretTransformation");
    draft.copy(spec, &["templates", "sourceTemplates", "includes", "excludes"]);
    let review = "objects of several namespaces refer to it, and the converted object allows all namespaces: restrict allowedNamespaces to a label of these namespaces";
    consents::namespaces(task, &mut draft, ("SecretTransformation", review));
    task.drafts.push(draft);
}
