//! VaultStaticSecret.

use serde_json::json;

use super::{destination, reference};
use crate::cursor::Cursor;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoStaticSecret");
    reference::moved(task, spec, &mut draft, ("vaultAuthRef", "authRef"));
    draft.copy(spec, &["namespace", "mount", "path", "type", "version", "refreshAfter"]);
    spec.expect("hmacSecretData", &json!(true));
    spec.within("syncConfig", |config| config.expect("instantUpdates", &json!(false)));
    destination::moved(task, spec, &mut draft);
    task.drafts.push(draft);
}
