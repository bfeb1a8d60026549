//! VaultConnection.

use serde_json::{Value, json};

use crate::consents;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::server;
use crate::task::Task;

/// Longest timeout of a BaoConnection, in seconds.
const LONGEST: u64 = 60;

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let mut draft = task.draft("BaoConnection");
    server::address(task, spec, &mut draft, "address");
    draft.copy(spec, &["headers", "tlsServerName", "caCertSecretRef", "skipTLSVerify"]);
    timeout(task, spec, &mut draft);
    let review = "VaultAuths of several namespaces refer to it, and the BaoConnection allows all namespaces: restrict allowedNamespaces to a label of these namespaces";
    consents::namespaces(task, &mut draft, ("VaultConnection", review));
    task.drafts.push(draft);
}

fn timeout(task: &mut Task<'_>, spec: &mut Cursor, draft: &mut Draft) {
    let path = spec.path("timeout");
    let Some(text) = spec.text("timeout") else { return };
    let is_long = |text: &str| {
        text.parse::<steamer_api::Duration>().is_ok_and(|duration| duration.get().as_secs() > LONGEST)
    };
    if is_long(&text) {
        task.review(
            &path,
            Some(&Value::String(text)),
            "a request of Steamer takes at most 60s: the timeout is set to 60s",
        );
        draft.put("timeout", json!("60s"), path);
    } else {
        draft.put("timeout", json!(text), path);
    }
}
