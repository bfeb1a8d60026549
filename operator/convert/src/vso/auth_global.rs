//! VaultAuthGlobal.

use super::{auth, methods, reference};
use crate::consents;
use crate::cursor::Cursor;
use crate::task::Task;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoAuthGlobal");
    if spec.has("vaultConnectionRef") {
        reference::moved(task, spec, &mut draft, ("vaultConnectionRef", "connectionRef"));
    }
    draft.copy(spec, &["defaultMount", "params", "headers"]);
    draft.rename(spec, "defaultVaultNamespace", "defaultNamespace");
    methods::chosen(spec, &mut draft, "defaultAuthMethod");
    methods::blocks(task, spec, &mut draft, None);
    consents::audiences(task, &draft, "spec");
    auth::consent(task, spec, &mut draft);
    task.drafts.push(draft);
}
