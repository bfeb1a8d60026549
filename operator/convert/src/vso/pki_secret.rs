//! VaultPKISecret.

use serde_json::json;

use super::{destination, reference};
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

const FIELDS: &[&str] = &[
    "namespace",
    "mount",
    "role",
    "issuerRef",
    "commonName",
    "altNames",
    "ipSans",
    "uriSans",
    "otherSans",
    "userIDs",
    "notAfter",
    "format",
    "privateKeyFormat",
    "excludeCNFromSans",
    "expiryOffset",
    "revoke",
    "clear",
];

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoPKISecret");
    reference::moved(task, spec, &mut draft, ("vaultAuthRef", "authRef"));
    draft.copy(spec, FIELDS);
    ttl(spec, &mut draft);
    destination::moved(task, spec, &mut draft);
    task.note(
        "",
        "Vault Secrets Operator can revoke the certificate and clear the Secret when the object is deleted: stop it before you delete the object. Steamer issues a new certificate, so restart the workloads",
    );
    task.drafts.push(draft);
}

/// VSO accepts days, and Steamer hours.
fn ttl(spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("ttl");
    let Some(text) = spec.text("ttl") else { return };
    let hours =
        text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()).map(|days| u64::from(days) * 24);
    draft.put("ttl", json!(hours.map_or(text, |hours| format!("{hours}h"))), path);
}
