//! VaultDynamicSecret.

use serde_json::json;

use super::{destination, reference};
use crate::cursor::Cursor;
use crate::task::Task;

const FIELDS: &[&str] = &[
    "namespace",
    "mount",
    "path",
    "requestHTTPMethod",
    "params",
    "renewalPercent",
    "revoke",
    "allowStaticCreds",
    "refreshAfter",
];

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoDynamicSecret");
    reference::moved(task, spec, &mut draft, ("vaultAuthRef", "authRef"));
    draft.copy(spec, FIELDS);
    spec.within("syncConfig", |config| config.expect("instantUpdates", &json!(false)));
    destination::moved(task, spec, &mut draft);
    task.note(
        "",
        "Vault Secrets Operator revokes the lease when the object is deleted: stop it before you delete the object. Steamer issues new credentials, so restart the workloads before the former lease ends",
    );
    task.drafts.push(draft);
}
