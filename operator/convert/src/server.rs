//! Address of a server.

use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::task::Task;

/// Moves the URL of a server to `address`: scheme, host and port.
pub(crate) fn address(task: &mut Task<'_>, source: &mut Cursor, draft: &mut Draft, field: &str) {
    let path = source.path(field);
    let Some(text) = source.text(field) else { return };
    let (scheme, rest) = text.split_once("://").unwrap_or(("", &text));
    let (authority, below) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let found = Value::String(text.clone());
    if !below.is_empty() || host != authority {
        task.review(
            &path,
            Some(&found),
            "Steamer connects to scheme, host and port: the rest of the URL is not used",
        );
    }
    let is_plaintext = scheme == "http";
    if is_plaintext {
        task.review(&path, Some(&found), "the connection has no TLS, and everyone in the network can read the values: use an https:// address, and remove allowPlaintext");
        draft.put("allowPlaintext", true, path.as_str());
    }
    draft.put("address", json!(format!("{scheme}://{host}")), path);
}
