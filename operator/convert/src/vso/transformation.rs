//! SecretTransformation.

use crate::cursor::Cursor;
use crate::inventory::allowed;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("SecretTransformation");
    draft.copy(spec, &["templates", "sourceTemplates", "includes", "excludes"]);
    let consumers =
        task.inventory.consumers("SecretTransformation", task.origin.namespace(), &task.origin.name);
    let (many, consent) = (consumers.len() > 1, allowed(&consumers));
    if let Some(consent) = consent {
        draft.put("allowedNamespaces", consent, "metadata.namespace");
    }
    if many {
        task.review(
            "metadata.namespace",
            None,
            "objects of several namespaces refer to it, and the converted object allows all namespaces: restrict allowedNamespaces to a label of these namespaces",
        );
    }
    task.drafts.push(draft);
}
